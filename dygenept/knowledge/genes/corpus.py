"""Step 1: what is known of each gene as text, from the shipped tables or from a user's table.

A user's table has one row per gene and NCBI-style columns (symbol, description, summary, GO,
pathways), tab- or comma-separated, gzipped or not; which column is which can be said.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dygenept.errors import DataError, DataUnavailableError, nearest
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.machine.archives import BoundedGzip
from dygenept.machine.reading import reading
from dygenept.machine.whole_files import read_lines, write_lines
from dygenept.plugin.interfaces import CorpusEntry
from dygenept.types import SYMBOL_COLUMNS

TABLES_SOURCE = "gene tables"


class CorpusColumns(BaseModel):
    """Which column of a user's table contains what; found by name, upper and lower case alike."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: str = "symbol"
    description: str = "description"
    summary: str = "summary"
    go: str = "GO"
    pathways: str = "pathways"


class CorpusOptions(BaseModel):
    """Options of step 1.

    Attributes:
        columns: Which column contains what.
        separator: Splits GO terms and pathways within a cell.
        max_go: Most GO terms kept for a gene, the most specific first.
        fill: Genes that the user's table lacks are taken from the shipped tables.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: CorpusColumns = CorpusColumns()
    separator: str = Field(default=";", min_length=1)
    max_go: int = Field(default=40, ge=0)
    fill: bool = True


DEFAULTS = CorpusOptions()


def corpus_from_tables(
    genes: Sequence[str], options: CorpusOptions = DEFAULTS
) -> tuple[CorpusEntry, ...]:
    """Return what the shipped tables know: full name and GO terms; unknown genes are empty."""
    tables = load_gene_tables()
    entries = []
    for gene in dict.fromkeys(genes):
        symbol = tables.resolve(gene)
        if symbol is None:
            entries.append(CorpusEntry(gene))
            continue
        go_ids = tables.terms_of(symbol)[: options.max_go]
        entries.append(
            CorpusEntry(
                gene,
                symbol=symbol,
                description=tables.name(symbol),
                go=tuple(tables.term(go_id).name for go_id in go_ids),
                source=TABLES_SOURCE,
            )
        )
    return tuple(entries)


def corpus_from_file(
    path: Path, genes: Sequence[str] | None, options: CorpusOptions = DEFAULTS
) -> tuple[CorpusEntry, ...]:
    """Return what a user's table says of some genes, or of all that it contains.

    A gene is found by its own spelling first, then by its current symbol.

    Args:
        path: The table.
        genes: Gene symbols; None takes every row.
        options: Columns and separators.

    Raises:
        DataUnavailableError: If there is no such file.
        DataError: If it cannot be read, lacks a column that was named, or has a gene twice.
    """
    rows = _rows(path, options)
    asked = tuple(rows) if genes is None else tuple(dict.fromkeys(genes))
    resolve = load_gene_tables().resolve
    by_current: dict[str, CorpusEntry] = {}
    for gene, entry in rows.items():
        by_current.setdefault(resolve(gene) or gene, entry)
    found: list[CorpusEntry] = []
    for gene in asked:
        symbol = resolve(gene)
        row = rows.get(gene) or by_current.get(symbol or gene)
        if row is not None:
            found.append(replace(row, gene=gene, symbol=symbol))
        elif options.fill:
            found.extend(corpus_from_tables((gene,), options))
        else:
            found.append(CorpusEntry(gene, symbol=symbol))
    return tuple(found)


def read_gene_list(path: Path) -> tuple[str, ...]:
    """Read gene symbols: one per line, or the first column of a table; ``#`` begins a comment.

    Raises:
        DataUnavailableError: If there is no such file.
        DataError: If it names no gene.
    """
    if not path.is_file():
        raise DataUnavailableError(
            f"no list of genes at {path}; give a file with one gene per line"
        )
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    first = (re.split(r"[\t,]", line.partition("#")[0].strip())[0].strip() for line in lines)
    genes = [gene for gene in first if gene]
    if genes and genes[0].lower() in ("gene", *SYMBOL_COLUMNS):
        genes = genes[1:]
    if not genes:
        raise DataError(f"{path} names no gene; it must contain one gene per line")
    return tuple(dict.fromkeys(genes))


def write_corpus(corpus: Sequence[CorpusEntry], path: Path) -> None:
    """Write a corpus as JSON lines."""
    write_lines(path, (_document(entry) for entry in corpus))


def read_corpus(path: Path) -> tuple[CorpusEntry, ...]:
    """Read a corpus of ``write_corpus``.

    Raises:
        DataUnavailableError: If there is no such file.
        DataError: If it is damaged.
    """
    adapter = TypeAdapter(CorpusEntry)
    entries = []
    for number, document in enumerate(read_lines(path), start=1):
        try:
            entries.append(adapter.validate_python(document))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise DataError(
                f"{path}, line {number} is damaged ({key}: {first['msg'].lower()}); run step 1 "
                "again with --no-resume"
            ) from error
    return tuple(entries)


def described(entry: CorpusEntry, n_terms: int = 3) -> str:
    """Describe a gene in a line: its name, and the first sentence of its summary or some terms."""
    sentence = re.split(r"(?<=[.!?])\s", entry.summary, maxsplit=1)[0].strip()
    more = sentence or "; ".join((entry.go or entry.pathways)[:n_terms])
    return ". ".join(part.rstrip(".") for part in (entry.description, more) if part)


def _document(entry: CorpusEntry) -> dict[str, object]:
    names = [field.name for field in fields(CorpusEntry) if field.name != "partners"]
    document: dict[str, object] = {name: getattr(entry, name) for name in names}
    return {**document, "partners": [asdict(partner) for partner in entry.partners]}


def _rows(path: Path, options: CorpusOptions) -> dict[str, CorpusEntry]:
    """Read a table: gene symbol to entry, in order."""
    entries: dict[str, CorpusEntry] = {}
    for number, row in _table(path):
        cells = {
            field: " ".join(row.get(column, "").split())
            for field, column in _columns(row, path, options.columns).items()
        }
        gene = cells["symbol"]
        if not gene:
            continue
        if gene in entries:
            raise DataError(
                f"{path}, line {number} describes {gene!r} a second time; keep one row per gene"
            )
        entries[gene] = CorpusEntry(
            gene,
            description=cells.get("description", ""),
            summary=cells.get("summary", ""),
            go=_split(cells.get("go", ""), options.separator)[: options.max_go],
            pathways=_split(cells.get("pathways", ""), options.separator),
            source=path.name,
        )
    if not entries:
        raise DataError(f"{path} describes no gene; it needs a header and one row per gene")
    return entries


def _table(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    if not path.is_file():
        raise DataUnavailableError(f"no table of genes at {path}")
    delimiter = "," if path.name.removesuffix(".gz").endswith(".csv") else "\t"
    with reading(path, "a table of genes"):
        opened = BoundedGzip(path) if path.suffix == ".gz" else path.open("rb")
        with io.TextIOWrapper(opened, encoding="utf-8-sig", newline="") as stream:
            # Tab-separated exports contain lone quotes; only CSV quotes its cells.
            quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
            reader = csv.reader(stream, delimiter=delimiter, quoting=quoting)
            header = [name.strip() for name in next(reader, [])]
            for row in reader:
                yield reader.line_num, dict(zip(header, row, strict=False))


def _columns(row: Mapping[str, object], path: Path, wanted: CorpusColumns) -> dict[str, str]:
    by_lower = {name.lower(): name for name in row}
    found = {}
    for field, name in wanted.model_dump().items():
        column = name if name in row else by_lower.get(str(name).lower())
        if column is not None:
            found[field] = column
        elif field == "symbol" or name != CorpusColumns.model_fields[field].default:
            raise DataError(
                f"{path} has no column {name!r}; {nearest(str(name), row)}; say which it is with "
                f"--set corpus.columns.{field}=NAME"
            )
    return found


def _split(cell: str, separator: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in cell.split(separator) if part.strip()))
