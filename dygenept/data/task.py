"""One fold of a data set as a task: what a model may see, and what it must predict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dygenept.data.batches import shared_batches
from dygenept.data.de.half_tests import HalfTester
from dygenept.data.memory_of_models import check_given_cells
from dygenept.data.pseudobulk import condition_positions, half_means
from dygenept.errors import SplitError
from dygenept.machine.tables import rows_of
from dygenept.types import (
    Condition,
    DeGenes,
    Fold,
    HeldOut,
    IntArray,
    Perturbation,
    PerturbationData,
    Pseudobulk,
    Runtime,
    Task,
    TaskCells,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a model is given beside the means of the conditions to fit on.

    Attributes:
        cells: A copy of the train, validation and control cells.
        truth: The held-out means; only for ceilings and floors.
        halves: Two halves of the held-out cells beside the truth.
        memory: Most bytes of memory; cells that do not fit beside the rest are refused. None for
            no limit.
    """

    cells: bool = False
    truth: bool = False
    halves: bool = True
    memory: int | None = None


def build_task(
    data: PerturbationData,
    pseudobulk: Pseudobulk,
    de: DeGenes,
    fold: Fold,
    *,
    access: Access,
    runtime: Runtime,
) -> tuple[Task, tuple[Condition, ...]]:
    """Cut a task out of a data set; nothing in it depends on held-out cells unless asked.

    The task shares neither memory nor objects with the data set: arrays are copies, and names are
    new strings, so that no reference leads back from the one to the other.

    Where the fold names a held-out cell type, train and validation conditions are those of the
    other cell types, and the controls of all cell types are given.

    The runtime is passed on; where the truth is handed over, its seed draws the halves.

    Returns:
        The task, and the held-out conditions in the order in which to predict them.

    Raises:
        DataError: If a label does not name a perturbation of the data set, or the cells that a
            model is given do not fit into memory.
        SplitError: If no condition is left to fit on, or the fold's test labels have none. A fold
            without test labels is a fit on everything, and passes.
    """
    train = _known(data, fold.train, fold.test_cell_type)
    val = _known(data, fold.val, fold.test_cell_type)
    test = data.conditions_of(fold.test, cell_type=fold.test_cell_type)
    for name, conditions in (("train", train), ("test", test)):
        if not conditions and (name == "train" or fold.test):
            where = f" (cell type held out: {fold.test_cell_type})" if fold.test_cell_type else ""
            raise SplitError(
                f"data set {data.name!r} has no {name} condition in this fold{where}; choose "
                "fewer folds or another split"
            )
    rows = condition_positions(data, train + val)
    task = Task(
        dataset=_new(data.name),
        is_simulated=data.is_simulated,
        gene_ids=_new_names(data.gene_ids),
        gene_symbols=_new_names(data.gene_symbols),
        target_genes=_new_names(data.target_genes),
        cell_types=_new_names(data.cell_types),
        control_means=pseudobulk.control_means.copy(),
        train=_new_conditions(train),
        val=_new_conditions(val),
        means=rows_of(pseudobulk.means, rows),
        n_cells=pseudobulk.n_cells[rows],
        de_indices=de.indices[rows],
        cells=_cells(data, rows, access.memory) if access.cells else None,
        held_out=_truth(data, pseudobulk, test, access, runtime.seed) if access.truth else None,
        runtime=_new_runtime(runtime),
    )
    return task, _new_conditions(test)


def _known(
    data: PerturbationData, labels: tuple[str, ...], test_cell_type: str | None
) -> tuple[Condition, ...]:
    return tuple(
        condition
        for condition in data.conditions_of(labels)
        if test_cell_type is None or condition.cell_type != test_cell_type
    )


def _cells(data: PerturbationData, rows: IntArray, memory: int | None) -> TaskCells:
    # The last slot is where the code -1 of control cells points to, and stays -1.
    place = np.full(len(data.conditions) + 1, -2, dtype=np.int32)
    place[rows] = np.arange(len(rows))
    place[-1] = -1
    codes = place[data.condition_codes]
    kept = np.flatnonzero(codes >= -1)
    if memory is not None:
        check_given_cells(data, kept, memory)
    return TaskCells(
        expression=data.expression[kept],
        condition_codes=codes[kept],
        cell_type_codes=data.cell_type_codes[kept],
        cell_ids=data.cell_ids[kept],
        batch_codes=None
        if data.batches is None
        else shared_batches(data.batches, len(data.cell_types))[kept],
    )


def _truth(
    data: PerturbationData,
    pseudobulk: Pseudobulk,
    test: tuple[Condition, ...],
    access: Access,
    seed: int,
) -> HeldOut:
    rows = condition_positions(data, test)
    halves = half_means(data, test, np.random.default_rng(seed)) if access.halves else None
    return HeldOut(
        conditions=_new_conditions(test),
        means=rows_of(pseudobulk.means, rows),
        half_means=halves,
        draw_halves=lambda further: half_means(data, test, further),
        n_cells=pseudobulk.n_cells[rows],
        draw_tested_halves=HalfTester(data, test),
    )


def _new(text: str) -> str:
    """Return an equal string that is an object of its own."""
    return text.encode().decode()


def _new_names(names: tuple[str, ...]) -> tuple[str, ...]:
    # Cut out of one text, which takes a fifth of the time.
    cut = tuple(_new("\n".join(names)).split("\n"))
    return cut if len(cut) == len(names) else tuple(_new(name) for name in names)


def _new_conditions(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            Perturbation(_new(condition.label), _new_names(condition.genes)),
            _new(condition.cell_type),
        )
        for condition in conditions
    )


def _new_runtime(runtime: Runtime) -> Runtime:
    def moved(path: Path | None) -> Path | None:
        return None if path is None else Path(_new(str(path)))

    return replace(
        runtime,
        device=_new(runtime.device),
        checkpoint_dir=moved(runtime.checkpoint_dir),
        cache_dir=moved(runtime.cache_dir),
    )
