"""The leakage guard: checks, before a model sees it, that a task contains nothing held out.

It trusts nothing that built the task: it compares the task with the data set itself, and walks
every array that the task reaches. It guards against mistakes of the harness and of whatever wraps
it; code that inspects the interpreter's own frames or the results folder is not stopped by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dygenept.data.batches import shared_batches
from dygenept.data.pseudobulk import condition_positions
from dygenept.data.reachable import Array, reachable_arrays
from dygenept.errors import LeakageError
from dygenept.machine.tables import row_parts
from dygenept.types import Condition, DeGenes, IntArray, PerturbationData, Pseudobulk, Task

# Rows of cells that are compared value by value; all of them are compared by length.
SAMPLED_CELLS = 512
# Values of means that are compared together.
COMPARED = 1 << 16


def guard_task(
    task: Task,
    *,
    data: PerturbationData,
    pseudobulk: Pseudobulk,
    de: DeGenes,
    held_out: Sequence[Condition],
    is_oracle: bool,
) -> None:
    """Refuse a task from which held-out expression can be reached.

    ``held_out`` are the conditions that the model will be asked for; ``is_oracle`` is True for
    ceilings and floors, which are handed the truth on purpose.

    Raises:
        LeakageError: If the task contains a held-out condition, mean, DE list or cell, the truth
            (unless an oracle is to see it), or memory that is shared with the data set or larger
            than what is shown.
    """
    leaked = set(task.known) & set(held_out)
    if leaked:
        _refuse(f"the held-out condition {min(leaked).label!r} is among those to fit on")
    if len(set(task.known)) != len(task.known):
        _refuse("a condition is listed twice among those to fit on")
    if task.held_out is not None and not is_oracle:
        _refuse("task.held_out contains the truth, and only ceilings and floors may see it")
    rows = condition_positions(data, task.known)
    _check_means(task, pseudobulk, de, rows)
    _check_cells(task, data, rows)
    _check_memory(task, data, pseudobulk, de, is_oracle=is_oracle)


def _check_means(task: Task, pseudobulk: Pseudobulk, de: DeGenes, rows: IntArray) -> None:
    types = np.arange(len(pseudobulk.control_means), dtype=np.int32)
    expected: tuple[tuple[str, Array, Array, IntArray], ...] = (
        ("means", task.means, pseudobulk.means, rows),
        ("n_cells", task.n_cells, pseudobulk.n_cells, rows),
        ("de_indices", task.de_indices, de.indices, rows),
        ("control_means", task.control_means, pseudobulk.control_means, types),
    )
    for name, given, all_rows, own in expected:
        shape = (len(own), *all_rows.shape[1:])
        if given.shape != shape:
            _refuse(
                f"task.{name} has the shape {given.shape}, where the {len(rows)} conditions to "
                f"fit on give {shape}"
            )
        is_float = given.dtype.kind == "f"
        # Part by part: a second copy of the means may not fit, and a few rows stay in the cache.
        step = max(1, COMPARED // max(1, math.prod(shape[1:])))
        for part in (
            slice(first, min(first + step, rows.stop))
            for rows in row_parts(len(own), math.prod(shape[1:]))
            for first in range(rows.start, rows.stop, step)
        ):
            wanted = all_rows[own[part]]
            # Without NaN one pass tells, where NaN needs ten.
            is_same = np.array_equal(given[part], wanted) or (
                is_float and np.array_equal(given[part], wanted, equal_nan=True)
            )
            if not is_same:
                _refuse(f"task.{name} has other values than those of the conditions to fit on")


def _check_cells(task: Task, data: PerturbationData, rows: IntArray) -> None:
    cells = task.cells
    if cells is None:
        return
    position = np.full(len(data.conditions) + 1, -2, dtype=np.int32)
    position[rows] = np.arange(len(rows))
    position[-1] = -1
    codes = position[data.condition_codes]
    kept = np.flatnonzero(codes >= -1)
    if cells.expression.shape != (len(kept), data.n_genes):
        _refuse(
            f"task.cells has {cells.expression.shape[0]} cells × {cells.expression.shape[1]} "
            f"genes, where train, validation and control make {len(kept)} × {data.n_genes}"
        )
    if not np.array_equal(cells.condition_codes, codes[kept]):
        _refuse("task.cells.condition_codes does not name the cells' own conditions")
    own_batches = None
    if data.batches is not None:
        own_batches = shared_batches(data.batches, len(data.cell_types))[kept]
    # Two Nones are equal to numpy as well, and None is equal to no array.
    if not np.array_equal(cells.batch_codes, own_batches):  # type: ignore[arg-type]
        _refuse("task.cells.batch_codes does not name the cells' own batches")
    if list(cells.cell_ids) != list(data.cell_ids[kept]):
        strange = set(cells.cell_ids) - set(data.cell_ids[kept])
        _refuse(f"task.cells.cell_ids names other cells, such as {min(strange, default='')!r}")
    if not np.array_equal(np.diff(cells.expression.indptr), np.diff(data.expression.indptr)[kept]):
        _refuse("rows of task.cells.expression are those of other cells")
    some = np.unique(np.linspace(0, len(kept) - 1, SAMPLED_CELLS).astype(np.int64))
    given, own = cells.expression[some], data.expression[kept[some]]
    if not np.array_equal(given.data, own.data) or not np.array_equal(given.indices, own.indices):
        _refuse("rows of task.cells.expression are the expression of other cells")


def _check_memory(
    task: Task,
    data: PerturbationData,
    pseudobulk: Pseudobulk,
    de: DeGenes,
    *,
    is_oracle: bool,
) -> None:
    shared: list[tuple[str, Array]] = [
        path_and_array
        for name, part in (("data", data), ("pseudobulk", pseudobulk), ("de", de))
        for path_and_array in reachable_arrays(part, name)
    ]
    # An oracle may reach the truth by design, and with it whatever draws more halves of it.
    truth = task.held_out if is_oracle else None
    seen = task if truth is None else replace(task, held_out=None)
    handed: list[tuple[str, Array]] = list(reachable_arrays(seen, only_numpy=True))
    if truth is not None:
        handed.append(("task.held_out.means", truth.means))
        if truth.half_means is not None:
            handed.append(("task.held_out.half_means", truth.half_means))
    for path, array in handed:
        for name, other in shared:
            if np.may_share_memory(array, other):
                _refuse(f"{path} shares memory with {name}; hand over a copy")
        if array.base is not None and _size(array.base) > array.nbytes:
            _refuse(f"{path} is a view into a larger array, of which a model could read the rest")


def _size(base: object) -> int:
    if isinstance(base, np.ndarray):
        return int(base.nbytes)
    try:
        return memoryview(base).nbytes  # type: ignore[arg-type]
    except (TypeError, ValueError):
        # What cannot say its size, or was closed, may contain anything.
        return 1 << 62


def _refuse(what: str) -> None:
    raise LeakageError(
        f"held-out expression could leak into a model: {what}; this is a fault of the harness or "
        "of what wraps it, not of the data, so nothing was fitted"
    )
