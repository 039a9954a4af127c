"""A single cell is compared with a control of its own batch where controls are matched by batch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cells_in_batches import in_batches
from core.model.training.test_steps import source

from dygenept.data import batches as matching
from dygenept.data.batches import shared_batches
from dygenept.data.de.lists import de_genes
from dygenept.data.guard import guard_task
from dygenept.data.pseudobulk import pseudobulk
from dygenept.errors import LeakageError
from dygenept.model.control_pool import control_cells
from dygenept.model.training.batches import BatchSource
from dygenept.model.training.options import TrainingOptions
from dygenept.testing import ToyShape, toy_data, toy_task
from dygenept.types import PerturbationData, Task

SHIFT = 2.0
TOY = ToyShape(n_cell_types=2, n_cells=40, n_controls=40)


@pytest.fixture
def matched(monkeypatch: pytest.MonkeyPatch) -> PerturbationData:
    """Batch 1 lies 2 above 0 in every gene; 2 has hardly a control, one cell in ten no batch."""
    monkeypatch.setattr(matching, "MIN_CONTROLS", 5)
    data = toy_data(TOY)
    rng = np.random.default_rng(4)
    batch = np.where(rng.random(data.n_cells) < 0.15, 0, 1).astype(np.int32)
    is_control = data.condition_codes < 0
    batch[is_control] = rng.integers(0, 2, int(is_control.sum()))
    batch[rng.random(data.n_cells) < 0.1] = -1
    perturbed = np.flatnonzero(~is_control)
    batch[perturbed[::9]] = 2
    batch[np.flatnonzero(is_control)[:2]] = 2
    dense = data.expression.toarray() + SHIFT * (batch == 1)[:, None]
    return in_batches(data, batch, expression=dense)


def pairs(batches: BatchSource, task: Task, seed: int) -> list[tuple[int, int]]:
    """The perturbed cell of the task and the control of the pool of each row of an epoch."""
    assert task.cells is not None
    codes = task.cells.condition_codes
    chosen = np.flatnonzero((codes >= 0) & (codes < len(task.train)))
    order = chosen[np.argsort(codes[chosen], kind="stable")]
    return [
        (int(order[cell]), int(control))
        for plan in batches.plans(np.random.default_rng(seed))
        for cell, control in zip(plan.drawn, plan.control_indices, strict=True)
    ]


def test_a_cell_meets_controls_of_its_own_batch_or_where_these_are_few_any(
    matched: PerturbationData,
) -> None:
    task, _ = toy_task(matched)
    cells = task.cells
    assert cells is not None
    assert cells.batch_codes is not None
    controls = np.flatnonzero(cells.condition_codes < 0)
    met: dict[int, set[int]] = {}
    for seed in range(3):
        for cell, control in pairs(source(TrainingOptions(), task), task, seed):
            other = int(controls[control])
            assert cells.cell_type_codes[cell] == cells.cell_type_codes[other]
            own = int(cells.batch_codes[cell])
            assert own in (-1, int(cells.batch_codes[other]))
            met.setdefault(own, set()).add(int(cells.batch_codes[other]))
    # Two batches in two cell types have controls enough; the other cells meet all of them.
    assert len(met) == 5
    assert len(met[-1]) == 5


def test_the_change_of_pairs_is_on_average_that_of_means(matched: PerturbationData) -> None:
    def errors(data: PerturbationData) -> np.ndarray:
        task, _ = toy_task(data)
        batches = source(TrainingOptions(), task)
        sums = torch.zeros_like(batches.conditions.deltas)
        n = torch.zeros(len(sums))
        for seed in range(12):
            rng = np.random.default_rng(seed)
            for plan, batch in zip(
                batches.plans(np.random.default_rng(seed)), batches.epoch(rng), strict=True
            ):
                rows = torch.from_numpy(plan.rows)
                sums.index_add_(0, rows, batch.target)
                n.index_add_(0, rows, torch.ones(len(rows)))
        wanted = toy_task(matched)[0]
        known = source(TrainingOptions(), wanted).conditions.deltas
        return (sums / n[:, None] - known).mean(dim=1).abs().numpy()

    # Most perturbed cells lie in the higher batch, and half of the controls.
    assert errors(replace(matched, batches=None)).min() > 0.3
    assert errors(matched).max() < 0.12


def test_without_matched_batches_nothing_is_drawn_otherwise(matched: PerturbationData) -> None:
    task, _ = toy_task(replace(matched, batches=None))
    assert task.cells is not None
    assert task.cells.batch_codes is None
    plain = source(TrainingOptions(), task)
    # Equal codes of one batch alone change no draw either: the same cells are chosen from.
    kinds = task.cells.cell_type_codes.astype(np.int32)
    one = source(TrainingOptions(), replace(task, cells=replace(task.cells, batch_codes=kinds)))
    assert pairs(plain, task, 5) == pairs(one, task, 5)


def test_codes_follow_the_cells_that_are_kept(matched: PerturbationData) -> None:
    task, _ = toy_task(matched)
    assert matched.batches is not None
    assert task.cells is not None
    assert task.cells.batch_codes is not None
    codes = shared_batches(matched.batches, 2)
    place = {name: row for row, name in enumerate(matched.cell_ids.tolist())}
    kept = [place[name] for name in task.cells.cell_ids.tolist()]
    np.testing.assert_array_equal(task.cells.batch_codes, codes[kept])
    pool = control_cells(task.cells, n_cell_types=2)
    assert pool.batch_codes is not None
    np.testing.assert_array_equal(
        pool.batch_codes, task.cells.batch_codes[task.cells.condition_codes < 0]
    )
    np.testing.assert_array_equal(pool.take(np.array([5, 1])).batch_codes, pool.batch_codes[[5, 1]])
    taken = source(TrainingOptions(), task).take(np.array([3, 0]))
    assert taken.cells is not None
    assert taken.cells.batch_codes is not None
    own = [task.cells.batch_codes[task.cells.condition_codes == condition] for condition in (3, 0)]
    np.testing.assert_array_equal(taken.cells.batch_codes, np.concatenate(own))


def test_the_guard_compares_batches(matched: PerturbationData) -> None:
    def guard(task: Task) -> None:
        means = pseudobulk(matched)
        guard_task(
            task,
            data=matched,
            pseudobulk=means,
            de=de_genes(matched, means),
            held_out=test,
            is_oracle=False,
        )

    task, test = toy_task(matched)
    assert task.cells is not None
    assert task.cells.batch_codes is not None
    guard(task)
    for codes in (None, task.cells.batch_codes[::-1].copy()):
        with pytest.raises(LeakageError, match="own batches"):
            guard(replace(task, cells=replace(task.cells, batch_codes=codes)))
    assert matched.batches is not None
    shared = replace(task, cells=replace(task.cells, batch_codes=matched.batches.rows))
    with pytest.raises(LeakageError):
        guard(shared)
