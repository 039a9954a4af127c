"""What comes out of a model, what metrics make of it, and which code made it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import numpy as np

from dygenept.errors import ShapeError
from dygenept.types.evidence import DeTests, MetricCells, PredictedCells, Rows
from dygenept.types.perturbations import Condition, DoubleArray, FloatArray, IntArray

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predicted pseudobulk expression.

    Attributes:
        conditions: What was predicted, in the order of ``expression``.
        expression: Predicted mean log1p expression, (n_conditions, G), float64.
        truth: Where set, scored against this instead of the data set's means (the technical
            duplicate scores one half of the cells against the other); only oracles may set it.
        others: Further draws of the same conditions, whose scores are averaged with these;
            only oracles may set it.
        n_cells: Cells of the condition behind each prediction, (n_conditions,); only oracles have
            any.
        lengthening: By how many times more cells the scores are to be those of: correlations are
            corrected by the Spearman-Brown formula, and other metrics are undefined. Only oracles
            may set it.
        spread: Standard deviation of the error of ``expression``, the same shape; set by the
            harness where a model offers it (``PredictsSpread``) and a metric reads it.
        cells: Predicted cells of each condition, (k, G) each, log1p scale, where the model predicts
            any and a metric reads them; they are not kept.
        cell_batches: Where it was asked for cells of given batches, the row of
            ``CellBatches.offsets`` of each, (k,) each; -1 for a cell that is compared with all
            controls. None where cells name no batch.
    """

    conditions: tuple[Condition, ...]
    expression: DoubleArray
    truth: DoubleArray | None = None
    others: tuple[Predictions, ...] = ()
    n_cells: IntArray | None = None
    lengthening: float = 1.0
    spread: DoubleArray | None = None
    cells: tuple[FloatArray, ...] | None = None
    cell_batches: tuple[IntArray, ...] | None = None

    def __post_init__(self) -> None:
        """Check that there is an array with one row per condition."""
        if not isinstance(self.expression, np.ndarray):
            raise ShapeError(
                f"predictions must be a numpy array, got {type(self.expression).__name__}"
            )
        if self.expression.ndim != 2 or len(self.expression) != len(self.conditions):
            raise ShapeError(
                f"predictions are {self.expression.shape} for {len(self.conditions)} conditions; "
                "expected one row of G genes per condition"
            )


@dataclass(frozen=True, slots=True)
class Candidates:
    """Conditions among which a prediction is to find its own: those held out in any fold.

    Attributes:
        conditions: Conditions, (m,).
        truth: True mean expression, (m, G).
    """

    conditions: tuple[Condition, ...]
    truth: DoubleArray
    _kept: dict[str, object] = field(default_factory=dict, init=False, repr=False, compare=False)
    _lock: threading.RLock = field(
        default_factory=threading.RLock, init=False, repr=False, compare=False
    )

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """Return what depends on the candidates alone, computed for the first who asks.

        All models and folds of a run have the same candidates, except ceilings with a truth of
        their own.

        Args:
            name: Names it among all metrics; begin with the metric's or the module's name.
            compute: Computes it; nobody may change what it returns.
        """
        # Several predictions are scored at once.
        with self._lock:
            return _once(self._kept, name, compute)


