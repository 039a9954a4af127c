"""Every single perturbation or pair of a list of genes, predicted in blocks of bounded memory."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.errors import ConfigError, DataError, ResultsError, nearest
from dygenept.machine.places import is_streamed
from dygenept.machine.whole_files import replaced_whole
from dygenept.runs.asked import Vocabulary, asked_conditions
from dygenept.runs.predict import vocabulary_of
from dygenept.types import CONTROL_LABEL, Condition, FloatArray, Perturbation, Progress

if TYPE_CHECKING:
    from dygenept.model.estimator import DyGenePTModel

COMBINATIONS = ("singles", "pairs")
# Predicted values that are in memory at a time: 64 MB in float64, and a few copies of it.
BLOCK_VALUES = 8_000_000
# Columns of a Parquet file are gene ids, beside these two.
LABELS = ("perturbation", "cell_type")


@dataclass(frozen=True, slots=True)
class Sweep:
    """Perturbations to predict, in one cell type or several; none is made before it is asked for.

    Attributes:
        genes: Genes, each once, as the model spells them.
        combinations: ``singles``, or ``pairs`` of two different genes.
        cell_types: Cell types, each of which every perturbation is predicted in.
        notes: Names that were read otherwise than written.
    """

    genes: tuple[str, ...]
    combinations: str
    cell_types: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def n_perturbations(self) -> int:
        """Perturbations in all."""
        n = len(self.genes)
        return n if self.combinations == "singles" else n * (n - 1) // 2

    def __len__(self) -> int:
        """Count conditions: perturbations times cell types."""
        return self.n_perturbations * len(self.cell_types)

    def conditions(self) -> Iterator[Condition]:
        """Yield every condition: perturbations in the order of the genes, cell types within."""
        size = 1 if self.combinations == "singles" else 2
        for chosen in itertools.combinations(self.genes, size):
            label = f"{chosen[0]}+{CONTROL_LABEL}" if size == 1 else "+".join(chosen)
            perturbation = Perturbation(label, tuple(sorted(chosen)))
            for cell_type in self.cell_types:
                yield Condition(perturbation, cell_type)

    def blocks(self, n_genes: int) -> Iterator[tuple[Condition, ...]]:
        """Yield conditions in blocks of about ``BLOCK_VALUES`` predicted values.

        Args:
            n_genes: Output genes of the model.
        """
        size = max(1, BLOCK_VALUES // max(1, n_genes))
        conditions = self.conditions()
        while block := tuple(itertools.islice(conditions, size)):
            yield block


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRequest:
    """What a user asks to be swept.

    Attributes:
        genes: File of genes; None for the target genes of the model's training data.
        combinations: ``singles`` or ``pairs``.
        cell_type: Only this cell type; None for all.
        allow_unknown: Take genes that nobody knows as average genes.
    """

    genes: Path | None = None
    combinations: str = "singles"
    cell_type: str | None = None
    allow_unknown: bool = False


def checkpoint_sweep(model: DyGenePTModel, request: SweepRequest) -> Sweep:
    """Return the sweep that a request asks of a kept model.

    Raises:
        DygeneptError: As ``read_genes`` and ``sweep_of``.
    """
    genes = model.outputs.target_genes if request.genes is None else read_genes(request.genes)
    vocabulary = vocabulary_of(model, allow_unknown=request.allow_unknown)
    return sweep_of(genes, request.combinations, vocabulary, request.cell_type)


def read_genes(path: Path) -> tuple[str, ...]:
    """Read a list of genes: one per line; blank lines and those that begin with # are left out.

    Raises:
        DataError: If the file is not there, is not text, or names no gene.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"cannot read the list of genes {path}: {why}") from error
    found = [line.strip() for line in lines]
    genes = tuple(dict.fromkeys(gene for gene in found if gene and not gene.startswith("#")))
    if not genes:
        raise DataError(f"{path} names no gene; write one gene per line")
    return genes


