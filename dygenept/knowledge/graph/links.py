"""Links of genes as sparse rows: shipped tables of STRING, BioGRID, Reactome and GO terms.

A gene's row says which genes it is linked to (itself among them), which pathways it is in, or which
terms annotate it, ancestors too. What few genes share counts more than what many do: each column is
weighed by its inverse document frequency over all genes, as in tf-idf.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import numpy.typing as npt
from scipy import sparse

from dygenept.errors import DataError
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.machine.archives import BoundedGzip
from dygenept.machine.checksums import file_sha256
from dygenept.machine.reading import check_cells, read_parquet, reading
from dygenept.types.effects import GraphName

if TYPE_CHECKING:
    import polars as pl

GRAPHS: tuple[GraphName, ...] = get_args(GraphName)
PATHWAYS = ("reactome",)
SUFFIXES = (".parquet", ".tsv.gz", ".csv.gz", ".tsv", ".csv")


def links_of(
    graph: GraphName, genes: Sequence[str], data_dir: Path | None = None
) -> sparse.csr_matrix:
    """Return the weighed links of genes, one row of unit length per gene, zeros where unknown.

    Args:
        graph: Which links.
        genes: Gene symbols; outdated ones are resolved.
        data_dir: Its folder ``graphs`` may have a newer table, which then counts.

    Raises:
        DataError: If a table there is damaged or has fewer than two columns.
    """
    return all_links(graph, data_dir)[link_rows(genes)]


def all_links(graph: GraphName, data_dir: Path | None = None) -> sparse.csr_matrix:
    """Return the weighed links of every gene of the gene tables, and a last, empty row.

    Raises:
        DataError: As ``links_of``.
    """
    file = own_file(graph, data_dir)
    stamp = "" if file is None else file_sha256(file)
    return _all_links(graph, None if file is None else str(file), stamp)


def link_rows(genes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the rows of genes in ``all_links``: of one that nobody knows the last one, (n,)."""
    tables, row_of = load_gene_tables(), _row_of()
    n_genes = len(row_of)
    found = (row_of.get(tables.resolve(gene) or "", n_genes) for gene in genes)
    return np.fromiter(found, dtype=np.int64, count=len(genes))


def links_genes(graph: GraphName) -> bool:
    """True of a graph that links genes with genes, not with pathways or terms."""
    return graph in ("string", "biogrid")


def own_graph_hashes(data_dir: Path | None) -> dict[str, str]:
    """Hash the tables of the user's that take the place of shipped ones, by graph."""
    files = {graph: own_file(graph, data_dir) for graph in GRAPHS}
    return {graph: file_sha256(file) for graph, file in files.items() if file is not None}


def own_file(graph: GraphName, data_dir: Path | None) -> Path | None:
    """Return the user's own table of a graph; None where there is none."""
    if data_dir is None:
        return None
    paths = (data_dir / "graphs" / f"{graph}{suffix}" for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def graph_sha256(graph: GraphName, data_dir: Path | None) -> str:
    """Hash what a graph is read from."""
    file = own_file(graph, data_dir)
    if file is not None:
        return file_sha256(file)
    return load_gene_tables().sha256 if graph == "go" else file_sha256(_shipped(graph))


@functools.cache
def _row_of() -> dict[str, int]:
    return {symbol: row for row, symbol in enumerate(load_gene_tables().symbols)}


@functools.lru_cache(maxsize=8)
def _all_links(graph: GraphName, file: str | None, stamp: str) -> sparse.csr_matrix:
    n_genes = len(load_gene_tables().symbols)
    genes, others = (
        _terms()
        if graph == "go" and file is None
        else _pairs(graph, None if file is None else Path(file))
    )
    is_linked = links_genes(graph)
    if is_linked:
        itself = np.arange(n_genes)
        ends = (genes, others, itself), (others, genes, itself)
        genes, others = np.concatenate(ends[0]), np.concatenate(ends[1])
    n_columns = n_genes if is_linked else int(others.max(initial=0)) + 1
    ones = np.ones(len(genes))
    links = sparse.csr_matrix((ones, (genes, others)), shape=(n_genes + 1, n_columns))
    links.data[:] = 1.0
    n_each = np.asarray(links.sum(axis=0)).ravel()
    weighed = links @ sparse.diags(np.log((n_genes + 1) / (n_each + 1)))
    norms = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
    unit = sparse.diags(1.0 / np.where(norms > 0, norms, 1.0)) @ weighed
    found: sparse.csr_matrix = unit.tocsr().astype(np.float32)
    if is_linked:
        # A gene that is linked with nothing but itself is not known.
        lone = np.diff(links.indptr) < 2
        found = (sparse.diags((~lone).astype(np.float32)) @ found).tocsr()
    return found


def _terms() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    tables = load_gene_tables()
    columns: dict[str, int] = {}
    genes, terms = [], []
    for row, symbol in enumerate(tables.symbols):
        own = set(tables.terms_of(symbol))
        for term in sorted(own.union(*(tables.ancestors(term) for term in own))):
            genes.append(row)
            terms.append(columns.setdefault(term, len(columns)))
    return np.array(genes, dtype=np.int64), np.array(terms, dtype=np.int64)


def _shipped(graph: GraphName) -> Path:
    return (
        Path(str(importlib.resources.files("dygenept")))
        / "resources"
        / "graphs"
        / f"{graph}.parquet"
    )


def _pairs(
    graph: GraphName, file: Path | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    frame = read_parquet(_shipped(graph)) if file is None else _own_pairs(graph, file)
    first = frame.to_series(0).to_numpy().astype(np.int64)
    second = frame.to_series(1)
    if graph in PATHWAYS or graph == "go":
        _, codes = np.unique(second.cast(str).to_numpy().astype(str), return_inverse=True)
        return first, codes.astype(np.int64)
    return first, second.to_numpy().astype(np.int64)


def _own_pairs(graph: GraphName, file: Path) -> pl.DataFrame:
    import polars as pl

    with reading(file, "a table of links"):
        if file.suffix == ".parquet":
            frame = read_parquet(file)
        else:
            with BoundedGzip(file) if file.suffix == ".gz" else file.open("rb") as opened:
                content = opened.read()
            separator = "\t" if ".tsv" in file.name else ","
            check_cells(content, separator, str(file))
            frame = pl.read_csv(content, separator=separator, infer_schema=False)
    if frame.width < 2 or frame.height == 0:
        raise DataError(f"{file} needs two columns, a gene and what it is linked to, and rows")
    tables, row_of = load_gene_tables(), _row_of()
    names = [frame.to_series(column).cast(pl.String).fill_null("").to_list() for column in (0, 1)]
    first = [row_of.get(tables.resolve(name) or "", -1) for name in names[0]]
    if links_genes(graph):
        second: list[int] | list[str] = [
            row_of.get(tables.resolve(name) or "", -1) for name in names[1]
        ]
        kept = [a >= 0 and b >= 0 and a != b for a, b in zip(first, second, strict=True)]  # type: ignore[operator]
    else:
        second = names[1]
        kept = [a >= 0 and bool(b) for a, b in zip(first, second, strict=True)]
    found = pl.DataFrame({"gene": first, "other": second}).filter(kept)
    if found.height == 0:
        raise DataError(f"{file} links no gene that the gene tables know; give gene symbols")
    return found
