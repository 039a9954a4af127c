"""Build the tables of gene links that ship in dygenept/resources/graphs.

    python scripts/build_graph_tables.py ../shared/data/kg

Reads string_edges.tsv.gz and biogrid_edges.tsv.gz (two columns of gene symbols) and
reactome.gmt.gz, and writes string.parquet, biogrid.parquet and reactome.parquet: pairs of a gene
(a row of the shipped gene tables) with another gene, or with a pathway.
The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from dygenept.knowledge.genes.tables import load_gene_tables

logger = logging.getLogger(__name__)

RESOURCES = Path(__file__).resolve().parents[1] / "dygenept" / "resources" / "graphs"


def main() -> None:
    """Build the tables and say how large they are."""
    parser = argparse.ArgumentParser(description="Build the tables of links that ship.")
    parser.add_argument("source", type=Path, help="folder with the edges and gene sets")
    parser.add_argument("--output", type=Path, default=RESOURCES)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, frame in build(arguments.source).items():
        path = arguments.output / f"{name}.parquet"
        temporary = path.with_suffix(".partial")
        frame.write_parquet(temporary, compression="zstd", compression_level=19)
        os.replace(temporary, path)  # noqa: PTH105
        logger.info("%s: %d rows, %d bytes", path, frame.height, path.stat().st_size)


def build(source: Path) -> dict[str, pl.DataFrame]:
    """Return the tables ``string``, ``biogrid`` and ``reactome``."""
    tables = load_gene_tables()
    row_of = {symbol: row for row, symbol in enumerate(tables.symbols)}

    def rows(names: Iterable[str]) -> list[int]:
        return [-1 if (found := tables.resolve(name)) is None else row_of[found] for name in names]

    found: dict[str, pl.DataFrame] = {}
    for name in ("string", "biogrid"):
        edges = pl.read_csv(
            source / f"{name}_edges.tsv.gz", separator="\t", quote_char=None, infer_schema=False
        )
        ends = np.array([rows(edges["gene_a"]), rows(edges["gene_b"])])  # (2, n)
        ends = np.sort(ends[:, (ends >= 0).all(axis=0) & (ends[0] != ends[1])], axis=0)
        ends = np.unique(ends, axis=1)
        found[name] = pl.DataFrame({"gene": ends[0], "other": ends[1]}).cast(pl.UInt16)
        logger.info("%s: %d of %d edges kept", name, ends.shape[1], edges.height)
    pairs: list[tuple[int, str]] = []
    with gzip.open(source / "reactome.gmt.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            pathway, _, *members = line.rstrip("\n").split("\t")
            pairs += [(row, pathway) for row in set(rows(members)) if row >= 0]
    found["reactome"] = pl.DataFrame(
        sorted(pairs), schema={"gene": pl.UInt16, "pathway": pl.String}, orient="row"
    ).with_columns(pl.col("pathway").cast(pl.Categorical))
    return found


if __name__ == "__main__":
    main()
