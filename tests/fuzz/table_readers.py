"""Readers and valid files of tables of effects, and of a user's own tables of gene links."""

from __future__ import annotations

from pathlib import Path

from fuzz.registered import GENES, file_of, reader
from fuzz.text_seeds import seed, text

HEADER = "pert,gene,label,weight,split,cell_type\n"
LABELS = HEADER + "".join(
    f"{target},{gene},{number % 2},{1 + number},{part},K562\n"
    for target, part in (("KLF1", "test"), ("GATA1", "train"), ("TP53", "val"))
    for number, gene in enumerate(("CDKN1A", "MYC", "JUN"))
)
VALUES = LABELS.replace("label", "log2fc").replace(",0,1,", ",-0.25,1,")
WIDE = "perturbation,CDKN1A,MYC\nKLF1,0.5,\nGATA1,-1.25,3\nTP53+KLF1,NA,0\n"

seed("effect_labels")(text("table.csv", LABELS))
seed("effect_values_gz")(text("table.tsv.gz", VALUES.replace(",", "\t")))
seed("effect_wide")(text("table.csv", WIDE))


@seed("effect_parquet")
def _(folder: Path) -> None:
    import io

    import polars as pl

    pl.read_csv(io.StringIO(LABELS)).write_parquet(folder / "table.parquet")


@reader("effect_labels", "effect_values_gz", "effect_wide", "effect_parquet")
def _(folder: Path) -> object:
    from dygenept.data.effects.reading import read_effects

    found = read_effects(file_of(folder, ""))
    assert found.effects is not None
    assert found.effects.values.shape == (len(found.conditions), found.n_genes)
    return found


seed("gene_links")(text("string.tsv", "a\tb\nTP53\tCDKN1A\nKLF1\tGATA1\n"))


@reader("gene_links")
def _(folder: Path) -> object:
    from dygenept.knowledge.graph.links import links_of

    (folder / "graphs").mkdir()
    (folder / "string.tsv").rename(folder / "graphs" / "string.tsv")
    found = links_of("string", GENES, folder)
    assert found.shape[0] == len(GENES)
    return found
