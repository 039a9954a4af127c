"""What metrics are given, and what is made of their results."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from core.evaluation.small_cells import BULK, A, B, C, X, Y, cells_data

from dygenept.errors import PluginError, ShapeError
from dygenept.evaluation import scoring
from dygenept.evaluation.cell_samples import cell_samples
from dygenept.evaluation.control_cells import ControlHalves
from dygenept.evaluation.draws import averaged
from dygenept.evaluation.scoring import GroundTruth, metric_inputs, score
from dygenept.machine import tables
from dygenept.plugin.specs import MetricSpec
from dygenept.types import (
    Condition,
    DeGenes,
    DeTests,
    MetricInputs,
    MetricValues,
    Predictions,
    Score,
)


def inputs_of(
    expression: np.ndarray, *, truth: np.ndarray | None = None, **evidence: object
) -> MetricInputs:
    data = cells_data()
    return metric_inputs(
        Predictions(data.conditions[1:], expression, truth=truth),
        GroundTruth(
            data=data,
            pseudobulk=BULK,
            de=DeGenes("top", "file", np.arange(60, dtype=np.int32).reshape(3, 20)),
            **evidence,  # type: ignore[arg-type]
        ),
        train_means={X: np.array([7.0, 8.0]), Y: np.array([9.0, 6.0])},
    )


def test_metrics_see_each_conditions_own_rows() -> None:
    tests = DeTests(np.eye(3, 2, dtype=np.bool_), np.arange(6.0).reshape(3, 2))
    samples = cell_samples(cells_data(), BULK, seed=0)
    found = inputs_of(np.ones((2, 2), dtype=np.float32), de_tests=tests, cells=samples)
    assert found.conditions == cells_data().conditions[1:]
    assert found.predicted.dtype == np.float64
    assert found.truth.tolist() == [[3, 5], [2, 0]]
    assert found.control.tolist() == [[0, 1], [1, 1]]
    assert found.perturbed_mean.tolist() == [[9, 6], [7, 8]]
    assert found.de_indices[:, 0].tolist() == [20, 40]
    assert found.gene_symbols == ("G0", "G1")
    assert found.de_tests is not None
    assert found.de_tests.scores_vs_rest.tolist() == [[2, 3], [4, 5]]
    assert found.cells is not None
    assert found.cells.real(1)[:, 0].tolist() == [2, 7]
    for array in (found.predicted, found.truth, found.control, found.perturbed_mean):
        assert not array.flags.writeable
    assert not found.de_indices.flags.writeable


def test_without_evidence_metrics_see_none() -> None:
    found = inputs_of(np.ones((2, 2)))
    assert found.de_tests is None
    assert found.cells is None


def test_values_that_are_not_finite_are_counted_and_the_first_is_named() -> None:
    wrong = np.array([[1.0, np.inf], [np.nan, np.nan]])
    with pytest.raises(PluginError, match=r"^3 predicted .* first inf for gene 'G1' of 'A\+ctrl'"):
        inputs_of(wrong)


def test_a_prediction_may_be_anything_where_there_is_no_truth() -> None:
    wrong = np.array([[np.nan, np.nan], [1.0, 1.0]])
    own = np.array([[np.nan, 1.0], [2.0, 2.0]], dtype=np.float32)
    found = inputs_of(wrong, truth=own)
    assert found.truth.dtype == np.float64
    with pytest.raises(PluginError, match=r"^1 predicted"):
        inputs_of(np.array([[np.nan, 1.0], [np.nan, 1.0]]), truth=own)


def test_shapes_that_do_not_fit_are_refused_with_both_sizes() -> None:
    with pytest.raises(ShapeError, match=r"3 genes .*'cells' has 2"):
        inputs_of(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"\(2, 1\), expected \(2, 2\)"):
        inputs_of(np.ones((2, 2)), truth=np.ones((2, 1)))


def spec_of(name: str, **values: object) -> MetricSpec:
    return MetricSpec(
        name=name,
        summary="",
        source="test",
        higher_is_better=True,
        factory=lambda config: None,  # type: ignore[arg-type,return-value]
        **values,  # type: ignore[arg-type]
    )


def test_scores_of_conditions_with_a_truth_land_on_their_rows() -> None:
    truth = np.array([[np.nan, 1.0], [2.0, 2.0]])
    inputs = inputs_of(np.ones((2, 2)), truth=truth)

    def metric(seen: MetricInputs) -> MetricValues:
        assert seen.conditions == inputs.conditions[1:]
        return MetricValues(np.array([np.nan]), {0: "because"})

    first, second = score([(spec_of("mine"), metric)], inputs)
    assert (first.value, first.reason) == (None, "too few cells to have a truth")
    assert (second.value, second.reason, second.metric) == (None, "because", "mine")
    (_, found) = score([(spec_of("mine"), lambda seen: MetricValues(np.array([3.0])))], inputs)
    assert (found.value, found.reason) == (3.0, None)
    assert isinstance(found.value, float)


def test_a_metric_that_fails_is_named() -> None:
    def metric(seen: MetricInputs) -> MetricValues:
        raise ZeroDivisionError("oh")

    with pytest.raises(PluginError, match=r"^metric 'mine' raised ZeroDivisionError: oh"):
        score([(spec_of("mine"), metric)], inputs_of(np.ones((2, 2))))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1.0, 2.0], "must return MetricValues, got list"),
        (MetricValues(np.ones(3)), r"shape \(3,\), expected \(2,\)"),
        (MetricValues(np.ones((2, 1))), r"shape \(2, 1\), expected"),
        (MetricValues(np.array([1.0, -np.inf])), "infinite value"),
        (MetricValues(np.array([1.0, np.nan])), "condition 1 breaks"),
        (MetricValues(np.array([np.nan, np.nan]), {0: "a"}), "condition 1 breaks"),
        (MetricValues(np.array([1.0, 1.0]), {1: "a", 0: "b"}), "condition 0 breaks"),
        (MetricValues(np.array([np.nan, 1.0]), {1: "a"}), "condition 0 breaks"),
    ],
)
def test_a_result_that_breaks_the_contract_is_refused(result: object, message: str) -> None:
    with pytest.raises(PluginError, match=rf"^metric 'mine' .*{message}"):
        score([(spec_of("mine"), lambda seen: result)], inputs_of(np.ones((2, 2))))  # type: ignore[list-item,arg-type,return-value]


def test_draws_are_averaged_where_they_are_defined() -> None:
    def of(*values: float | None) -> list[Score]:
        return [
            Score(Condition(item, X), "m", value, None if value is not None else f"no {value}")
            for item, value in zip((A, B, C), values, strict=True)
        ]

    first, second, third = averaged([of(1.0, None, None), of(2.0, 4.0, None)])
    assert (first.value, first.reason) == (1.5, None)
    assert (second.value, second.reason) == (4.0, None)
    assert (third.value, third.reason) == (None, "no None")
    assert [item.condition.perturbation for item in (first, second, third)] == [A, B, C]


@pytest.mark.parametrize(
    "chance", [np.ones(1), np.ones((2, 1)), np.array([np.nan, 1.0]), np.array([1.0, np.inf])]
)
def test_a_chance_that_does_not_fit_is_refused(chance: np.ndarray) -> None:
    with pytest.raises(PluginError, match=r"^metric 'mine' must give a finite chance level"):
        score(
            [(spec_of("mine"), lambda seen: MetricValues(np.ones(2), chance=chance))],
            inputs_of(np.ones((2, 2))),
        )
    # Where a value is undefined its chance is not read.
    (found, _) = score(
        [
            (
                spec_of("mine"),
                lambda seen: MetricValues(
                    np.array([np.nan, 1.0]), {0: "no"}, chance=np.array([np.nan, 0.5])
                ),
            )
        ],
        inputs_of(np.ones((2, 2))),
    )
    assert found.chance is None


def test_minus_zero_is_zero_and_chances_are_plain_numbers() -> None:
    (found, other) = score(
        [(spec_of("mine", chance=0.5), lambda seen: MetricValues(np.array([-0.0, 1.0])))],
        inputs_of(np.ones((2, 2))),
    )
    assert str(found.value) == "0.0"
    assert (found.chance, other.chance) == (0.5, 0.5)
    assert type(other.chance) is float


@pytest.mark.parametrize("n_threads", [1, 2])
def test_results_stand_in_the_order_of_the_metrics_in_one_thread_or_two(
    n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "n_threads", lambda: n_threads)
    threads: dict[str, int] = {}

    def named(name: str, value: float) -> tuple[MetricSpec, object]:
        def metric(seen: MetricInputs) -> MetricValues:
            threads[name] = threading.get_ident()
            return MetricValues(np.full(2, value))

        return spec_of(name, by_row=name.startswith("row")), metric

    metrics = [named("row1", 1.0), named("all1", 2.0), named("all2", 3.0), named("row2", 4.0)]
    found = score(metrics, inputs_of(np.ones((2, 2))))  # type: ignore[arg-type]
    assert [item.metric for item in found] == [
        name for name in ("row1", "all1", "all2", "row2") for _ in "xy"
    ]
    assert [item.value for item in found] == [1, 1, 2, 2, 3, 3, 4, 4]
    own = threading.get_ident()
    assert threads["row1"] == threads["row2"] == own
    assert threads["all1"] == threads["all2"]
    assert (threads["all1"] == own) is (n_threads == 1)


@pytest.mark.parametrize("part_values", [1 << 21, 2])
def test_references_and_controls_are_laid_out_in_parts(
    part_values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "PART_VALUES", part_values)
    found = inputs_of(
        np.ones((2, 2)), control_halves=ControlHalves(np.arange(8.0).reshape(2, 2, 2))
    )
    assert found.control.tolist() == [[0, 1], [1, 1]]
    assert found.perturbed_mean.tolist() == [[9, 6], [7, 8]]
    assert found.truth.tolist() == [[3, 5], [2, 0]]
    assert found.control_halves is not None
    assert found.control_halves.tolist() == [[[2, 3], [0, 1]], [[6, 7], [4, 5]]]
    for array in (found.control, found.perturbed_mean, found.control_halves):
        assert array.dtype == np.float64


def test_a_model_may_write_into_its_own_predictions_afterwards() -> None:
    expression, own = np.ones((2, 2)), np.ones((2, 2))
    found = inputs_of(expression, truth=own)
    expression[0, 0] = own[0, 0] = 5.0
    for array in (found.predicted, found.truth):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1.0


def test_draws_are_averaged_condition_by_condition_and_one_draw_is_itself() -> None:
    one = [Score(Condition(A, X), "m", 0.25, None, chance=0.5)]
    assert averaged([one]) == one
    assert averaged([one]) is not one
    other = [Score(Condition(A, X), "m", 0.75, None, chance=0.9)]
    (found,) = averaged([one, other])
    assert (found.value, found.chance) == (0.5, 0.5)
    with pytest.raises(ValueError, match="zip"):
        averaged([one, other * 2])


def test_a_condition_of_another_cell_type_is_not_of_the_data_set() -> None:
    data = cells_data()
    truth = GroundTruth(
        data=data,
        pseudobulk=BULK,
        de=DeGenes("top", "file", np.zeros((3, 20), dtype=np.int32)),
    )
    asked = Predictions((Condition(A, X), Condition(B, Y)), np.ones((2, 2)))
    message = r"^a prediction is for 'B\+ctrl' in 'y', of which data set 'cells' has no cell;"
    with pytest.raises(PluginError, match=message):
        metric_inputs(asked, truth, train_means={X: np.zeros(2), Y: np.zeros(2)})


def test_rows_are_positions_of_32_bits() -> None:
    data = cells_data()
    rows = scoring._rows_of(data.conditions[::-1], data)
    assert rows.tolist() == [2, 1, 0]
    assert rows.dtype == np.int32


def test_what_is_laid_out_for_some_conditions_is_shared_by_them_alone() -> None:
    kept: dict[tuple[Condition, ...], scoring.LaidOut] = {}
    tests = DeTests(np.eye(3, 2, dtype=np.bool_), np.arange(6.0).reshape(3, 2))
    halves = ControlHalves(np.arange(8.0).reshape(2, 2, 2))
    first, again = (
        inputs_of(np.ones((2, 2)), de_tests=tests, control_halves=halves, laid_out=kept)
        for _ in range(2)
    )
    asked = cells_data().conditions[1:]
    assert list(kept) == [asked]
    assert kept[asked].rows.tolist() == [1, 2]
    for name in ("control", "de_indices", "de_tests", "control_halves", "single_deltas"):
        assert getattr(first, name) is getattr(again, name), name
    assert np.shares_memory(first.truth, again.truth)
    plain = inputs_of(np.ones((2, 2)), de_tests=tests, control_halves=halves)
    assert not np.shares_memory(plain.truth, first.truth)
    assert plain.truth.tolist() == first.truth.tolist() == [[3, 5], [2, 0]]
    # A control's own truth is its own, and does not stay.
    own = inputs_of(np.ones((2, 2)), truth=np.full((2, 2), 9.0), laid_out=kept)
    assert own.truth.tolist() == [[9, 9], [9, 9]]
    assert np.shares_memory(inputs_of(np.ones((2, 2)), laid_out=kept).truth, first.truth)


@pytest.mark.parametrize("is_in_file", [False, True])
def test_references_of_one_cell_type_are_those_of_several(is_in_file: bool, tmp_path: Path) -> None:
    data = cells_data()
    bulk = BULK
    if is_in_file:
        means = tables.zeros((3, 2), np.float64, folder=tmp_path)
        means[:] = BULK.means
        bulk = replace(BULK, means=means)
    kept: dict[tuple[Condition, ...], scoring.LaidOut] = {}
    truth = GroundTruth(
        data=data,
        pseudobulk=replace(bulk, control_means=BULK.control_means.astype(np.float32)),
        de=DeGenes("top", "file", np.zeros((3, 20), dtype=np.int32)),
        control_halves=ControlHalves(np.arange(8.0, dtype=np.float32).reshape(2, 2, 2)),
        laid_out=kept,
    )
    # Two conditions of x, and then one of y.
    for rows, control, halves, reference in (
        ([0, 2], [[1, 1], [1, 1]], [[[0, 1]] * 2, [[4, 5]] * 2], [[7, 8]] * 2),
        ([1], [[0, 1]], [[[2, 3]], [[6, 7]]], [[9, 6]]),
    ):
        asked = tuple(data.conditions[row] for row in rows)
        found = metric_inputs(
            Predictions(asked, np.ones((len(rows), 2))),
            truth,
            train_means={X: np.array([7.0, 8.0]), Y: np.array([9.0, 6.0])},
        )
        assert found.control.tolist() == control
        assert found.control_halves is not None
        assert found.control_halves.tolist() == halves
        assert found.perturbed_mean.tolist() == reference
        assert found.truth.tolist() == BULK.means[rows].tolist()
        for array in (found.control, found.control_halves, found.perturbed_mean, found.truth):
            assert array.dtype == np.float64
            assert not array.flags.writeable
            assert tables.in_file(array) is is_in_file
    # What is in a file is laid out anew, since a file for each fold would fill the disk.
    assert bool(kept) is not is_in_file