def sweep_of(
    genes: Sequence[str],
    combinations: str,
    vocabulary: Vocabulary,
    cell_type: str | None = None,
) -> Sweep:
    """Read genes as a user writes them, and say what is to be predicted.

    Raises:
        ConfigError: If ``combinations`` is neither.
        DataError: If a gene is refused (see ``asked_conditions``), stands for several genes, or
            there are fewer than two for pairs.
    """
    if combinations not in COMBINATIONS:
        raise ConfigError(
            f"unknown combinations {combinations!r}; {nearest(combinations, COMBINATIONS)}"
        )
    asked = asked_conditions(genes, vocabulary, cell_type)
    several = [of.label for of in asked.conditions if len(of.genes) > 1]
    if several:
        raise DataError(f"the list of genes has {several[0]!r}; write one gene per line")
    found = tuple(dict.fromkeys(of.genes[0] for of in asked.conditions))
    if combinations == "pairs" and len(found) < 2:
        raise DataError("pairs need at least two genes")
    chosen = vocabulary.cell_types if cell_type is None else (cell_type,)
    return Sweep(found, combinations, tuple(chosen), asked.notes)


def write_sweep(
    model: DyGenePTModel,
    sweep: Sweep,
    path: Path,
    report: Callable[[Progress], None],
    *,
    spread: Path | None = None,
) -> int:
    """Predict a sweep into one Parquet file, a row group for each block.

    A row is a condition: ``perturbation``, ``cell_type``, then what is predicted of each output
    gene (mean log1p expression, or a table's value) in float32, under its id; ``dygenept score``
    reads this layout. Memory is that of a block, whatever the number of perturbations.

    Args:
        model: A fitted model.
        sweep: What to predict.
        path: Where predictions go.
        report: Callback for progress.
        spread: Where the standard deviation of each prediction's error goes, in the same layout;
            None leaves it out.

    Returns:
        Rows written.

    Raises:
        ConfigError: If a file is not ``.parquet``, or the model states no uncertainty.
        ResultsError: If the disk has not the room.
    """
    paths = (path,) if spread is None else (path, spread)
    for each in paths:
        if each.suffix != ".parquet":
            raise ConfigError(f"{each}: a sweep is written as Parquet; name a .parquet file")
    if len({each.resolve() for each in paths}) < len(paths):
        raise ConfigError(f"{path}: predictions and their spread need a file each")
    gene_ids = model.outputs.gene_ids
    _check_room(path, len(paths) * len(sweep) * len(gene_ids) * 4)
    predict = model.sweeping(sweep.genes, with_spread=spread is not None)
    n_done = 0
    with ExitStack() as files:
        tables = [files.enter_context(_table(each, gene_ids)) for each in paths]
        for block in sweep.blocks(len(gene_ids)):
            found = predict(block)
            if spread is not None and found.spread is None:
                raise ConfigError(
                    "the model states no uncertainty: it is one network without a closed-form start"
                )
            for write, values in zip(tables, (found.expression, found.spread), strict=False):
                assert values is not None
                write(block, values)
            n_done += len(block)
            report(Progress("predict", n_done, len(sweep)))
    return n_done


@contextmanager
def _table(
    path: Path, gene_ids: Sequence[str]
) -> Iterator[Callable[[Sequence[Condition], FloatArray], None]]:
    """Open a Parquet file; what is given writes a block of conditions, n, and values, (n, G)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            *(pa.field(name, pa.string()) for name in LABELS),
            *(pa.field(gene, pa.float32()) for gene in gene_ids),
        ]
    )

    def write(block: Sequence[Condition], values: FloatArray) -> None:
        columns = [pa.array(column) for column in np.ascontiguousarray(values.T)]
        labels = [pa.array([of.label for of in block]), pa.array([of.cell_type for of in block])]
        writer.write_table(pa.Table.from_arrays([*labels, *columns], schema=schema))

    with (
        replaced_whole(path) as temporary,
        # Numbers hardly repeat; a dictionary of each column would be made in vain.
        pq.ParquetWriter(temporary, schema, use_dictionary=list(LABELS)) as writer,
    ):
        yield write


def _check_room(path: Path, n_bytes: int) -> None:
    if is_streamed(path):
        return
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise ResultsError(
            f"{path} may take {n_bytes / 1e9:,.1f} GB, and its disk has {free / 1e9:,.1f} GB free; "
            "name another disk, or fewer genes"
        )
