"""A state that cells are wanted in: expression, or change from control, of some output genes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dygenept.data.reading.unknown_targets import listed
from dygenept.errors import DataError, nearest
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.machine.reading import reading
from dygenept.types import DoubleArray

GENE_COLUMNS = ("gene", "gene_id", "gene_name", "symbol")
VALUE_COLUMNS = ("expression", "delta")
FEWEST_GENES = 2


@dataclass(frozen=True, slots=True)
class WantedState:
    """What a user wants cells to express.

    Attributes:
        values: By gene, symbol or id: mean log1p expression, or its change from control.
        is_change: True for changes.
    """

    values: Mapping[str, float]
    is_change: bool = False

    def __post_init__(self) -> None:
        """Check that there are numbers.

        Raises:
            DataError: If there are none, or one is NaN or infinite.
        """
        wrong = [gene for gene, value in self.values.items() if not np.isfinite(value)]
        if wrong:
            raise DataError(
                f"the wanted state of {wrong[0]} is not a finite number ({len(wrong)} such "
                "gene(s)); leave out genes of which no state is wanted"
            )
        if len(self.values) < FEWEST_GENES:
            raise DataError(f"a wanted state needs {FEWEST_GENES} genes or more")


@dataclass(frozen=True, slots=True)
class PlacedState:
    """A wanted state among the output genes of a model.

    Attributes:
        columns: Positions of its genes among the output genes, (m,).
        expression: Wanted mean log1p expression, (m,).
        change: Wanted change from control, (m,).
        notes: Genes that the model does not predict.
    """

    columns: np.ndarray
    expression: DoubleArray
    change: DoubleArray
    notes: tuple[str, ...]


def read_state(path: Path) -> WantedState:
    """Read a state from a table: a column of genes, and ``expression`` or ``delta``.

    Args:
        path: CSV, or TSV by its suffix.

    Raises:
        DataError: If it cannot be read, lacks a column, or names a gene twice.
    """
    import polars as pl

    with reading(path, "a wanted state"):
        # Types are told by all rows: a state may begin with hundreds of whole numbers.
        table = pl.read_csv(
            path, separator="\t" if path.suffix == ".tsv" else ",", infer_schema_length=None
        )
    genes = next((name for name in GENE_COLUMNS if name in table.columns), None)
    values = [name for name in VALUE_COLUMNS if name in table.columns]
    if len(values) > 1:
        raise DataError(f"{path} has both {' and '.join(values)}; keep the column that is meant")
    if genes is None or not values:
        hint = nearest("expression", table.columns)
        raise DataError(
            f"{path} needs a column gene, and one of {' and '.join(VALUE_COLUMNS)}; {hint}"
        )
    if not table[values[0]].dtype.is_numeric() or table[values[0]].null_count():
        raise DataError(f"{path}: column {values[0]} contains something that is not a number")
    if unnamed := table[genes].null_count():
        raise DataError(f"{path}: {unnamed} row(s) name no gene; leave them out")
    names = [str(name) for name in table[genes].to_list()]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path} has the gene {twice!r} more than once; keep one of them")
    numbers = table[values[0]].cast(pl.Float64).to_list()
    return WantedState(dict(zip(names, numbers, strict=True)), is_change=values[0] == "delta")


def place_state(
    state: WantedState,
    names: GeneNames,
    genes: tuple[Sequence[str], Sequence[str]],
    control: DoubleArray,
) -> PlacedState:
    """Find the genes of a state among the output genes.

    Args:
        state: The wanted state.
        names: Names of the output genes.
        genes: Symbols and ids of the output genes, (G,) each.
        control: Mean expression of control cells, (G,).

    Raises:
        DataError: If fewer than two of its genes are output genes, or two of its names are the
            same gene.
    """
    symbols, ids = genes
    # An id tells genes of one symbol apart, so it counts first.
    position = {name: column for column, name in reversed(list(enumerate(symbols)))}
    position |= {name: column for column, name in enumerate(ids)}
    found: dict[int, float] = {}
    absent: list[str] = []
    for gene, value in state.values.items():
        spelt = gene if gene in position else names.spelling(gene)
        if spelt is None or spelt not in position:
            absent.append(gene)
            continue
        column = position[spelt]
        if column in found:
            raise DataError(f"the wanted state names {symbols[column]} twice, once as {gene!r}")
        found[column] = value
    if len(found) < FEWEST_GENES:
        raise DataError(
            f"of {len(state.values)} genes of the wanted state, {len(found)} are among the output "
            "genes of the model; at least two are needed"
        )
    columns = np.array(sorted(found), dtype=np.int64)
    given = np.array([found[column] for column in columns.tolist()])
    base = control[columns]
    notes: tuple[str, ...] = ()
    if absent:
        notes = (
            f"{len(absent)} of {len(state.values)} genes of the wanted state are not predicted by "
            f"the model and do not count: {listed(sorted(absent))}",
        )
    if state.is_change:
        return PlacedState(columns, base + given, given, notes)
    return PlacedState(columns, given, given - base, notes)
