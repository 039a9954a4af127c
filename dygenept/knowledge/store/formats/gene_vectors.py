"""One vector per gene, as GenePT and its like publish them: knowledge of a single facet.

Read from a pickled dict (through a reader that runs no code), an ``.npz`` file, a Parquet table or
a CSV/TSV table. Source of the first layout: Chen & Zou 2024, GenePT,
doi:10.1101/2023.10.16.562533.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.errors import DataError
from dygenept.knowledge.store.formats.safe_pickle import read_pickle
from dygenept.machine.archives import BoundedGzip
from dygenept.machine.checksums import file_sha256
from dygenept.machine.file_kinds import file_kind, said_of
from dygenept.machine.reading import check_cells, read_arrays, read_parquet, reading
from dygenept.types import SYMBOL_COLUMNS, FloatArray, GeneKnowledge

if TYPE_CHECKING:
    import polars as pl

FACET_NAME = "Whole Gene"
PICKLE_SUFFIXES = (".pickle", ".pkl")
TABLE_SUFFIXES = (".parquet", ".csv", ".tsv", ".csv.gz", ".tsv.gz")
GENE_COLUMNS = ("gene", "genes", *SYMBOL_COLUMNS, "gene_id", "name")


def read_gene_vectors(path: Path) -> GeneKnowledge:
    """Read one vector per gene as knowledge of one facet.

    A vector of zeros stands for a gene of which nothing is known, as in the published files.

    Args:
        path: A pickle, ``.npz``, ``.parquet``, ``.csv`` or ``.tsv`` file.

    Raises:
        DataError: If it is damaged, contains other things, or its vectors differ in length.
    """
    with reading(path, "a file of one vector per gene"):
        genes, vectors = _read(path)
    if len(set(genes)) != len(genes):
        twice = next(gene for gene, count in Counter(genes).items() if count > 1)
        raise DataError(f"{path} names the gene {twice!r} twice")
    if not genes or vectors.shape[1] == 0:
        raise DataError(f"{path} contains no gene, or vectors of length 0")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise DataError(f"{path}: the vector of {genes[row]!r} contains NaN or infinite values")
    is_known = (vectors != 0).any(axis=1)
    return GeneKnowledge(
        name=path.stem,
        sha256=file_sha256(path),
        genes=tuple(genes),
        facet_names=(FACET_NAME,),
        values=np.ascontiguousarray(vectors[:, None, :]),
        confidence=is_known[:, None].astype(np.float32),
    )


def _read(path: Path) -> tuple[list[str], FloatArray]:
    name = path.name.lower()
    if name.endswith(TABLE_SUFFIXES):
        return _read_table(path)
    if name.endswith(".npz"):
        return _read_npz(path)
    return _from_mapping(read_pickle(path), path)


def _from_mapping(document: object, path: Path) -> tuple[list[str], FloatArray]:
    if not isinstance(document, Mapping) or not document:
        raise DataError(f"{path} must contain a dict of gene symbol to vector")
    for gene in document:
        if not isinstance(gene, str):
            raise DataError(f"{path}: the key {gene!r} is not a gene symbol")
    genes = list(document)
    return genes, _stacked(genes, list(document.values()), path)


def _stacked(genes: Sequence[str], given: Sequence[object], path: Path) -> FloatArray:
    rows = [_vector(item, gene, path) for gene, item in zip(genes, given, strict=True)]
    for gene, row in zip(genes, rows, strict=True):
        if len(row) != len(rows[0]):
            raise DataError(
                f"{path}: the vector of {gene!r} has {len(row)} numbers, that of {genes[0]!r} "
                f"{len(rows[0])}"
            )
    return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)


def _vector(given: object, gene: str, path: Path) -> FloatArray:
    # A row of one, as some pipelines keep it, is the vector itself.
    if (
        isinstance(given, np.ndarray)
        and given.dtype.kind in "fiu"
        and given.size == max(given.shape, default=0)
    ):
        return given.reshape(-1).astype(np.float32)
    is_list = isinstance(given, Sequence) and not isinstance(given, str | bytes)
    if is_list and all(type(item) in (float, int) for item in given):  # type: ignore[attr-defined]
        return np.array(given, dtype=np.float32)
    raise DataError(f"{path}: what stands for {gene!r} is not a vector of numbers")


def _read_npz(path: Path) -> tuple[list[str], FloatArray]:
    arrays = read_arrays(path)
    texts = [name for name, array in arrays.items() if array.dtype.kind == "U"]
    tables = [name for name, array in arrays.items() if array.ndim == 2]
    if len(texts) == 1 and len(tables) == 1:
        genes = [str(gene) for gene in arrays[texts[0]].reshape(-1)]
        vectors = arrays[tables[0]]
        if vectors.dtype.kind not in "fiu" or len(genes) != len(vectors):
            raise DataError(f"{path}: {len(genes)} genes and vectors of shape {vectors.shape}")
        return genes, vectors.astype(np.float32)
    return _from_mapping(arrays, path)


def _read_table(path: Path) -> tuple[list[str], FloatArray]:
    import polars as pl

    name = path.name.lower()
    if name.endswith(".parquet"):
        frame = read_parquet(path)
    else:
        kind = file_kind(path)
        if kind not in ("text", "gzip"):
            raise DataError(f"{path} is not a table of text: it {said_of(kind, path)}")
        with BoundedGzip(path) if kind == "gzip" else path.open("rb") as opened:
            content = opened.read()
        separator = "\t" if ".tsv" in name else ","
        check_cells(content, separator, str(path))
        frame = pl.read_csv(content, separator=separator, infer_schema_length=None)
    if frame.height == 0:
        raise DataError(f"{path} contains no gene")
    column = _gene_column(frame, path)
    genes = [str(gene) for gene in frame[column]]
    if frame[column].null_count():
        raise DataError(f"{path}: a row of column {column!r} names no gene")
    rest = frame.drop(column)
    # A schema is made anew each time that it is asked for, from all columns.
    lists = [item for item, of in rest.schema.items() if isinstance(of, pl.List | pl.Array)]
    if len(lists) == 1:
        return genes, _stacked(genes, rest[lists[0]].to_list(), path)
    return genes, _wide(rest, path)


def _wide(frame: pl.DataFrame, path: Path) -> FloatArray:
    # pandas writes its row numbers as a further column of this name.
    frame = frame.drop("__index_level_0__", strict=False)
    words = [item for item, of in frame.schema.items() if not of.is_numeric()]
    if words:
        raise DataError(
            f"{path}: column {words[0]!r} contains no numbers; expected one column of genes "
            f"({', '.join(GENE_COLUMNS)}) and numbers in all others"
        )
    if any(frame[item].null_count() for item in frame.columns):
        raise DataError(f"{path} has empty cells")
    return frame.to_numpy().astype(np.float32)


def _gene_column(frame: pl.DataFrame, path: Path) -> str:
    import polars as pl

    texts = [name for name, of in frame.schema.items() if of == pl.String]
    by_lower = {name.lower(): name for name in texts}
    for name in GENE_COLUMNS:
        if name in by_lower:
            return by_lower[name]
    if len(texts) == 1:
        return texts[0]
    raise DataError(
        f"{path} has {len(texts)} columns of text and none is called {', '.join(GENE_COLUMNS)}; "
        "one column must name the genes"
    )
