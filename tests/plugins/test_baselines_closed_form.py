"""The baselines against their definitions, worked out by loops over toy means."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.task import Access, build_task
from dygenept.errors import PluginError
from dygenept.plugin.interfaces import Model
from dygenept.plugin.specs import BaselineSpec
from dygenept.testing.baseline_checks import check_baseline
from dygenept.testing.toy import ToyShape, toy_data, toy_task
from dygenept.types import Condition, DoubleArray, Fold, Perturbation, Runtime, Task
from dygenept_plugins.baselines import ceilings, means

# Those of the same modules that have tests of their own.
ELSEWHERE = ("gene_mean", "interpolated_duplicate", "majority")
SPECS: dict[str, BaselineSpec] = {
    spec.name: spec
    for module in (means, ceilings)
    for spec in module.dygenept_baselines()
    if spec.name not in ELSEWHERE
}
ORACLES = ("corrected_duplicate", "shuffled", "technical_duplicate", "truth")


def model_of(name: str) -> Model:
    spec = SPECS[name]
    return spec.factory(spec.config())


def fitted(name: str, task: Task) -> Model:
    model = model_of(name)
    model.fit(task)
    return model


def condition(*genes: str, cell_type: str = "cell") -> Condition:
    label = "+".join(genes) if len(genes) > 1 else f"{genes[0]}+ctrl"
    return Condition(Perturbation(label, tuple(sorted(genes))), cell_type)


def small_task(seed: int = 0) -> Task:
    """Control (1, 1); singles A (2, 1) and B (1, 4), and the combination A+C (5, 6)."""
    known = (condition("A"), condition("A", "C"), condition("B"))
    return Task(
        dataset="small",
        is_simulated=True,
        gene_ids=("x", "y"),
        gene_symbols=("x", "y"),
        target_genes=("A", "B", "C", "D"),
        cell_types=("cell",),
        control_means=np.array([[1.0, 1.0]]),
        train=known[:2],
        val=known[2:],
        means=np.array([[2.0, 1.0], [5.0, 6.0], [1.0, 4.0]]),
        n_cells=np.array([1, 100, 10], dtype=np.int32),
        de_indices=np.full((3, 20), -1, dtype=np.int32),
        runtime=Runtime(seed=seed),
    )


@pytest.mark.parametrize("name", sorted(SPECS))
def test_baselines_conform(name: str) -> None:
    check_baseline(SPECS[name])


@pytest.mark.parametrize(
    ("name", "genes", "expected"),
    [
        ("control_mean", ("A",), (1, 1)),
        # Each perturbation counts once, whatever its number of cells; val counts too.
        ("perturbed_mean", ("D",), (8 / 3, 11 / 3)),
        ("matching_mean", ("C",), (5, 6)),
        ("matching_mean", ("A",), (3.5, 3.5)),
        ("matching_mean", ("A", "B"), ((3.5 + 1) / 2, (3.5 + 4) / 2)),
        ("matching_mean", ("B", "D"), (1, 4)),
        ("matching_mean", ("D",), (8 / 3, 11 / 3)),
        ("matching_mean", ("A", "B", "C"), ((3.5 + 1 + 5) / 3, (3.5 + 4 + 6) / 3)),
        ("additive", ("A", "B"), (1 + 1 + 0, 1 + 0 + 3)),
        # C is in train as part of a combination alone, so it has the mean delta.
        ("additive", ("C",), (8 / 3, 11 / 3)),
        ("additive", ("B", "C"), (1 + 0 + 5 / 3, 1 + 3 + 8 / 3)),
        ("additive", ("A", "B", "D"), (1 + 1 + 0 + 5 / 3, 1 + 0 + 3 + 8 / 3)),
    ],
)
def test_hand_worked_predictions(
    name: str, genes: tuple[str, ...], expected: tuple[float, float]
) -> None:
    predicted = fitted(name, small_task()).predict((condition(*genes),)).expression
    np.testing.assert_allclose(predicted, [expected], atol=1e-12)


def test_without_singles_in_train_additive_adds_mean_deltas() -> None:
    task = replace(small_task(), train=(condition("A", "C"),), val=(), means=np.array([[5.0, 6.0]]))
    predicted = fitted("additive", task).predict((condition("A", "B"),)).expression
    np.testing.assert_allclose(predicted, [[1 + 4 + 4, 1 + 5 + 5]])


def test_random_train_picks_a_train_perturbation_by_seed_and_condition_alone() -> None:
    asked = tuple(condition(f"G{number}") for number in range(40))
    predicted = fitted("random_train", small_task()).predict(asked).expression
    known = small_task().means
    picks = [np.flatnonzero((known == row).all(axis=1)).item() for row in predicted]
    assert set(picks) == {0, 1, 2}
    alone = [fitted("random_train", small_task()).predict((c,)).expression[0] for c in asked]
    np.testing.assert_array_equal(predicted, alone)
    other = fitted("random_train", small_task(seed=1)).predict(asked).expression
    assert not np.array_equal(predicted, other)


def test_random_train_does_not_depend_on_the_order_of_the_task() -> None:
    task = small_task()
    turned = replace(
        task, train=task.val, val=task.train[::-1], means=task.means[::-1], n_cells=task.n_cells
    )
    asked = tuple(condition(f"G{number}") for number in range(10))
    np.testing.assert_array_equal(
        fitted("random_train", turned).predict(asked).expression,
        fitted("random_train", task).predict(asked).expression,
    )


@pytest.mark.parametrize("name", ["perturbed_mean", "matching_mean", "additive"])
def test_cell_types_do_not_mix(name: str) -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    task, held_out = toy_task(data)
    both = fitted(name, task).predict(held_out).expression
    own = [row for row, item in enumerate(task.known) if item.cell_type == "toy_b"]
    changed = task.means.copy()
    changed[own] += 7.0
    shifted = fitted(name, replace(task, means=changed)).predict(held_out).expression
    for row, item in enumerate(held_out):
        assert np.array_equal(both[row], shifted[row]) == (item.cell_type == "toy_a")


def test_a_cell_type_without_train_perturbations_takes_the_deltas_of_the_others() -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    bulk = pseudobulk(data)
    labels = tuple(sorted({c.label for c in data.conditions if c.cell_type == "toy_a"}))
    task, held_out = build_task(
        data,
        bulk,
        de_genes(data, bulk),
        Fold(train=labels, val=(), test=labels, test_cell_type="toy_b"),
        access=Access(),
        runtime=Runtime(),
    )
    control_a, control_b = bulk.control_means
    deltas = task.means - control_a
    np.testing.assert_allclose(
        fitted("perturbed_mean", task).predict(held_out).expression,
        np.tile(control_b + deltas.mean(axis=0), (len(held_out), 1)),
    )
    single = next(item for item in held_out if len(item.genes) == 1)
    (row,) = (row for row, item in enumerate(task.train) if item.label == single.label)
    np.testing.assert_allclose(
        fitted("additive", task).predict((single,)).expression[0], control_b + deltas[row]
    )
    with_gene = [r for r, item in enumerate(task.train) if single.genes[0] in item.genes]
    np.testing.assert_allclose(
        fitted("matching_mean", task).predict((single,)).expression[0],
        control_b + deltas[with_gene].mean(axis=0),
    )
    np.testing.assert_array_equal(
        fitted("control_mean", task).predict((single,)).expression[0], control_b
    )


@pytest.mark.parametrize("n_cell_types", [1, 2])
def test_shuffled_gives_everyone_the_truth_of_someone_else_of_their_cell_type(
    n_cell_types: int,
) -> None:
    data = toy_data(ToyShape(n_cell_types=n_cell_types))
    for seed in range(20):
        task, held_out = toy_task(data, held_out=True, seed=seed)
        assert task.held_out is not None
        predicted = fitted("shuffled", task).predict(held_out).expression
        givers = [
            np.flatnonzero((task.held_out.means == row).all(axis=1)).item() for row in predicted
        ]
        assert sorted(givers) == list(range(len(held_out)))
        for taker, giver in enumerate(givers):
            assert taker != giver
            assert held_out[taker].cell_type == held_out[giver].cell_type


def test_shuffled_alone_in_its_cell_type_takes_a_train_perturbation() -> None:
    task, held_out = toy_task(held_out=True)
    assert task.held_out is not None
    lonely = replace(
        task.held_out,
        conditions=held_out[:1],
        means=task.held_out.means[:1],
        half_means=task.held_out.half_means[:, :1],
    )
    predicted = fitted("shuffled", replace(task, held_out=lonely)).predict(held_out[:1]).expression
    assert any(np.array_equal(predicted[0], row) for row in task.means)


def test_the_technical_duplicate_is_one_half_against_the_other() -> None:
    task, held_out = toy_task(held_out=True)
    assert task.held_out is not None
    predictions = fitted("technical_duplicate", task).predict(held_out[::-1])
    halves = task.held_out.half_means[:, ::-1]
    np.testing.assert_array_equal(predictions.expression, halves[0])
    assert predictions.truth is not None
    np.testing.assert_array_equal(predictions.truth, halves[1])
    assert not np.array_equal(halves[0], halves[1])


def test_the_technical_duplicate_draws_several_halvings_that_differ_and_repeat() -> None:
    task, held_out = toy_task(held_out=True)
    assert task.held_out is not None
    first = fitted("technical_duplicate", task).predict(held_out)
    again = fitted("technical_duplicate", task).predict(held_out)
    draws = [first, *first.others]
    assert len(draws) == 5
    for one, other in zip(draws, [again, *again.others], strict=True):
        np.testing.assert_array_equal(one.expression, other.expression)
        assert one.conditions == held_out
    assert len({draw.expression.tobytes() for draw in draws}) == 5
    data = toy_data()
    for row, item in enumerate(held_out):
        cells = data.expression[data.condition_codes == data.conditions.index(item)].toarray()
        (n_cells, _), total = cells.shape, cells.sum(axis=0, dtype=np.float64)
        for draw in draws:
            assert draw.truth is not None
            # Every cell is in one half: n/2 cells predict, the others are the truth.
            own, other = n_cells // 2, n_cells - n_cells // 2
            sums = [
                a * draw.expression[row] + b * draw.truth[row]
                for a, b in ((own, other), (other, own))
            ]
            assert min(np.abs(of - total).max() for of in sums) < 1e-4


def test_one_halving_can_be_asked_for() -> None:
    task, held_out = toy_task(held_out=True)
    spec = SPECS["technical_duplicate"]
    model = spec.factory(spec.config(n_halves=1))
    model.fit(task)
    assert model.predict(held_out).others == ()


def test_the_technical_duplicate_of_one_cell_has_no_truth() -> None:
    task, held_out = toy_task(held_out=True)
    assert task.held_out is not None
    halves = task.held_out.half_means.copy()
    halves[0, 0] = np.nan
    task = replace(task, held_out=replace(task.held_out, half_means=halves))
    predictions = fitted("technical_duplicate", task).predict(held_out)
    assert predictions.truth is not None
    assert np.isnan(predictions.truth[0]).all()
    assert np.isfinite(predictions.truth[1:]).all()
    assert np.isfinite(predictions.expression).all()


def test_the_truth_is_the_truth_whatever_the_order() -> None:
    task, held_out = toy_task(held_out=True)
    assert task.held_out is not None
    predicted: DoubleArray = fitted("truth", task).predict(held_out[::-1]).expression
    np.testing.assert_array_equal(predicted, task.held_out.means[::-1])


@pytest.mark.parametrize("name", ORACLES)
def test_an_oracle_is_refused_where_the_truth_is_hidden(name: str) -> None:
    task, _ = toy_task()
    with pytest.raises(PluginError, match="the task hides"):
        fitted(name, task)


@pytest.mark.parametrize("name", ORACLES)
def test_an_oracle_is_refused_what_is_not_held_out(name: str) -> None:
    task, _ = toy_task(held_out=True)
    with pytest.raises(PluginError, match="is not held out in this fold"):
        fitted(name, task).predict(task.train[:1])


@pytest.mark.parametrize("name", sorted(SPECS))
def test_predicting_before_fitting_is_refused(name: str) -> None:
    with pytest.raises(PluginError, match=r"before it (is|was) fitted"):
        model_of(name).predict(())


@pytest.mark.parametrize("name", ["control_mean", "perturbed_mean", "additive", "random_train"])
def test_an_unknown_cell_type_is_refused_and_the_nearest_named(name: str) -> None:
    with pytest.raises(PluginError, match="no cell type 'cells'; did you mean 'cell'"):
        fitted(name, small_task()).predict((condition("A", cell_type="cells"),))


def test_roles_say_who_competes() -> None:
    roles = {name: spec.role for name, spec in SPECS.items()}
    assert {name for name, role in roles.items() if role != "baseline"} == set(ORACLES)
    assert roles["shuffled"] == "floor"
