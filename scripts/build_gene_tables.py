"""Build the gene tables that ship in dygenept/resources/genes.

    python scripts/build_gene_tables.py ../shared/data/genes

Reads genes.tsv.gz, gene2go.tsv.gz, go_terms.tsv.gz and go_parents.tsv.gz (exports of Bioconductor
org.Hs.eg.db and GO.db 3.16.0) and writes genes.parquet, entrez.parquet, annotation.parquet and
terms.parquet.
The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
from go_roots import UNINFORMATIVE_TERMS, FacetRoots, roots_of
from scipy import sparse

from dygenept.errors import DataError
from dygenept.types import FACETS

logger = logging.getLogger(__name__)

RESOURCES = Path(__file__).resolve().parents[1] / "dygenept" / "resources" / "genes"
ASPECTS = {"BP", "MF", "CC"}
INHERITED = ("isa", "part of")
REGULATING = ("regulates", "negatively regulates", "positively regulates")
EXPERIMENTAL = {"EXP", "IDA", "IPI", "IMP", "IGI", "IEP", "HTP", "HDA", "HMP", "HGI", "HEP"}
# Approved symbols of their day that NCBI Gene 2022-09 lists for no gene or for several; public
# Perturb-seq data (Norman 2019, Replogle 2022) still use them.
PREVIOUS_SYMBOLS: Mapping[str, str] = {
    "GARS": "GARS1",
    "KIAA1804": "MAP3K21",
    "MARS": "MARS1",
    "MPP6": "PALS2",
    "QARS": "QARS1",
    "RHOXF2BB": "RHOXF2B",
    "SARS": "SARS1",
    "TAZ": "TAFAZZIN",
}


def main() -> None:
    """Build the tables and say how large they are."""
    parser = argparse.ArgumentParser(description="Build the gene tables that ship with dygenept.")
    parser.add_argument("source", type=Path, help="folder with the four .tsv.gz exports")
    parser.add_argument("--output", type=Path, default=RESOURCES)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    tables = build(arguments.source)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        path = arguments.output / f"{name}.parquet"
        temporary = path.with_suffix(".partial")
        frame.write_parquet(temporary, compression="zstd", compression_level=19)
        os.replace(temporary, path)  # noqa: PTH105
        logger.info("%s: %d rows, %d bytes", path, frame.height, path.stat().st_size)


def build(source: Path) -> dict[str, pl.DataFrame]:
    """Return the tables ``genes``, ``entrez``, ``annotation`` and ``terms``.

    Raises:
        DataError: If a facet root is not in the GO export or is called otherwise there.
    """
    raw = _read(source / "genes.tsv.gz")
    genes = _genes(raw)
    names = dict(_read(source / "go_terms.tsv.gz").select("go_id", "name").iter_rows())
    parents = _read(source / "go_parents.tsv.gz")
    annotation = _annotation(_read(source / "gene2go.tsv.gz"), genes)
    up = _edges(parents, INHERITED)
    used = _closed(annotation["go_id"].unique().to_list(), up) - set(UNINFORMATIVE_TERMS)
    masks = _facet_masks(names, parents)
    planted = _facet_masks(names, parents, first_version=True)
    counts = _gene_counts(annotation, sorted(used), up)
    terms = (
        _read(source / "go_terms.tsv.gz")
        .filter(pl.col("go_id").is_in(sorted(used)))
        .sort("go_id")
        .with_row_index("index")
    )
    index = dict(terms.select("go_id", "index").iter_rows())
    annotated = set(annotation["go_id"])
    table = pl.DataFrame(
        {
            "go_id": terms["go_id"],
            "name": terms["name"],
            # Only terms that annotate a gene are ever quoted.
            "definition": [
                (definition or "") if go_id in annotated else ""
                for go_id, definition in terms.select("go_id", "definition").iter_rows()
            ],
            "aspect": terms["ontology"].cast(pl.Enum(sorted(ASPECTS))),
            "parents": pl.Series(
                [
                    sorted(index[parent] for parent in up.get(go_id, ()) if parent in index)
                    for go_id in terms["go_id"]
                ],
                dtype=pl.List(pl.Int32),
            ),
            "facets": pl.Series([masks.get(go_id, 0) for go_id in terms["go_id"]], dtype=pl.UInt8),
            "planted_facets": pl.Series(
                [planted.get(go_id, 0) for go_id in terms["go_id"]], dtype=pl.UInt8
            ),
            "n_genes": pl.Series([counts[go_id] for go_id in terms["go_id"]], dtype=pl.Int32),
        }
    )
    # A table of its own, since few ask for it: one number a row of ``genes``.
    entrez = _one_row_a_symbol(raw).select(entrez=pl.col("entrez_id").cast(pl.Int32))
    coded = _coded(annotation, genes, table)
    return {"genes": genes, "entrez": entrez, "annotation": coded, "terms": table}


def _read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, separator="\t", quote_char=None, infer_schema_length=0)


def _one_row_a_symbol(raw: pl.DataFrame) -> pl.DataFrame:
    return raw.sort("symbol", "entrez_id").unique("symbol", keep="first", maintain_order=True)


def _genes(raw: pl.DataFrame) -> pl.DataFrame:
    genes = _one_row_a_symbol(raw)
    added: dict[str, list[str]] = defaultdict(list)
    for previous, current in PREVIOUS_SYMBOLS.items():
        added[current].append(previous)
    aliases = [
        [
            alias
            for alias in sorted({*(text.split("|") if text else ()), *added[symbol]})
            if PREVIOUS_SYMBOLS.get(alias, symbol) == symbol
        ]
        for symbol, text in genes.select("symbol", "aliases").iter_rows()
    ]
    return genes.select(
        "symbol",
        "name",
        pl.col("gene_type").cast(pl.Categorical),
        pl.col("ensembl_ids").str.split("|").fill_null([]),
        pl.Series("aliases", aliases, dtype=pl.List(pl.String)),
    )


def _annotation(raw: pl.DataFrame, genes: pl.DataFrame) -> pl.DataFrame:
    rank = (
        pl.when(pl.col("evidence").is_in(sorted(EXPERIMENTAL)))
        .then(2)
        .when(pl.col("evidence") != "IEA")
        .then(1)
        .otherwise(0)
    )
    return (
        raw.filter(
            (pl.col("evidence") != "ND")
            & ~pl.col("go_id").is_in(list(UNINFORMATIVE_TERMS))
            & pl.col("symbol").is_in(genes["symbol"].to_list())
        )
        .group_by("symbol", "go_id")
        .agg(rank.max().alias("evidence"))
        .sort("symbol", "go_id")
    )


def _coded(annotation: pl.DataFrame, genes: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    gene_codes = genes.select("symbol").with_row_index("gene")
    term_codes = terms.select("go_id", "n_genes").with_row_index("term")
    return (
        annotation.join(gene_codes, on="symbol")
        .join(term_codes, on="go_id")
        .sort("gene", "n_genes", "go_id")
        .select(
            pl.col("gene").cast(pl.Int32),
            pl.col("term").cast(pl.Int32),
            pl.col("evidence").cast(pl.UInt8),
        )
    )


def _edges(parents: pl.DataFrame, relations: Iterable[str]) -> dict[str, set[str]]:
    edges: dict[str, set[str]] = defaultdict(set)
    for child, parent, relation in parents.iter_rows():
        if relation in relations:
            edges[child].add(parent)
    return dict(edges)


def _closed(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    found = set(start)
    stack = list(found)
    while stack:
        new = set(edges.get(stack.pop(), ())) - found
        found |= new
        stack.extend(new)
    return found


def _facet_masks(
    names: Mapping[str, str], parents: pl.DataFrame, *, first_version: bool = False
) -> dict[str, int]:
    down: dict[str, set[str]] = defaultdict(set)
    regulators: dict[str, set[str]] = defaultdict(set)
    for child, parent, relation in parents.iter_rows():
        if relation in INHERITED:
            down[parent].add(child)
        elif relation in REGULATING:
            regulators[parent].add(child)
    masks: dict[str, int] = defaultdict(int)
    for bit, facet in enumerate(FACETS):
        for go_id in _members(
            roots_of(facet, first_version=first_version), names, down, regulators
        ):
            masks[go_id] |= 1 << bit
    return masks


def _members(
    roots: FacetRoots,
    names: Mapping[str, str],
    down: Mapping[str, set[str]],
    regulators: Mapping[str, set[str]],
) -> set[str]:
    for go_id, name in {**roots.regulated, **roots.plain, **roots.excluded}.items():
        if names.get(go_id) != name:
            raise DataError(f"facet root {go_id} is {names.get(go_id)!r} in GO, not {name!r}")
    regulated = _closed(roots.regulated, down)
    regulating = {term for member in regulated for term in regulators.get(member, ())}
    members = regulated | _closed(roots.plain, down) | _closed(regulating, down)
    return members - _closed(roots.excluded, down)


def _gene_counts(
    annotation: pl.DataFrame, terms: list[str], up: Mapping[str, set[str]]
) -> dict[str, int]:
    index = {go_id: position for position, go_id in enumerate(terms)}
    rows, columns = [], []
    for position, go_id in enumerate(terms):
        above = [index[term] for term in _closed([go_id], up) if term in index]
        rows.extend([position] * len(above))
        columns.extend(above)
    closure = sparse.csr_matrix(
        (np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=(len(terms), len(terms))
    )
    gene_codes = annotation["symbol"].rank("dense").to_numpy().astype(np.int64) - 1
    term_codes = np.array([index[go_id] for go_id in annotation["go_id"]])
    direct = sparse.csr_matrix(
        (np.ones(len(gene_codes), dtype=np.int32), (gene_codes, term_codes)),
        shape=(int(gene_codes.max()) + 1, len(terms)),
    )
    annotated = (direct @ closure) > 0
    counts = np.asarray(annotated.sum(axis=0)).ravel()
    return {go_id: int(counts[position]) for go_id, position in index.items()}


if __name__ == "__main__":
    main()