@dataclass(frozen=True, slots=True)
class SharedByFold:
    """What metrics make of a fold's tests and truth alone, kept for all predictions of the fold.

    Attributes:
        of_tests: What depends on the DE tests alone, by name.
        of_truth: What depends on truth and references too, by name; None for predictions with a
            truth of their own.
    """

    of_tests: dict[str, object] = field(default_factory=dict)
    of_truth: dict[str, object] | None = field(default_factory=dict)

    def block(self, start: int) -> SharedByFold:
        """Return what is shared about the rows from a position on; blocks are always the same."""
        parts = (self.of_tests, self.of_truth)
        # Several predictions are scored at once; either finds the same dictionary.
        tests, truth = (
            None if kept is None else kept.setdefault(f"rows from {start}", {}) for kept in parts
        )
        return SharedByFold(
            cast("dict[str, object]", tests), cast("dict[str, object] | None", truth)
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
        de_tests: DE tests of every gene, for metrics whose spec says ``uses_de_tests``; else None.
        cells: Samples of cells, for metrics whose spec says ``uses_cells``; else None.
        candidates: Conditions held out in any fold, these among them, for ranks; None where there
            are no others than these.
        control_halves: Means of two random disjoint halves of those controls, (2, n, G), NaN where
            there is one cell; for metrics whose spec says ``uses_control_halves``; else None.
        spread: Standard deviation of each prediction's error, as the model states it, (n, G);
            None where it states none.
        single_deltas: True changes of the single perturbations of each combination in its cell
            type, (n_genes, G) each; None for a single, and where one of them has no cells. For
            metrics whose spec says ``uses_singles``; else empty.
        predicted_cells: Predicted cells, where the model predicts any, for metrics whose spec says
            ``uses_predicted_cells``; else None.
    """

    conditions: tuple[Condition, ...]
    predicted: DoubleArray
    truth: DoubleArray
    control: DoubleArray
    perturbed_mean: DoubleArray
    de_indices: IntArray
    gene_symbols: tuple[str, ...]
    de_tests: DeTests | None = None
    cells: MetricCells | None = None
    candidates: Candidates | None = None
    control_halves: DoubleArray | None = None
    spread: DoubleArray | None = None
    single_deltas: tuple[DoubleArray | None, ...] = ()
    predicted_cells: PredictedCells | None = None
    _kept: dict[str, object] = field(default_factory=dict, init=False, repr=False, compare=False)
    _shared: SharedByFold | None = field(default=None, init=False, repr=False, compare=False)

    def sharing(self, shared: SharedByFold | None) -> MetricInputs:
        """Return the same inputs, which share what they have in common with others of the fold.

        Args:
            shared: Of the same conditions, truth, references and tests; None shares nothing.
        """
        found = replace(self)
        object.__setattr__(found, "_shared", shared)
        return found

    @property
    def shared(self) -> SharedByFold | None:
        """What ``sharing`` set; other inputs, such as ``take`` returns, share nothing."""
        return self._shared

    def once_of_tests(self, name: str, compute: Callable[[], T]) -> T:
        """Return what depends on the DE tests alone, computed once a fold where it is shared.

        Args:
            name: As for ``once``.
            compute: Computes it; nobody may change what it returns.
        """
        return _once(self._kept if self._shared is None else self._shared.of_tests, name, compute)

    def once_of_truth(self, name: str, compute: Callable[[], T]) -> T:
        """Return what depends on no prediction, computed once a fold where it is shared.

        On truth, control, the mean of the train perturbations, DE lists and tests and control
        halves. It stays in memory until the run ends: keep values of conditions, not of genes.

        Args:
            name: As for ``once``.
            compute: Computes it; nobody may change what it returns.
        """
        of_truth = None if self._shared is None else self._shared.of_truth
        return _once(self._kept if of_truth is None else of_truth, name, compute)

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """Return what several metrics make of these inputs, computed for the first who asks.

        Other inputs, such as ``take`` and ``dataclasses.replace`` return, start with nothing kept.

        Args:
            name: Names it among all metrics; begin with the metric's or the module's name.
            compute: Computes it from these inputs; nobody may change what it returns.
        """
        return _once(self._kept, name, compute)

    def take(self, rows: Rows) -> MetricInputs:
        """Return some conditions, in this order; ``rows`` are positions or a mask."""
        kept = np.arange(len(self.conditions))[np.asarray(rows)]
        return replace(
            self,
            conditions=tuple(self.conditions[row] for row in kept),
            predicted=self.predicted[kept],
            truth=self.truth[kept],
            control=self.control[kept],
            perturbed_mean=self.perturbed_mean[kept],
            spread=None if self.spread is None else self.spread[kept],
            de_indices=self.de_indices[kept],
            de_tests=None if self.de_tests is None else self.de_tests.take(kept),
            cells=None if self.cells is None else self.cells.take(kept),
            control_halves=None if self.control_halves is None else self.control_halves[:, kept],
            single_deltas=tuple(self.single_deltas[row] for row in kept if self.single_deltas),
            predicted_cells=(
                None if self.predicted_cells is None else self.predicted_cells.take(kept)
            ),
        )


def _once(kept: dict[str, object], name: str, compute: Callable[[], T]) -> T:
    if name not in kept:
        kept[name] = compute()
    return cast(T, kept[name])


@dataclass(frozen=True, slots=True)
class MetricValues:
    """A metric's value for each condition.

    Attributes:
        values: (n,), NaN where undefined.
        reasons: Why a value is undefined, by position; empty where all are defined.
        chance: What a guess gets on average, (n,), where the data decide it; None where the
            metric's spec says it, or where there is no such level.
    """

    values: DoubleArray
    reasons: Mapping[int, str] = field(default_factory=dict)
    chance: DoubleArray | None = None


@dataclass(frozen=True, slots=True)
class ChildResources:
    """What the child process of a model that runs in an environment of its own took.

    Attributes:
        environment: The environment, named by the hash of its requirements.
        wall_s: Wall-clock seconds, its start included.
        peak_memory_bytes: Peak memory of the largest process, in bytes.
    """

    environment: str
    wall_s: float
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one held-out condition; ``value`` is None where undefined.

    ``chance`` is what a guess gets on average; None where the metric has no such level.
    """

    condition: Condition
    metric: str
    value: float | None
    reason: str | None = None
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a plugin came from; recorded in every result.

    Attributes:
        kind: Plugin kind.
        name: Plugin name.
        owner: Module that registered it, or the path of a single file.
        distribution: Installed distribution, ``file`` for a single file, or ``unknown`` for a
            module that belongs to no distribution.
        version: Version of the distribution, or the SHA-256 of the file or module.
        code_sha256: SHA-256 over the plugin's sources: its package, or its file and whatever that
            imports from its own folder. Empty for a built-in plugin, whose sources are part of
            the harness's own ``CodeIdentity``.
    """

    kind: str
    name: str
    owner: str
    distribution: str
    version: str
    code_sha256: str = ""


@dataclass(frozen=True, slots=True)
class CodeIdentity:
    """Which code of the harness computed something.

    Attributes:
        version: Version of the distribution.
        commit: Git commit of the checkout that the code runs from; None outside a checkout.
        is_dirty: True if that checkout has changes that are not committed; None outside one.
        sha256: SHA-256 over every source file that takes part in predictions and scores.
    """

    version: str
    commit: str | None
    is_dirty: bool | None
    sha256: str
