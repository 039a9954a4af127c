"""The types that travel along the walk, one for each arrow.

Dimension letters: N cells, G output genes, B batch, P perturbed genes, K facets, D width,
S sequence, H heads. Expression is always log1p of per-cell scaled counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.errors import ConfigError, DataError, ShapeError

if TYPE_CHECKING:
    from scipy import sparse

CONTROL_LABEL = "ctrl"

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, order=True)
class Perturbation:
    """An unordered set of target genes.

    Attributes:
        label: The smallest of the raw labels that name this set, such as ``KLF1+MAPK1``.
        genes: Target gene symbols, sorted, each once.
    """

    label: str
    genes: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A perturbation in one cell type: the unit that is predicted and scored."""

    perturbation: Perturbation
    cell_type: str

    @property
    def label(self) -> str:
        """Label of the perturbation."""
        return self.perturbation.label

    @property
    def genes(self) -> tuple[str, ...]:
        """Target gene symbols of the perturbation."""
        return self.perturbation.genes


@dataclass(frozen=True, slots=True)
class PerturbationData:
    """A data set, read and checked.

    Attributes:
        name: Registered name, ``sim:…`` name, or file stem.
        source: Where it was read from, for people.
        sha256: Fingerprint of the content (expression, genes, conditions, cell types, DE lists).
        is_simulated: True when any part of it was made up.
        expression: CSR matrix, (N, G), float32, log1p scale, sorted indices.
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
    """

    name: str
    source: str
    sha256: str
    is_simulated: bool
    expression: sparse.csr_matrix
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
            DataError: If a label names no perturbation of this data set.
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


@dataclass(frozen=True, slots=True)
class GeneKnowledge:
    """Facet embeddings of genes, frozen.

    Attributes:
        name: Name of the knowledge set, such as ``go_minilm``.
        sha256: Hash of all that determined it.
        genes: Gene symbols, (n_genes,), unique.
        facet_names: Names of the K facets, in order.
        values: Facet embeddings, (n_genes, K, D_text), float32; zeros where unknown.
        confidence: In [0, 1], (n_genes, K), float32; 0 means unknown.
    """

    name: str
    sha256: str
    genes: tuple[str, ...]
    facet_names: tuple[str, ...]
    values: FloatArray
    confidence: FloatArray

    def __post_init__(self) -> None:
        """Check that the arrays agree."""
        n_genes, n_facets = len(self.genes), len(self.facet_names)
        if self.values.shape[:2] != (n_genes, n_facets) or self.values.ndim != 3:
            raise ShapeError(
                f"knowledge {self.name!r}: values are {self.values.shape}, "
                f"expected ({n_genes}, {n_facets}, D)"
            )
        if self.confidence.shape != (n_genes, n_facets):
            raise ShapeError(
                f"knowledge {self.name!r}: confidence is {self.confidence.shape}, "
                f"expected ({n_genes}, {n_facets})"
            )


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a long step; the command line turns it into a bar.

    Attributes:
        stage: What is going on, such as ``fold`` or ``epoch``.
        step: Steps done.
        total: Steps in all; 0 where unknown.
        message: A short free text, such as a loss.
    """

    stage: str
    step: int
    total: int
    message: str = ""


def no_report(progress: Progress) -> None:
    """Drop a progress report."""


KnowledgeReader = Callable[[str, Sequence[str], "Runtime"], GeneKnowledge]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a model may know about where it runs; made by the runner.

    Attributes:
        device: Torch device string; only the runner picks it.
        seed: Derived from (seed, suite, fold, model).
        report: Callback for progress.
        checkpoint_dir: Where training checkpoints go; None keeps none.
        cache_dir: Where computed knowledge is cached.
        data_dir: Where data sets and knowledge graphs live; None takes the default.
        resume: Continue from a checkpoint that is there.
        knowledge: Opens a facet set of the registry or a knowledge file; call ``open_knowledge``.
    """

    device: str = "cpu"
    seed: int = 0
    report: Callable[[Progress], None] = no_report
    checkpoint_dir: Path | None = None
    cache_dir: Path | None = None
    data_dir: Path | None = None
    resume: bool = True
    knowledge: KnowledgeReader | None = None

    def open_knowledge(self, name_or_file: str, genes: Sequence[str]) -> GeneKnowledge:
        """Return the facet embeddings of some genes.

        Args:
            name_or_file: A facet set of the registry, or the path of a knowledge file.
            genes: Gene symbols; a gene that is not known has confidence 0 throughout.

        Raises:
            ConfigError: If this run has no registry to look the name up in.
            DygeneptError: If the set is unknown, its file is absent or damaged.
        """
        if self.knowledge is None:
            raise ConfigError(
                f"facet set {name_or_file!r} cannot be opened: this run was given no registry; "
                "use Runtime(knowledge=…)"
            )
        return self.knowledge(name_or_file, genes, self)


