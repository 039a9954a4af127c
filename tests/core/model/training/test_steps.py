from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dygenept.errors import DataError
from dygenept.model.conditions import condition_set
from dygenept.model.control_pool import control_cells
from dygenept.model.training.batches import BatchSource, perturbed_cells
from dygenept.model.training.optimisation import WeightAverage, learning_rate, make_optimizer
from dygenept.model.training.options import LossOptions, TrainingOptions
from dygenept.testing import ToyShape, toy_data, toy_task
from dygenept.types import Task


def source(options: TrainingOptions, task: Task | None = None) -> BatchSource:
    task = task or toy_task()[0]
    assert task.cells is not None
    n = len(task.train)
    return BatchSource(
        conditions=condition_set(task, slice(0, n), task.target_genes),
        controls=control_cells(task.cells, n_cell_types=len(task.cell_types)),
        cells=perturbed_cells(task, n) if options.target == "cell" else None,
        options=options,
    )


def test_learning_rate_warms_up_then_falls_along_a_cosine() -> None:
    options = TrainingOptions(lr=1.0, min_lr=0.1, warmup_steps=10)
    rates = [learning_rate(step, n_steps=111, options=options) for step in range(111)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.55)
    assert rates[-1] == pytest.approx(0.1)
    assert rates == sorted(rates[:10]) + sorted(rates[10:], reverse=True)


def test_a_short_training_warms_up_over_a_tenth_of_its_steps() -> None:
    options = TrainingOptions(lr=1.0, min_lr=0.0, warmup_steps=500)
    assert learning_rate(1, n_steps=20, options=options) == 1.0
    assert learning_rate(0, n_steps=1, options=options) == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0}, "lr must be above 0"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"min_lr": 1.0}, "min_lr"),
        ({"patience": -1}, "patience"),
        ({"fit_on_validation": True}, "needs patience 0"),
        ({"target": "pseudobulk", "cells_per_condition": 65}, "cells_per_condition"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingOptions(**options)  # type: ignore[arg-type]


def test_a_loss_without_any_term_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one weight"):
        LossOptions(mse_weight=0, de_mse_weight=0, direction_weight=0)


def test_cell_rows_are_held_against_cells_of_their_own_condition_and_type() -> None:
    task, _ = toy_task(toy_data(ToyShape(n_cell_types=2)))
    batches = source(TrainingOptions(batch_size=7), task)
    assert task.cells is not None
    cells, n_seen = task.cells.expression.toarray(), 0
    for batch in batches.epoch(np.random.default_rng(0)):
        for row in range(len(batch.target)):
            cell = batch.target[row] + batch.control[row]
            at = np.flatnonzero((np.abs(cells - cell.numpy()) < 1e-5).all(axis=1))
            codes = set(task.cells.condition_codes[at].tolist())
            wanted = torch.isclose(batches.conditions.deltas, batch.reference[row]).all(dim=1)
            assert set(torch.nonzero(wanted).flatten().tolist()) & codes
            control_type = batches.controls.cell_type_codes[int(batch.control_indices[row])]
            assert set(task.cells.cell_type_codes[at].tolist()) == {int(control_type)}
            n_seen += 1
    assert n_seen == (task.cells.condition_codes >= 0).sum() - _n_val_cells(task)


def _n_val_cells(task: Task) -> int:
    assert task.cells is not None
    return int((task.cells.condition_codes >= len(task.train)).sum())


def test_an_epoch_meets_every_train_cell_once_and_no_validation_cell() -> None:
    task, _ = toy_task()
    batches = source(TrainingOptions(batch_size=9), task)
    deltas = torch.cat([b.target + b.control for b in batches.epoch(np.random.default_rng(0))])
    assert task.cells is not None
    codes = task.cells.condition_codes
    train = task.cells.expression[(codes >= 0) & (codes < len(task.train))].toarray()
    np.testing.assert_allclose(
        np.sort(deltas.sum(dim=1).numpy()), np.sort(train.sum(axis=1)), rtol=1e-4
    )


def test_pseudobulk_rows_come_condition_by_condition() -> None:
    options = TrainingOptions(target="pseudobulk", batch_size=12, cells_per_condition=4)
    batches = source(options)
    drawn = list(batches.epoch(np.random.default_rng(0)))
    assert len(drawn) == batches.steps_per_epoch == -(-len(batches.conditions) // 3)
    first = drawn[0]
    assert first.target.shape[0] == 3
    assert first.gene_indices.shape[0] == first.control.shape[0] == 12
    assert torch.equal(first.gene_indices[0], first.gene_indices[3])
    assert torch.equal(first.target, first.reference)


def test_steps_per_epoch_can_be_set_above_one_pass() -> None:
    options = TrainingOptions(
        target="pseudobulk", batch_size=12, cells_per_condition=4, steps_per_epoch=11
    )
    assert len(list(source(options).epoch(np.random.default_rng(0)))) == 11


def test_batches_depend_on_their_generator_alone() -> None:
    batches = source(TrainingOptions(batch_size=16))
    first, again, other = (
        next(iter(batches.epoch(np.random.default_rng(seed)))).target for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_train_condition_without_cells_is_named() -> None:
    task, _ = toy_task()
    assert task.cells is not None
    task.cells.condition_codes[task.cells.condition_codes == 0] = -1
    with pytest.raises(DataError, match="has no cells"):
        perturbed_cells(task, len(task.train))


def test_averaged_weights_follow_the_declared_recursion() -> None:
    layer = nn.Linear(2, 1, bias=False)
    average = WeightAverage(layer, decay=0.5)
    expected = layer.weight.detach().clone()
    for step in range(12):
        with torch.no_grad():
            layer.weight += 1.0
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * layer.weight.detach()
    torch.testing.assert_close(average.average["weight"], expected)
    kept = layer.weight.detach().clone()
    with average.applied():
        torch.testing.assert_close(layer.weight.detach(), expected)
    assert torch.equal(layer.weight, kept)


def test_without_decay_the_average_is_the_last_weights() -> None:
    layer = nn.Linear(2, 1)
    average = WeightAverage(layer, decay=0.0)
    with torch.no_grad():
        layer.weight += 1.0
    average.update()
    assert torch.equal(average.average["weight"], layer.weight)


def test_only_matrices_decay_and_frozen_weights_are_left_out() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Linear(2, 1))
    network[2].requires_grad_(False)
    optimizer = make_optimizer(network, TrainingOptions(weight_decay=0.3), torch.device("cpu"))
    decays = {
        group["weight_decay"]: [p.shape for p in group["params"]]
        for group in optimizer.param_groups
    }
    assert decays == {0.3: [(2, 3)], 0.0: [(2,), (2,), (2,)]}
