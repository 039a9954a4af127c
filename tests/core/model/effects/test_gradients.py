"""Gradient steps with a masked loss on tables of effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from core.model.effects.toy_screen import (
    N_GENES,
    OPTIONS,
    Maker,
    condition,
    held_out,
    likeness,
    screen,
)
from scipy import sparse

from dygenept.errors import ConfigError, DataError
from dygenept.model.effects import gradients
from dygenept.model.effects.fitted_start import Start
from dygenept.model.effects.gradients import ConditionTensors, _drawn, added_to, masked_losses
from dygenept.model.effects.pair_network import PairNetwork
from dygenept.model.effects.pairs import Pairs, Units
from dygenept.model.effects.table_model import TableModel, TableParts, control_means
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.network import Parts
from dygenept.model.training.options import TableOptions, TrainingOptions
from dygenept.types import Condition, DoubleArray, EffectControls, Task
from dygenept.types.effects import EffectKind


def test_steps_are_kept_where_they_learn_what_the_start_cannot(make_table_model: Maker) -> None:
    task, truth = screen(noise=1.5)
    model = make_table_model()
    model.fit(task)
    assert model.steps.share > 0
    assert model.chosen["networks_trained"] == 3
    assert float(model.chosen["share_changed_by_steps"]) > 0.05
    assert 0.01 < float(model.chosen["share_reordered_by_steps"]) < 0.5
    start = model.start.predict(held_out()).expression
    found = model.predict(held_out()).expression
    assert np.square(found - truth).mean() < 0.95 * np.square(start - truth).mean()


def test_steps_are_dropped_where_there_is_nothing_to_learn(make_table_model: Maker) -> None:
    task, _ = screen(noise=1.0, signal=0.0, kind="labels")
    model = make_table_model(replace(OPTIONS, epochs=2))
    model.fit(task)
    assert model.steps.losses
    assert model.chosen["share_of_steps_added"] == 0
    assert model.chosen["epochs_kept"] == 0
    assert model.chosen["share_changed_by_steps"] == 0
    assert model.chosen["share_reordered_by_steps"] == 0
    start = model.start.predict(held_out()).expression
    np.testing.assert_array_equal(model.predict(held_out()).expression, start)


def test_the_start_is_judged_by_the_error_that_chose_it(make_table_model: Maker) -> None:
    task, _ = screen(noise=0.5, kind="labels")
    model = make_table_model(replace(OPTIONS, epochs=1))
    model.fit(task)
    assert model.steps.start_error == pytest.approx(model.start.chosen["left-out error"])


@pytest.mark.parametrize("astray", [1, 2])
def test_an_epoch_that_went_astray_is_never_the_best(
    make_table_model: Maker, monkeypatch: pytest.MonkeyPatch, astray: int
) -> None:
    task, _ = screen(noise=1.5)
    good = make_table_model(replace(OPTIONS, epochs=1, standard_errors=-1000.0))
    good.fit(task)
    n_folds, calls = good.steps.n_networks, 0

    def added(*given: Any) -> DoubleArray:
        nonlocal calls
        calls += 1
        found = added_to(*given)
        return found * np.nan if (calls - 1) // n_folds + 1 >= astray else found

    monkeypatch.setattr(gradients, "added_to", added)
    model = make_table_model(replace(OPTIONS, epochs=2, standard_errors=-1000.0))
    model.fit(task)
    assert model.steps.epochs_kept == astray - 1
    assert (model.steps.share > 0) == (astray == 2)
    assert bool(model.steps.weights) == (astray == 2)
    if astray == 2:
        assert model.steps.error == good.steps.error
    assert np.isfinite(model.predict(held_out()).expression).all()


def test_without_epochs_the_start_is_the_model(make_table_model: Maker) -> None:
    task, _ = screen(noise=1.5)
    model = make_table_model(replace(OPTIONS, epochs=0))
    model.fit(task)
    start = model.start.predict(held_out()).expression
    np.testing.assert_array_equal(model.predict(held_out()).expression, start)
    assert model.chosen["epochs_trained"] == 0


def test_the_same_seed_trains_the_same(make_table_model: Maker) -> None:
    task, _ = screen(noise=1.5)
    first, again = (make_table_model(replace(OPTIONS, epochs=1)) for _ in range(2))
    first.fit(task)
    again.fit(task)
    assert first.steps.losses == again.steps.losses
    other = make_table_model(replace(OPTIONS, epochs=1))
    other.fit(replace(task, runtime=replace(task.runtime, seed=7)))
    assert other.steps.losses != first.steps.losses


def moved_network(model: TableModel) -> PairNetwork:
    """The network with weights away from their zeros."""
    network = model._built(model.fitted.plan, model.fitted.start.likeness)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())
            )
    return network.eval()


def test_every_output_of_a_condition_is_what_its_pairs_are(make_table_model: Maker) -> None:
    task, _ = screen(noise=1.0)
    model = make_table_model(replace(OPTIONS, epochs=1))
    model.fit(task)
    network = moved_network(model)
    asked = [condition("PERT50"), condition("PERT1+PERT2"), condition("NEVERSEEN")]
    conditions = model._tensors(asked, task.cell_types)
    whole = network.every_output(conditions.gene_indices, conditions.cell_types).numpy()
    rows, columns = (place.ravel() for place in np.indices(whole.shape))
    nothing = np.zeros(len(rows))
    pairs = Pairs(
        Units("values"), rows, columns, nothing, nothing, nothing, nothing, np.arange(len(rows))
    )
    found = added_to(network, conditions, pairs).reshape(whole.shape)
    # Of single precision, whose last digit other processors round otherwise.
    torch.testing.assert_close(torch.from_numpy(whole), torch.from_numpy(found).float())
    assert np.ptp(whole[0]) > 0.01
    assert np.abs(whole[0] - whole[1]).max() > 0.01


def test_an_untrained_network_adds_nothing(make_table_model: Maker) -> None:
    task, _ = screen(noise=1.0)
    model = make_table_model(replace(OPTIONS, epochs=1))
    model.fit(task)
    conditions: ConditionTensors = model._tensors(task.known, task.cell_types)
    network = model._built(model.fitted.plan, model.fitted.start.likeness)
    found = network.every_output(conditions.gene_indices, conditions.cell_types)
    assert not found.any()


def pairs_of(kind: EffectKind, *, start: Sequence[float], truth: Sequence[float]) -> Pairs:
    places = np.arange(len(start))
    return Pairs(
        Units(kind), places, places, np.array(truth), np.ones(len(start)), np.array(start),
        np.zeros(len(start)), places,
    )  # fmt: skip


def test_order_within_a_gene_changes_where_the_variance_hardly_does() -> None:
    # Within the first gene all but one are near each other; the second, far above, is not moved.
    columns = np.repeat([0, 1, 2], [5, 5, 4])
    start = np.array([0.0, 0.01, 0.02, 0.03, 1.0, *np.arange(9.0, 14.0), *np.zeros(4)])
    nothing, rows = np.zeros(len(start)), np.arange(len(start))
    pairs = Pairs(Units("values"), rows, columns, nothing, nothing + 1.0, start, nothing, rows)
    added = np.zeros(len(start))
    assert pairs.share_reordered(added) == 0
    # Six comparisons of ten come out otherwise; a gene of four pairs does not count.
    added[:4] = -2 * start[:4]
    added[10:] = np.arange(4.0)
    assert pairs.share_reordered(added) == pytest.approx((0.6 + 0.0) / 2)
    assert added[:10].var() < 1e-4 * start[:10].var()
    # Shuffled pairs say the same, and ties that are broken count as well.
    shuffled = np.random.default_rng(0).permutation(len(start))
    assert pairs.take(shuffled).share_reordered(added[shuffled]) == pytest.approx(0.3)
    tied = replace(pairs, start=np.zeros(len(start)))
    # The first and the last of the first gene stay the same.
    assert tied.share_reordered(added) == pytest.approx((0.9 + 0.0) / 2)


def test_losses_are_those_of_their_definitions() -> None:
    added = torch.tensor([0.5, -1.0], dtype=torch.float64)
    numbers = masked_losses(pairs_of("values", start=[1.0, 2.0], truth=[0.0, 3.0]), added)
    assert numbers.tolist() == [2.25, 4.0]
    labels = masked_losses(pairs_of("labels", start=[0.5, 1.0], truth=[1.0, 0.0]), added)
    expected = [np.log1p(np.exp(-1.0)), np.log(2.0)]
    np.testing.assert_allclose(labels.numpy(), expected)


def test_unmeasured_pairs_and_weights_of_zero_teach_nothing(make_table_model: Maker) -> None:
    task, _ = screen(noise=1.0)
    assert task.effects is not None
    weights = np.where(np.arange(N_GENES) < 20, 1.0, 0.0) * np.ones((48, 1))
    weighed = replace(task, effects=replace(task.effects, weights=weights))
    other = replace(weighed, means=np.where(task.effects.is_observed, task.means, 9.0))
    losses = []
    for seen in (weighed, other):
        model = make_table_model(replace(OPTIONS, epochs=1))
        model.fit(seen)
        pairs = Pairs.of(model.start.measured, model.start.left_out)
        assert pairs.columns.max() == 19
        losses.append(model.steps.losses)
    assert losses[0] == losses[1]


def test_a_pair_counts_by_its_weight_in_the_loss(make_table_model: Maker) -> None:
    task, _ = screen(noise=1.0)
    assert task.effects is not None
    weights = np.random.default_rng(0).uniform(0.1, 1.0, (48, N_GENES))
    model = make_table_model(replace(OPTIONS, epochs=1, batch_size=10_000, lr=1e-9))
    model.fit(replace(task, effects=replace(task.effects, weights=weights)))
    pairs = Pairs.of(model.start.measured, model.start.left_out)
    expected = [
        np.average(np.square(some.start - some.truth), weights=some.weights)
        for some in (pairs.take(~held) for held in model._held_out(pairs, model_seed()))
    ]
    assert model.steps.losses[0] == pytest.approx(np.mean(expected), rel=1e-5)


def test_an_epoch_takes_its_least_steps_and_no_more_than_its_most_pairs() -> None:
    options = TableOptions(batch_size=4, least_steps=3, pairs_per_epoch=20)
    for n, expected in ((5, 12), (15, 15), (50, 20)):
        order = _drawn(n, options, np.random.default_rng(0))
        counts = np.bincount(order, minlength=n)
        assert len(order) == expected
        assert np.ptp(counts) <= 1


def model_seed() -> int:
    from dygenept.model.seeds import member_seed

    return member_seed(0, 0)


@pytest.mark.parametrize("kind", ["labels", "signs", "values"])
def test_units_lead_back_to_what_was_measured(kind: EffectKind) -> None:
    start = Start(np.array([[0.2, 0.7]]), np.array([[0.1, -0.3]]))
    units = Units(kind, sharpness=2.0, size=4.0)
    sums = units.start(start)
    predicted = units.prediction(sums)
    if kind == "labels":
        assert ((predicted > 0) & (predicted < 1)).all()
        # More change is a higher prediction, and no change the gene's mean.
        plain = units.prediction(units.start(replace(start, changes=np.zeros((1, 2)))))
        np.testing.assert_allclose(plain, start.means)
        assert predicted[0, 0] > 0.2
        assert predicted[0, 1] < 0.7
    else:
        np.testing.assert_allclose(predicted, start.prediction)
        np.testing.assert_allclose(units.truth(np.array([2.0])), [0.5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": -1}, "epochs must be at least 0"),
        ({"n_folds": 1}, "n_folds must be at least 2"),
        ({"lr": 0.0}, "lr must be above 0"),
    ],
)
def test_options_out_of_range_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TableOptions(**changes)  # type: ignore[arg-type]


def with_controls(task: Task) -> Task:
    """Two cell types of which the second expresses more, and one output gene among theirs."""
    assert task.effects is not None
    rng = np.random.default_rng(2)
    expression = rng.uniform(0.0, 1.0, (12, 5)).astype(np.float32)
    codes = np.repeat([0, 1], 6).astype(np.int32)
    expression[codes == 1] += 2.0
    symbols = ("KLF1", "OUT3", "GATA1", "MYC", "TP53")
    controls = EffectControls(sparse.csr_matrix(expression), symbols, codes)
    means = np.repeat(task.effects.gene_means, 2, axis=0)
    return replace(
        task,
        cell_types=("K562", "RPE1"),
        control_means=np.zeros((2, N_GENES)),
        effects=replace(task.effects, controls=controls, gene_means=means),
    )


def test_the_state_of_control_cells_moves_what_is_added(make_table_model: Maker) -> None:
    task = with_controls(screen(noise=1.0)[0])
    model = make_table_model(replace(OPTIONS, epochs=1))
    model.fit(task)
    assert model.chosen["control_cells"] == 12
    network = moved_network(model)
    asked = [Condition(condition("PERT50").perturbation, name) for name in task.cell_types]
    conditions = model._tensors(asked, task.cell_types)
    first, second = network.every_output(conditions.gene_indices, conditions.cell_types).numpy()
    assert np.abs(first - second).max() > 0.01


def test_control_means_are_those_of_output_genes_that_the_cells_have() -> None:
    task = with_controls(screen(noise=1.0)[0])
    assert task.effects is not None
    assert task.effects.controls is not None
    means = control_means(task)
    column = task.effects.controls.expression[:, 1].toarray().ravel()
    np.testing.assert_allclose(means[:, 3], [column[:6].mean(), column[6:].mean()], rtol=1e-6)
    assert np.count_nonzero(means) == 2
    assert not control_means(screen(noise=1.0)[0]).any()


def test_the_model_of_both_kinds_says_what_a_table_lacks(make_parts: Callable[..., Parts]) -> None:
    task, _ = screen(noise=1.0)
    parts = make_parts()
    model = DyGenePTModel(
        parts=parts,
        knowledge=lambda genes, runtime: pytest.fail("no facet set is opened for a table"),
        width=16,
        options=TrainingOptions(),
        of_table=TableParts(parts, likeness, replace(OPTIONS, epochs=0)),
    )
    with pytest.raises(DataError, match="not trained yet"):
        _ = model.outputs
    model.fit(task)
    assert model.chosen["epochs_trained"] == 0
    assert model.predict(held_out()).expression.shape == (len(held_out()), N_GENES)
    assert model.outputs.kind == "values"
    assert model.outputs.reference.shape == (1, N_GENES)
    with pytest.raises(DataError, match="fitted to a table of effects, and this needs cells"):
        model.explain(held_out())


def test_a_width_that_fits_no_part_is_said_to_be_the_tables(make_table_model: Maker) -> None:
    task, _ = screen(noise=1.0)
    model = make_table_model(replace(OPTIONS, width=9))
    with pytest.raises(ConfigError, match=r"does not divide the width 9; .* is table\.width$"):
        model.fit(task)