@dataclass(frozen=True, slots=True)
class TaskCells:
    """The cells a model may see: train, validation and control; no held-out cell.

    Attributes:
        expression: CSR, (n, G), float32, log1p scale.
        condition_codes: Index into ``Task.train + Task.val``; -1 for control, (n,).
        cell_type_codes: Index into ``Task.cell_types``, (n,).
        cell_ids: Names of the cells, (n,).
    """

    expression: sparse.csr_matrix
    condition_codes: IntArray
    cell_type_codes: IntArray
    cell_ids: npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The truth of the held-out conditions; handed to oracles (truth, shuffled …) alone.

    Attributes:
        conditions: Held-out conditions.
        means: Mean log1p expression, (n_test, G).
        half_means: Means of two random disjoint halves of each condition's cells,
            (2, n_test, G); the first half is empty and NaN where a condition has one cell.
    """

    conditions: tuple[Condition, ...]
    means: DoubleArray
    half_means: DoubleArray


@dataclass(frozen=True, slots=True)
class Task:
    """All that a model may learn from in one fold.

    Attributes:
        dataset: Name of the data set.
        is_simulated: True when its cells are simulated.
        gene_ids: Index of ``var``, (G,).
        gene_symbols: Gene symbols, (G,).
        target_genes: Every target gene of the data set, held-out ones too (names alone).
        cell_types: Cell type names.
        control_means: Mean of each cell type's control cells, (n_cell_types, G), log1p scale.
        train: Conditions to fit on.
        val: Conditions for early stopping alone (closed-form baselines fit on them as well).
        means: Pseudobulk of ``train + val``, (n_train + n_val, G), log1p scale.
        n_cells: Cells behind each row of ``means``.
        de_indices: Top-20 DE genes of ``train + val``, (n_train + n_val, 20), padded with -1.
        cells: The cells, for models that ask for them; None otherwise.
        held_out: The truth, for oracles alone; None otherwise.
        runtime: Device, seed, progress.
    """

    dataset: str
    is_simulated: bool
    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    target_genes: tuple[str, ...]
    cell_types: tuple[str, ...]
    control_means: DoubleArray
    train: tuple[Condition, ...]
    val: tuple[Condition, ...]
    means: DoubleArray
    n_cells: IntArray
    de_indices: IntArray
    cells: TaskCells | None = None
    held_out: HeldOut | None = None
    runtime: Runtime = field(default_factory=Runtime)

    @property
    def known(self) -> tuple[Condition, ...]:
        """Train and validation conditions, in the order of ``means``."""
        return self.train + self.val

    def control_mean(self, cell_type: str) -> DoubleArray:
        """Mean expression of the control cells of a cell type, (G,)."""
        row: DoubleArray = self.control_means[self.cell_types.index(cell_type)]
        return row


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predicted pseudobulk expression.

    Attributes:
        conditions: What was predicted, in the order of ``expression``.
        expression: Predicted mean log1p expression, (n_conditions, G), float64.
        truth: Where set, scored against this instead of the data set's means (the technical
            duplicate scores one half of the cells against the other); oracles alone may set it.
    """

    conditions: tuple[Condition, ...]
    expression: DoubleArray
    truth: DoubleArray | None = None

    def __post_init__(self) -> None:
        """Check that there is one row a condition."""
        if self.expression.ndim != 2 or len(self.expression) != len(self.conditions):
            raise ShapeError(
                f"predictions are {self.expression.shape} for {len(self.conditions)} conditions; "
                "expected one row of G genes a condition"
            )


@dataclass(frozen=True, slots=True)
class MetricInputs:
    """What a metric sees: all held-out conditions of one fold at once.

    Attributes:
        conditions: The held-out conditions, (n,).
        predicted: Predicted mean expression, (n, G), log1p scale.
        truth: True mean expression, (n, G).
        control: Mean of the real controls of each condition's cell type, (n, G).
        perturbed_mean: Unweighted mean of the train (and validation) perturbations' means within
            each condition's cell type, (n, G). A type without any takes the mean change of the
            other types on its own control.
        de_indices: Top-20 DE genes, (n, 20), padded with -1.
        gene_symbols: Gene symbols, (G,).
    """

    conditions: tuple[Condition, ...]
    predicted: DoubleArray
    truth: DoubleArray
    control: DoubleArray
    perturbed_mean: DoubleArray
    de_indices: IntArray
    gene_symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MetricValues:
    """A metric's value for each condition.

    Attributes:
        values: (n,), NaN where undefined.
        reasons: Why a value is undefined, by position; empty where all are defined.
    """

    values: DoubleArray
    reasons: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one held-out condition; ``value`` is None where undefined."""

    condition: Condition
    metric: str
    value: float | None
    reason: str | None = None
