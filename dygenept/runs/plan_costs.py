"""The cost model of a run: bytes counted from shapes, seconds from points that were measured.

Every coefficient is in ``plan_coefficients``; docs/scale.md has the model as formulas, and says how
far it was from the points that it was fitted to and from others. Seconds are those of one thread:
added up over threads, as a system counts processor time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2

from dygenept.data.memory import CellsSize, csr_bytes
from dygenept.machine.threads import n_threads
from dygenept.runs.executors import BEHIND
from dygenept.runs.plan_coefficients import MEASURED, Coefficients
from dygenept.types import EncoderFootprint, FitWork


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSize:
    """Sizes that every formula reads.

    Attributes:
        n_cells: Cells.
        n_genes: Output genes.
        n_conditions: Conditions.
        n_controls: Control cells.
        n_values: Stored values.
        n_types: Cell types.
        n_offsets: Rows of ``CellBatches.offsets``, where controls are matched by batch.
        is_stored: Cells are kept in a file under a limit on memory.
        is_filed: Arrays of conditions × genes are.
    """

    n_cells: int
    n_genes: int
    n_conditions: int
    n_controls: int
    n_values: int
    n_types: int = 1
    n_offsets: int = 0
    is_stored: bool = False
    is_filed: bool = False

    @property
    def matrix_bytes(self) -> int:
        """Bytes of the CSR matrix: float32 values, and indices of four or eight bytes."""
        return csr_bytes(self.n_values, self.n_cells)

    @property
    def n_control_values(self) -> float:
        """Stored values of control cells, on average."""
        return self.n_values * self.n_controls / max(1, self.n_cells)

    @property
    def n_sampled(self) -> float:
        """Cells of a condition whose distances are looked at, on average."""
        each = (self.n_cells - self.n_controls) / max(1, self.n_conditions)
        return min(SAMPLED, each)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSize:
    """Sizes of one fold.

    Attributes:
        n_train: Train conditions.
        n_val: Validation conditions.
        n_test: Held-out conditions.
        n_train_cells: Cells of the train conditions.
        n_candidates: Conditions that any fold holds out, among which ranks are.
    """

    n_train: int
    n_val: int
    n_test: int
    n_train_cells: int
    n_candidates: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where a run would compute.

    Attributes:
        device: Torch device.
        n_cores: Processors that this process may use.
        memory_bytes: Memory of the machine; None where that is not known.
    """

    device: str
    n_cores: int
    memory_bytes: int | None = None

    @property
    def has_gpu(self) -> bool:
        """Assemblies compute on a GPU."""
        return self.device.startswith("cuda")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What training and predicting of an assembly consists of.

    Attributes:
        steps: Gradient steps of one fold, members included, where training does not stop early.
        epochs: Epochs at most.
        batch_rows: Rows of a step.
        prediction_cells: Control cells that a prediction averages over.
        has_start: It has a closed-form start.
        n_parts: How often perturbations are held out of that start, and of the steps where they are
            judged: four times where train perturbations are few, once elsewhere.
        judges_steps: The steps are tried on each of these parts before they are taken.
        encoder: What its cell encoder takes; None where that is not known.
    """

    steps: int
    epochs: int
    batch_rows: int
    prediction_cells: int
    has_start: bool
    n_parts: int
    judges_steps: bool
    encoder: EncoderFootprint | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The metrics of a run, as far as their cost goes; those that are left out count nothing.

    Attributes:
        n_rows: Metrics of one condition alone.
        n_ranks: Metrics that compare predictions with all candidates.
        n_cells: Metrics that read samples of cells.
        uses_tests: A metric reads tests of every gene.
    """

    n_rows: int
    n_ranks: int
    n_cells: int
    uses_tests: bool

    @property
    def n_metrics(self) -> int:
        """Metrics in all."""
        return self.n_rows + self.n_ranks + self.n_cells


# Over cells, for means and for DE lists.
MEANS_PASSES = 2
# Cells of a condition, and of control, among which distances are.
SAMPLED = 100
# Below this share of stored values distances are products of sparse cells, which take a twelfth.
SPARSE_SHARE, SPARSE_GAIN = 1 / 32, 12


