"""What is read from a data set and how it is cut: cells, conditions, DE genes, folds.

In a notebook they show themselves as small HTML tables, in which everything is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError
from dygenept.types.cells import CellMatrix
from dygenept.types.effects import EffectTable
from dygenept.types.mapping import NO_MAPPING, DataMapping
from dygenept.types.perturbations import (
    Condition,
    DoubleArray,
    IntArray,
    Perturbation,
    in_cell_type,
)

# Columns of ``var`` that may contain gene symbols; the first one found is read.
SYMBOL_COLUMNS: tuple[str, ...] = (
    "gene_name",
    "gene_symbol",
    "gene_symbols",
    "gene_names",
    "symbol",
    "feature_name",
)


@dataclass(frozen=True, slots=True)
class CellBatches:
    """The batch of each cell, and how far each batch's controls lie from all of its cell type.

    Attributes:
        names: Batches, sorted.
        codes: Position in ``names`` of each cell's, -1 for a cell without one, (N,).
        offsets: Mean of a batch's control cells minus that of all controls of the cell type, one
            row per pair with enough control cells, (n_rows, G), float64.
        rows: Row in ``offsets`` of each cell, -1 for a cell that none applies to, (N,).
    """

    names: tuple[str, ...]
    codes: IntArray
    offsets: DoubleArray
    rows: IntArray


@dataclass(frozen=True, slots=True)
class PerturbationData:
    """A data set, read and checked.

    Attributes:
        name: Registered name, ``sim:…`` name, or file stem.
        source: Where it was read from, for people.
        sha256: Fingerprint of the content (expression, genes, conditions, cell types, DE lists).
        is_simulated: True when any part of it was made up.
        expression: CSR matrix, (N, G), float32, log1p scale, sorted indices. Under a limit on
            memory it may be in a file, and passes go through it as ``CellMatrix`` says.
        gene_ids: Index of ``var``, unique, (G,).
        gene_symbols: Gene symbols, (G,); equal to ``gene_ids`` where the file has none.
        cell_ids: Index of ``obs``, (N,).
        conditions: Every non-control condition with at least one cell, sorted.
        condition_codes: Index into ``conditions`` of each cell, -1 for control, (N,).
        cell_types: Cell type names, sorted.
        cell_type_codes: Index into ``cell_types`` of each cell, (N,).
        raw_labels: Raw perturbation labels in order of first appearance, control left out.
        raw_to_label: The perturbation label of each raw label.
        de_lists: DE gene lists that the file carries, by list name: positions in ``gene_ids``,
            (n_conditions, 20), padded with -1.
        notes: What was accepted or mended on the way in, one sentence each.
        mapping: Where its file keeps what was read, as said or recognised.
        is_normalized: True if its counts were scaled and put on the log1p scale on the way in.
        file: Absolute path of the user's own file; None where a plugin or an object gave the cells.
        batches: Batches whose controls changes are measured from; None where they are measured
            from all controls of the cell type.
        effects: Measured effects of the conditions, where the data set is a table of effects; it
            has no cells then, and its "expression" is the effect itself. None for cells.
        planted: Of simulated cells, the share of each source in the planted effects' variance;
            empty for real cells and where the file does not say.
        draw: Of simulated cells, the seed that all of them were drawn with; None for real cells and
            where the file does not say.
        genes_chosen_on: Conditions some of whose cells chose which genes the file has, as ``data
            prepare`` wrote into it: a fold that holds one out would score a model on genes that its
            held-out cells chose.
        tables: Folder of unnamed files that arrays of conditions × genes are kept in, where a limit
            on memory asks for it; None keeps them in memory.
    """

    name: str
    source: str
    sha256: str
    is_simulated: bool
    expression: CellMatrix
    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    cell_ids: npt.NDArray[np.object_]
    conditions: tuple[Condition, ...]
    condition_codes: IntArray
    cell_types: tuple[str, ...]
    cell_type_codes: IntArray
    raw_labels: tuple[str, ...]
    raw_to_label: Mapping[str, str]
    de_lists: Mapping[str, IntArray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    mapping: DataMapping = NO_MAPPING
    is_normalized: bool = False
    file: str | None = None
    batches: CellBatches | None = None
    effects: EffectTable | None = None
    planted: Mapping[str, float] = field(default_factory=dict)
    draw: int | None = None
    genes_chosen_on: frozenset[Condition] = frozenset()
    tables: Path | None = None

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.expression.shape[0])

    @property
    def n_genes(self) -> int:
        """Number of output genes."""
        return int(self.expression.shape[1])

    @property
    def perturbations(self) -> tuple[Perturbation, ...]:
        """Every perturbation once, sorted by label."""
        return tuple(sorted({condition.perturbation for condition in self.conditions}))

    @property
    def target_genes(self) -> tuple[str, ...]:
        """Every target gene once, sorted."""
        return tuple(sorted({gene for condition in self.conditions for gene in condition.genes}))

    def conditions_of(
        self, labels: Sequence[str], *, cell_type: str | None = None
    ) -> tuple[Condition, ...]:
        """Return the conditions with these labels, sorted, in all cell types or one.

        Raises:
            DataError: If a label does not name a perturbation of this data set.
        """
        wanted = set(labels)
        unknown = wanted - {condition.label for condition in self.conditions}
        if unknown:
            raise DataError(
                f"data set {self.name!r} has no perturbation {sorted(unknown)[0]!r} "
                f"({len(unknown)} such label(s))"
            )
        return tuple(
            condition
            for condition in self.conditions
            if condition.label in wanted and cell_type in (None, condition.cell_type)
        )

    def __repr__(self) -> str:
        """Say in a line what it contains; every cell and gene would fill screens."""
        kind = ", simulated" if self.is_simulated else ""
        types = f" in {len(self.cell_types)} types"
        types = in_cell_type(self.cell_types[0]) if len(self.cell_types) == 1 else types
        return (
            f"<PerturbationData {self.name}{kind}: {self.n_cells:,} cells × {self.n_genes:,} "
            f"genes, {len(self.perturbations):,} perturbations{types}>"
        )

    def _repr_html_(self) -> str:
        """Show what it contains in a notebook."""
        simulated = "SIMULATED DATA · " if self.is_simulated else ""
        facts = [
            (
                "cells",
                f"{self.n_cells:,}, {int((self.condition_codes < 0).sum()):,} of them control",
            ),
            ("genes", f"{self.n_genes:,}"),
            ("perturbations", f"{len(self.perturbations):,}"),
            ("target genes", f"{len(self.target_genes):,}"),
            ("cell types", ", ".join(self.cell_types)),
            ("read from", self.source),
            ("SHA-256", self.sha256),
            *(("note", note) for note in self.notes),
        ]
        return html_table(f"{simulated}{self.name}", facts)


@dataclass(frozen=True, slots=True)
class Pseudobulk:
    """Mean expression per condition and per cell type's control.

    Attributes:
        means: Mean log1p expression of each condition, (n_conditions, G), float64.
        n_cells: Cells per condition, (n_conditions,).
        control_means: Mean over each cell type's control cells, (n_cell_types, G), float64.
    """

    means: DoubleArray
    n_cells: IntArray
    control_means: DoubleArray


@dataclass(frozen=True, slots=True)
class DeGenes:
    """Top-20 DE gene lists.

    Attributes:
        name: ``top_non_dropout_de_20`` or ``top_non_zero_de_20``.
        origin: ``file`` where the data set carries them, ``computed`` otherwise.
        indices: Positions in ``gene_ids``, (n_conditions, 20), best first, padded with -1.
    """

    name: str
    origin: str
    indices: IntArray


@dataclass(frozen=True, slots=True)
class Fold:
    """One train / validation / test partition of perturbation labels.

    Attributes:
        train: Labels to fit on.
        val: Labels for early stopping and hyper-parameters; never in ``train``.
        test: Held-out labels.
        subgroups: Test labels by subgroup, such as ``unseen_single`` or ``combo_seen1``.
        test_cell_type: Where set, only this cell type's conditions are held out, and only the
            other cell types' conditions (and all controls) are given to the model.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    subgroups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    test_cell_type: str | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """The folds of one protocol over one data set; saved as ``splits/<sha256>.json``."""

    algorithm: str
    version: int
    seed: int
    dataset_sha256: str
    folds: tuple[Fold, ...]

    def _repr_html_(self) -> str:
        """Show the size of each part of each fold in a notebook."""
        head = ("fold", "train", "validation", "held out", "for example")
        rows = [
            (number, len(fold.train), len(fold.val), len(fold.test), ", ".join(fold.test[:3]))
            for number, fold in enumerate(self.folds, start=1)
        ]
        title = f"{self.algorithm} (version {self.version}), seed {self.seed}: perturbations"
        return html_table(title, rows, head=head)


def html_table(title: str, rows: Iterable[Sequence[object]], *, head: Sequence[str] = ()) -> str:
    """Return a table with a caption.

    Args:
        title: Its caption.
        rows: Cells as text; the first of a row is its heading.
        head: Headings of the columns; empty for none.
    """
    parts = [f"<table><caption>{escape(title)}</caption>"]
    if head:
        parts.append(f"<thead><tr>{''.join(_cell('col', name) for name in head)}</tr></thead>")
    body = (f"<tr>{_cell('row', first)}{_plain(cells)}</tr>" for first, *cells in rows)
    return f"{''.join(parts)}<tbody>{''.join(body)}</tbody></table>"


def _cell(scope: str, text: object) -> str:
    return f'<th scope="{scope}">{escape(str(text))}</th>'


def _plain(cells: Sequence[object]) -> str:
    return "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
