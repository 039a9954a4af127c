"""Pool tables of several cell lines, and write a knowledge file that knows nothing of their genes.

    python benchmarks/effect_tables/pool_lines.py FOLDER k562=k562-de.csv.gz rpe1=rpe1-de.csv.gz

writes FOLDER/pooled.csv and FOLDER/nothing.safetensors, for the models of ``graphs.yaml``. In
the pooled table a perturbation that is held out in one line is held out of all of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from dygenept.knowledge.store.knowledge_files import write_knowledge
from dygenept.types import GeneKnowledge

COLUMNS = ("pert", "gene", "label", "split")


def pooled(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Put tables below one another.

    Args:
        tables: By cell line, with ``COLUMNS``.

    Returns:
        The same with a column ``cell_type``; ``split`` is ``test`` for every pair of a perturbation
        that some table holds out.
    """
    whole = pl.concat(
        table.select(*COLUMNS, pl.lit(line).alias("cell_type")) for line, table in tables.items()
    )
    held_out = whole.filter(pl.col("split") == "test")["pert"].unique()
    is_held_out = pl.col("pert").is_in(held_out.implode())
    return whole.with_columns(
        pl.when(is_held_out).then(pl.lit("test")).otherwise("split").alias("split")
    )


def nothing(genes: Sequence[str]) -> GeneKnowledge:
    """Return knowledge of which no gene has any: one facet without confidence."""
    return GeneKnowledge(
        name="nothing",
        sha256="",
        genes=tuple(genes),
        facet_names=("nothing",),
        values=np.zeros((len(genes), 1, 4), dtype=np.float32),
        confidence=np.zeros((len(genes), 1), dtype=np.float32),
    )


def line(text: str) -> tuple[str, Path]:
    """Read NAME=FILE."""
    name, is_given, file = text.partition("=")
    if not (name and is_given and file):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE")
    return name, Path(file)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="folder to write to; made where it is missing")
    parser.add_argument("lines", type=line, nargs="+", metavar="NAME=FILE", help="cell lines")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    table = pooled({name: pl.read_csv(file) for name, file in given.lines})
    table.write_csv(given.folder / "pooled.csv")
    genes = sorted({*table["pert"], *table["gene"]})
    write_knowledge(nothing(genes), given.folder / "nothing.safetensors")


if __name__ == "__main__":
    main()