def shared_seconds(
    size: DataSize, scored: Scored, *, keeps: bool = True, c: Coefficients = MEASURED
) -> Mapping[str, float]:
    """Seconds until the first job.

    Args:
        size: The data set.
        scored: The metrics.
        keeps: The truth is kept beside predictions.
        c: Coefficients.

    Returns:
        ``reading``, ``means`` (and DE lists), ``tests`` and ``truth``.
    """
    table = size.n_conditions * size.n_genes
    tests = c.tested_s * table + size.n_values * (
        c.looked_s * log2(2 + size.n_control_values) if size.is_stored else c.test_s
    )
    return {
        "reading": c.cell_s * size.n_cells
        + size.n_values * (c.read_s + (c.stored_s if size.is_stored else 0.0)),
        "means": c.list_s * table
        + size.n_values * (c.means_s + (MEANS_PASSES * c.passed_s if size.is_stored else 0.0)),
        "tests": tests if scored.uses_tests else 0.0,
        "truth": c.truth_s * table if keeps else 0.0,
    }


def embedding_seconds(n_texts: int) -> float:
    """Seconds to embed texts once, for all models and folds; measured on one thread."""
    return MEASURED.load_s + MEASURED.embed_s * n_texts if n_texts else 0.0


def distance_seconds(
    fold: FoldSize, size: DataSize, scored: Scored, c: Coefficients = MEASURED
) -> float:
    """Seconds of what jobs of a fold share: distances among the sampled cells of each condition."""
    if not scored.n_cells:
        return 0.0
    is_sparse = size.n_values < SPARSE_SHARE * size.n_cells * size.n_genes
    products = 2 * size.n_sampled**2 * size.n_genes / (SPARSE_GAIN if is_sparse else 1)
    return fold.n_test * (c.sampled_s + c.distance_s * products)


def job_seconds(
    fold: FoldSize,
    size: DataSize,
    scored: Scored,
    work: FitWork,
    *,
    keeps: bool = True,
    c: Coefficients = MEASURED,
) -> Mapping[str, float]:
    """Seconds of each part of a job of a model that says what its fit takes.

    Args:
        fold: The fold.
        size: The data set.
        scored: The metrics.
        work: Steps of fitting and predicting.
        keeps: Predictions are kept.
        c: Coefficients.

    Returns:
        ``task`` (cutting and guarding), ``fit`` (predicting too), ``score``, ``keep``.
    """
    known, held_out = fold.n_train + fold.n_val, fold.n_test * size.n_genes
    product = c.product_s + (c.filed_s if size.is_filed else 0.0)
    fit = product * work.products + c.decomposition_s * work.decompositions
    return {
        "task": c.job_s + c.given_s * (known * size.n_genes + held_out),
        "fit": fit + c.pass_s * work.passes,
        "score": scoring_seconds(fold, size, scored, work, c),
        "keep": c.keep_s * held_out if keeps else 0.0,
    }


def scoring_seconds(
    fold: FoldSize,
    size: DataSize,
    scored: Scored,
    work: FitWork = FitWork(),  # noqa: B008
    c: Coefficients = MEASURED,
) -> float:
    """Seconds to score a fold: every metric, and ranks among all conditions held out anywhere.

    Predictions that are all the same are ranked once, and each halving by itself.
    """
    n_ranked = 1 if work.are_alike else fold.n_test
    sampled = 2 * size.n_sampled * size.n_values / max(1, size.n_cells)
    row = c.row_s * scored.n_rows + (c.filed_row_s if size.is_filed else 0.0)
    of_one = (
        c.score_s * scored.n_metrics * fold.n_test
        + row * fold.n_test * size.n_genes
        + c.rank_s * scored.n_ranks * n_ranked * fold.n_candidates * size.n_genes
        + c.near_s * scored.n_cells * fold.n_test * sampled
    )
    half = c.half_s + (c.passed_s if size.is_stored else 0.0)
    halving = half * size.n_values + c.halved_s * size.n_conditions * size.n_genes
    return max(1, work.halvings) * of_one + work.halvings * halving


def cells_seconds(size: DataSize) -> float:
    """Seconds to cut out and guard the cells of a fold."""
    return MEASURED.task_s * size.n_values


