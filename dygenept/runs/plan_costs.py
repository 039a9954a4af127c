"""The cost model of a run: bytes counted from shapes, seconds from points that were measured.

Every coefficient is in ``Coefficients``, with the measurement behind it; docs/scale.md has the
model as formulas and says how far it was from measured points that it was not fitted to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dygenept.data.memory import COPIES_BY_TYPE, PROCESS_BYTES, READING_PEAK, TABLES, csr_bytes
from dygenept.types import EncoderFootprint

GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """What was measured, on two cores of an AMD EPYC without a GPU (docs/speed.md).

    Seconds are seconds of two cores, and divided by half of the number of cores elsewhere.

    Attributes:
        read_s: Per stored value, to read, check and hash: 3.3 s for 103 million.
        read_peak: Peak memory of reading over the size of the CSR matrix: 1.14.
        means_s: Per stored value, means and both DE lists: 1.9 s for 34 million.
        score_s: Per held-out condition and gene, the default metrics but the ranks: 2.7 s for
            1,092 x 5,000.
        rank_s: Per pair of conditions and gene, the metrics of ranks: 3.8 s for 1,092 x 1,092 x
            5,000.
        task_s: Per stored value, to cut and guard what a model of cells may see: 0.56 s for 68
            million.
        regression_s: Per squared train condition and gene, a baseline on gene embeddings with its
            choice of options: 31 s for 20 fits of 786 x 786 x 5,000.
        start_s: Per train condition and gene, the closed-form start of an assembly with the tuning
            of its facets: 60 s for 873 x 5,000.
        row_s: Per row of a batch and gene, a gradient step without frozen layers: 121 s for 1,330
            steps of 64 rows x 5,045.
        cpu_flop: Operations per second of a transformer's layers on the two cores: 1.6e11 (1.19 s
            for a step of 8 cells x 1,200 tokens, and 4.60 s without the cache).
        gpu_flop: The same of a GPU. ASSUMED, not measured.
        density: Share of stored values where nothing says it: that of ``sim:k562``. ASSUMED.
        control_share: Share of control cells where nothing says it. ASSUMED.
        tables: Arrays of conditions x genes in float64 that a run of the default metrics keeps: 8
            where a fifth of the conditions is held out at once.
        process_bytes: A process with its libraries: 0.25 GiB.
        torch_bytes: What torch, the batches and the start of an assembly add: 1 GiB.
        embed_s: Per facet text that no run has embedded yet, by MiniLM: 9.3 s for 688. ASSUMED of
            other text encoders.
        load_s: To load that encoder: 3 s.
        embed_bytes: What it takes beside the process: 0.5 GiB.
        value_bytes: A value of a metric in a record, as JSON.
    """

    read_s: float = 3.2e-8
    read_peak: float = READING_PEAK
    means_s: float = 5.6e-8
    score_s: float = 4.9e-7
    rank_s: float = 6.4e-10
    task_s: float = 8.2e-9
    regression_s: float = 5.0e-10
    start_s: float = 1.37e-5
    row_s: float = 2.8e-7
    cpu_flop: float = 1.6e11
    gpu_flop: float = 5e13
    density: float = 0.127
    control_share: float = 0.066
    tables: int = TABLES
    process_bytes: int = PROCESS_BYTES
    torch_bytes: int = GIB
    embed_s: float = 0.0125
    load_s: float = 3.0
    embed_bytes: int = GIB // 2
    value_bytes: int = 110


MEASURED = Coefficients()


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
    """

    n_cells: int
    n_genes: int
    n_conditions: int
    n_controls: int
    n_values: int
    n_types: int = 1

    @property
    def matrix_bytes(self) -> int:
        """Bytes of the CSR matrix: float32 values, and indices of four or eight bytes."""
        return csr_bytes(self.n_values, self.n_cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSize:
    """Sizes of one fold.

    Attributes:
        n_train: Train conditions.
        n_val: Validation conditions.
        n_test: Held-out conditions.
        n_train_cells: Cells of the train conditions.
    """

    n_train: int
    n_val: int
    n_test: int
    n_train_cells: int


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
    def pairs_of_cores(self) -> float:
        """How many times the two cores that the coefficients were measured on."""
        return max(1, self.n_cores) / 2

    def flop(self, coefficients: Coefficients) -> float:
        """Operations per second of a transformer's layers."""
        if self.device.startswith("cuda"):
            return coefficients.gpu_flop
        return coefficients.cpu_flop * self.pairs_of_cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What training and predicting of an assembly consists of.

    Attributes:
        steps: Gradient steps of one fold, members included, where training does not stop early.
        epochs: Epochs at most.
        batch_rows: Rows of a step.
        prediction_cells: Control cells that a prediction averages over.
        has_start: It has a closed-form start.
        encoder: What its cell encoder takes; None where that is not known.
    """

    steps: int
    epochs: int
    batch_rows: int
    prediction_cells: int
    has_start: bool
    encoder: EncoderFootprint | None


def shared_seconds(size: DataSize, machine: Machine, c: Coefficients = MEASURED) -> float:
    """Seconds until the first job: reading, means and DE lists."""
    return size.n_values * (c.read_s + c.means_s) / machine.pairs_of_cores


def embedding_seconds(n_texts: int, c: Coefficients = MEASURED) -> float:
    """Seconds to embed texts once, for all models and folds; measured on one thread."""
    return c.load_s + c.embed_s * n_texts if n_texts else 0.0


def scoring_seconds(
    fold: FoldSize, size: DataSize, machine: Machine, c: Coefficients = MEASURED
) -> float:
    """Seconds to score a fold: every metric, and ranks among all conditions held out anywhere."""
    of_one = c.score_s + c.rank_s * size.n_conditions
    return fold.n_test * size.n_genes * of_one / machine.pairs_of_cores


def regression_seconds(
    fold: FoldSize, size: DataSize, machine: Machine, c: Coefficients = MEASURED
) -> float:
    """Seconds to fit a closed-form baseline that reads gene embeddings."""
    return c.regression_s * fold.n_train**2 * size.n_genes / machine.pairs_of_cores


def cells_seconds(size: DataSize, machine: Machine, c: Coefficients = MEASURED) -> float:
    """Seconds to cut out and guard the cells of a fold."""
    return c.task_s * size.n_values / machine.pairs_of_cores


def assembly_seconds(
    work: Work, fold: FoldSize, size: DataSize, machine: Machine, c: Coefficients = MEASURED
) -> Mapping[str, float]:
    """Seconds of each part of fitting and predicting; a cache that is full already saves some.

    Returns:
        ``start``, ``encode`` (frozen layers, once), ``steps`` and ``predict`` (validation too).
    """
    is_gpu = machine.device.startswith("cuda")
    rate = machine.flop(c)
    # What is not the transformer: in proportion where the device is a GPU.
    speed = rate / c.cpu_flop if is_gpu else machine.pairs_of_cores
    row = c.row_s * size.n_genes / speed
    encoder = work.encoder
    step_flop = 0.0 if encoder is None else encoder.step_flop * work.batch_rows
    frozen = 0.0 if encoder is None else encoder.frozen_flop
    # A forward pass is a third of a step.
    predicted = work.epochs * fold.n_val + fold.n_test
    start = c.start_s * fold.n_train * size.n_genes / machine.pairs_of_cores
    return {
        "start": start if work.has_start else 0.0,
        "encode": frozen / rate,
        "steps": work.steps * (row * work.batch_rows + step_flop / rate),
        "predict": predicted * work.prediction_cells * row / 3,
    }


def process_bytes(
    size: DataSize,
    fold: FoldSize | None,
    *,
    n_tables: int | None = None,
    has_torch: bool = False,
    c: Coefficients = MEASURED,
) -> int:
    """Peak memory of a process that runs jobs.

    Args:
        size: The data set.
        fold: The fold whose cells a model is given; None for models that see only means.
        n_tables: Arrays of conditions × genes that are in memory together; None for the usual ones.
        has_torch: The model is an assembly.
        c: Coefficients.
    """
    kept = max(c.tables, n_tables or 0) + COPIES_BY_TYPE * (size.n_types > 1)
    tables = (size.n_conditions + size.n_types) * size.n_genes * 8 * kept
    given = 0 if fold is None else given_bytes(size, fold)
    whole = int(size.matrix_bytes * c.read_peak) + tables + given + c.process_bytes
    return whole + (c.torch_bytes if has_torch else 0)


def given_bytes(size: DataSize, fold: FoldSize) -> int:
    """Bytes of the cells of a fold that a model of cells is given."""
    share = (fold.n_train_cells + size.n_controls) / max(1, size.n_cells)
    return int(size.matrix_bytes * min(1.0, share))


def prediction_bytes(fold: FoldSize, size: DataSize) -> int:
    """Bytes of a job's kept predictions at most: Parquet of float64, hardly compressible."""
    return fold.n_test * size.n_genes * 8


def record_bytes(fold: FoldSize, n_metrics: int, c: Coefficients = MEASURED) -> int:
    """Bytes of a job's record."""
    return fold.n_test * n_metrics * c.value_bytes