def assembly_seconds(
    work: Work, fold: FoldSize, size: DataSize, machine: Machine
) -> Mapping[str, float]:
    """Seconds of each part of fitting and predicting; a cache that is full already saves some.

    Returns:
        ``start``, ``encode`` (frozen layers, once), ``steps`` and ``predict`` (validation too).
    """
    c = MEASURED
    rate = c.gpu_flop if machine.has_gpu else c.cpu_flop
    # What is not the transformer: in proportion where the device is a GPU.
    row = c.step_s * size.n_genes * c.cpu_flop / rate
    encoder = work.encoder
    step_flop = 0.0 if encoder is None else encoder.step_flop * work.batch_rows
    frozen = 0.0 if encoder is None else encoder.frozen_flop
    # A forward pass is a third of a step.
    predicted = work.epochs * fold.n_val + fold.n_test
    start = c.start_s * work.n_parts * fold.n_train * size.n_genes
    n_steps = work.steps * (1 + work.n_parts if work.judges_steps else 1)
    return {
        "start": start if work.has_start else 0.0,
        "encode": frozen / rate,
        "steps": n_steps * (row * work.batch_rows + step_flop / rate),
        "predict": predicted * work.prediction_cells * row / 3,
    }


def process_bytes(
    size: DataSize,
    fold: FoldSize | None,
    *,
    scoring: int = 0,
    n_tables: int | None = None,
    has_torch: bool = False,
) -> int:
    """Peak memory of a process that runs jobs: while cells are read, tested, or jobs run.

    Args:
        size: The data set.
        fold: The fold whose cells a model is given; None for models that see only means.
        scoring: What ``scoring_bytes`` says of its jobs.
        n_tables: Arrays of conditions × genes that are in memory together; None for the usual ones.
        has_torch: The model is an assembly.
    """
    cells = CellsSize(
        n_values=size.n_values,
        n_cells=size.n_cells,
        n_genes=size.n_genes,
        n_conditions=size.n_conditions,
        n_types=size.n_types,
        n_controls=size.n_controls,
        n_largest=(size.n_cells - size.n_controls) // max(1, size.n_conditions),
        n_offsets=size.n_offsets,
        n_tables=max(MEASURED.tables, n_tables or 0),
    )
    given = 0 if fold is None else given_bytes(size, fold)
    own = given + scoring + (MEASURED.torch_bytes if has_torch else 0)
    read = cells.while_fitting + int(size.matrix_bytes * (MEASURED.read_peak - 1))
    return max(read, cells.while_testing, cells.while_fitting + own)


def scoring_bytes(
    folds: Sequence[FoldSize], size: DataSize, scored: Scored, work: FitWork | None
) -> int:
    """Bytes of what jobs of a fold share, of all folds, and of predictions that are scored.

    Args:
        folds: The folds.
        size: The data set.
        scored: The metrics.
        work: Steps of the model, as far as they are known: each halving is scored by itself, has a
            truth of its own, and is in memory with the others.
    """
    rows = MEASURED.shared_tables * sum(fold.n_test for fold in folds)
    if work is not None and work.halvings:
        at_once = min(BEHIND, n_threads())
        # One more has predicted when those are scored beside the next fit.
        n_predicted = 1 if at_once == 1 else BEHIND + 1
        rows += n_predicted * 2 * work.halvings * max(fold.n_test for fold in folds)
        if scored.n_ranks:
            rows += at_once * MEASURED.ranked_tables * max(fold.n_candidates for fold in folds)
    return int(rows * size.n_genes * 8)


def given_bytes(size: DataSize, fold: FoldSize) -> int:
    """Bytes of the cells of a fold that a model of cells is given."""
    share = (fold.n_train_cells + size.n_controls) / max(1, size.n_cells)
    return int(size.matrix_bytes * min(1.0, share))


def prediction_bytes(fold: FoldSize, size: DataSize) -> int:
    """Bytes of a job's kept predictions at most: Parquet of float64, hardly compressible."""
    return fold.n_test * size.n_genes * 8


def record_bytes(fold: FoldSize, n_metrics: int) -> int:
    """Bytes of a job's record."""
    return fold.n_test * n_metrics * MEASURED.value_bytes
