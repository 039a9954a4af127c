from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.errors import PluginError, ShapeError
from dygenept.evaluation import blocks
from dygenept.evaluation.draws import averaged
from dygenept.evaluation.reference import train_means
from dygenept.evaluation.scoring import GroundTruth, metric_inputs, score
from dygenept.plugin.specs import MetricSpec
from dygenept.testing.toy import ToyShape, toy_data, toy_task
from dygenept.types import (
    Condition,
    DeGenes,
    DoubleArray,
    MetricInputs,
    MetricValues,
    Perturbation,
    PerturbationData,
    Predictions,
    Pseudobulk,
    Score,
    Task,
)


class Station:
    """A toy fold with all that scoring reads."""

    def __init__(self) -> None:
        self.data: PerturbationData = toy_data(ToyShape(n_cell_types=2))
        self.pseudobulk: Pseudobulk = pseudobulk(self.data)
        self.de: DeGenes = de_genes(self.data, self.pseudobulk)
        self.task: Task
        self.task, self.held_out = toy_task(self.data)

    def predict(self, value: float = 1.0) -> Predictions:
        shape = (len(self.held_out), self.data.n_genes)
        return Predictions(self.held_out, np.full(shape, value))

    def inputs(self, predictions: Predictions) -> MetricInputs:
        return metric_inputs(
            predictions,
            GroundTruth(data=self.data, pseudobulk=self.pseudobulk, de=self.de),
            train_means=train_means(self.task),
        )


@pytest.fixture(scope="module")
def station() -> Station:
    return Station()


def test_what_a_fold_has_in_common_is_laid_out_once(station: Station) -> None:
    against = GroundTruth(
        data=station.data, pseudobulk=station.pseudobulk, de=station.de, laid_out={}
    )
    references = train_means(station.task)
    first = metric_inputs(station.predict(1.0), against, train_means=references)
    other = metric_inputs(station.predict(2.0), against, train_means=references)
    assert other.truth.base is first.truth.base
    assert other.control is first.control
    alone = station.inputs(station.predict(2.0))
    for name in ("predicted", "truth", "control", "perturbed_mean", "de_indices"):
        np.testing.assert_array_equal(getattr(other, name), getattr(alone, name))
        assert not getattr(other, name).flags.writeable
    # Other conditions, and a truth of one's own, have nothing to do with it.
    some = Predictions(station.held_out[:2], np.ones((2, station.data.n_genes)))
    found = metric_inputs(some, against, train_means=references)
    np.testing.assert_array_equal(found.truth, first.truth[:2])
    own = replace(station.predict(1.0), truth=np.full(first.truth.shape, 3.0))
    assert (metric_inputs(own, against, train_means=references).truth == 3.0).all()
    again = metric_inputs(station.predict(1.0), against, train_means=references)
    np.testing.assert_array_equal(again.truth, first.truth)


def test_what_metrics_make_of_a_folds_truth_is_made_once_for_all_its_predictions(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    against = GroundTruth(
        data=station.data, pseudobulk=station.pseudobulk, de=station.de, laid_out={}
    )
    references = train_means(station.task)
    made: list[str] = []
    spec = spec_of("whole")

    def metric(inputs: MetricInputs) -> MetricValues:
        def sums(of: str) -> DoubleArray:
            made.append(of)
            return inputs.truth.sum(axis=1)

        tests = inputs.once_of_tests("sums of tests", lambda: sums("tests"))
        truth = inputs.once_of_truth("sums of truth", lambda: sums("truth"))
        return MetricValues(tests if inputs.truth[0, 0] != 3.0 else truth)

    def values(
        predictions: Predictions, means: Mapping[str, DoubleArray] = references
    ) -> list[float | None]:
        inputs = metric_inputs(predictions, against, train_means=means)
        return [item.value for item in score([(spec, metric)], inputs)]

    n, shape = len(station.held_out), (len(station.held_out), station.data.n_genes)
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 2)
    by_row = replace(spec_of("rows"), by_row=True)
    for spec_in_use, n_blocks in ((spec_of("whole"), 1), (by_row, -(-n // 2))):
        spec = spec_in_use
        against = replace(against, laid_out={})
        first = values(station.predict(1.0))
        assert values(station.predict(2.0)) == first
        assert Counter(made) == {"tests": n_blocks, "truth": n_blocks}
        # Another truth, or another mean of the train perturbations, has the tests alone in common.
        own = values(replace(station.predict(1.0), truth=np.full(shape, 3.0)))
        assert own == [3.0 * shape[1]] * n
        assert Counter(made) == {"tests": n_blocks, "truth": 2 * n_blocks}
        values(station.predict(1.0), {name: mean + 1.0 for name, mean in references.items()})
        assert Counter(made) == {"tests": n_blocks, "truth": 3 * n_blocks}
        made.clear()
        # Without a place to keep it everything is made anew.
        against = replace(against, laid_out=None)
        assert values(station.predict(1.0)) == values(station.predict(2.0)) == first
        assert Counter(made) == {"tests": 2 * n_blocks, "truth": 2 * n_blocks}
        made.clear()
    assert station.inputs(station.predict()).shared is None


def test_of_one_cell_type_all_conditions_have_one_control(station: Station) -> None:
    kind = station.held_out[0].cell_type
    conditions = tuple(item for item in station.held_out if item.cell_type == kind)
    inputs = station.inputs(
        Predictions(conditions, np.ones((len(conditions), station.data.n_genes)))
    )
    control = station.pseudobulk.control_means[station.data.cell_types.index(kind)]
    expected = np.repeat(control[None], len(conditions), axis=0)
    np.testing.assert_array_equal(inputs.control, expected)
    np.testing.assert_array_equal(
        inputs.perturbed_mean,
        np.repeat(train_means(station.task)[kind][None], len(conditions), axis=0),
    )
    assert inputs.control.strides[0] == 0


def spec_of(name: str) -> MetricSpec:
    return MetricSpec(
        name=name,
        summary="A test's own.",
        source="this test",
        higher_is_better=True,
        factory=lambda config: first_gene,
    )


def first_gene(inputs: MetricInputs) -> MetricValues:
    return MetricValues(inputs.truth[:, 0].copy())


def test_metrics_see_the_real_truth_and_the_control_of_each_cell_type(station: Station) -> None:
    inputs = station.inputs(station.predict())
    data = station.data
    for row, condition in enumerate(inputs.conditions):
        code = data.conditions.index(condition)
        cells = data.expression[data.condition_codes == code].toarray().astype(np.float64)
        np.testing.assert_allclose(inputs.truth[row], cells.mean(axis=0), atol=1e-9)
        own = (data.condition_codes == -1) & (
            data.cell_type_codes == data.cell_types.index(condition.cell_type)
        )
        control = data.expression[own].toarray().astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(inputs.control[row], control, atol=1e-9)
        np.testing.assert_array_equal(inputs.de_indices[row], station.de.indices[code])


def test_the_reference_mean_is_that_of_the_train_perturbations_of_the_cell_type(
    station: Station,
) -> None:
    inputs = station.inputs(station.predict())
    for row, condition in enumerate(inputs.conditions):
        of_type = [
            station.task.means[position]
            for position, item in enumerate(station.task.known)
            if item.cell_type == condition.cell_type
        ]
        np.testing.assert_allclose(inputs.perturbed_mean[row], np.mean(of_type, axis=0))


def test_predictions_keep_their_order(station: Station) -> None:
    turned = Predictions(station.held_out[::-1], station.predict().expression)
    forward, backward = station.inputs(station.predict()), station.inputs(turned)
    assert backward.conditions == forward.conditions[::-1]
    np.testing.assert_array_equal(backward.truth, forward.truth[::-1])
    np.testing.assert_array_equal(backward.de_indices, forward.de_indices[::-1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_and_named(station: Station, value: float) -> None:
    predictions = station.predict()
    predictions.expression[1, 2] = value
    gene, label = station.data.gene_symbols[2], station.held_out[1].label
    with pytest.raises(PluginError, match="1 predicted value") as caught:
        station.inputs(predictions)
    assert repr(gene) in str(caught.value)
    assert repr(label) in str(caught.value)


def test_a_wrong_number_of_genes_is_refused(station: Station) -> None:
    short = Predictions(station.held_out, station.predict().expression[:, :-1])
    with pytest.raises(ShapeError, match="59 genes per condition, but 'toy' has 60"):
        station.inputs(short)


def test_a_condition_without_cells_is_refused(station: Station) -> None:
    unknown = Condition(Perturbation("NOPE+ctrl", ("NOPE",)), "toy_a")
    predictions = Predictions((unknown,), np.ones((1, station.data.n_genes)))
    with pytest.raises(PluginError, match=r"'NOPE\+ctrl' in 'toy_a', of which data set 'toy'"):
        station.inputs(predictions)


def test_an_oracle_may_bring_its_own_truth(station: Station) -> None:
    predictions = station.predict()
    own = np.full_like(predictions.expression, 3.0)
    inputs = station.inputs(replace(predictions, truth=own))
    np.testing.assert_array_equal(inputs.truth, own)
    with pytest.raises(ShapeError, match="a control's own truth is"):
        station.inputs(replace(predictions, truth=own[:, 1:]))


def test_each_metric_gives_one_score_a_condition(station: Station) -> None:
    inputs = station.inputs(station.predict())
    scores = score([(spec_of("one"), first_gene), (spec_of("two"), first_gene)], inputs)
    assert [(item.metric, item.condition) for item in scores] == [
        (name, condition) for name in ("one", "two") for condition in inputs.conditions
    ]
    assert [item.value for item in scores[: len(inputs.conditions)]] == inputs.truth[:, 0].tolist()


def test_an_undefined_value_is_none_with_its_reason(station: Station) -> None:
    def undefined_at_one(inputs: MetricInputs) -> MetricValues:
        values = np.ones(len(inputs.conditions))
        values[1] = np.nan
        return MetricValues(values, {1: "because"})

    scores = score([(spec_of("one"), undefined_at_one)], station.inputs(station.predict()))
    assert (scores[1].value, scores[1].reason) == (None, "because")
    assert all(item.value == 1.0 and item.reason is None for item in (scores[0], *scores[2:]))


def test_a_condition_without_a_truth_is_undefined_and_no_metric_sees_it(
    station: Station,
) -> None:
    predictions = station.predict()
    truth = np.full_like(predictions.expression, 2.0)
    truth[0] = np.nan
    seen: list[MetricInputs] = []

    def metric(inputs: MetricInputs) -> MetricValues:
        seen.append(inputs)
        values = inputs.truth[:, 0].copy()
        values[0] = np.nan
        return MetricValues(values, {0: "because"})

    scores = score([(spec_of("one"), metric)], station.inputs(replace(predictions, truth=truth)))
    assert seen[0].conditions == station.held_out[1:]
    assert [item.reason for item in scores[:2]] == ["too few cells to have a truth", "because"]
    assert [item.value for item in scores] == [None, None, *[2.0] * (len(scores) - 2)]


@pytest.mark.parametrize(
    ("values", "reasons", "message"),
    [
        ([1.0], {}, "returned values of shape"),
        ([np.inf], {}, "infinite value"),
        ([np.nan], {}, "must give a reason for each NaN"),
        ([1.0], {0: "why"}, "must give a reason for each NaN"),
    ],
)
def test_a_metric_that_breaks_its_contract_is_named(
    station: Station, values: list[float], reasons: dict[int, str], message: str
) -> None:
    n_values = 1 if "shape" in message else len(station.held_out)
    result = MetricValues(np.resize(np.array([*values, *[0.5] * 30]), n_values), reasons)
    with pytest.raises(PluginError, match=f"metric 'mine' .*{message}"):
        score([(spec_of("mine"), lambda inputs: result)], station.inputs(station.predict()))


def test_several_draws_are_averaged_over_those_that_are_defined() -> None:
    condition = Condition(Perturbation("A+ctrl", ("A",)), "cell")
    other = Condition(Perturbation("B+ctrl", ("B",)), "cell")

    def draw(first: float | None, second: float | None, why: str) -> list[Score]:
        return [
            Score(condition, "m", first, None if first is not None else why),
            Score(other, "m", second, None if second is not None else why),
        ]

    first, second = averaged(
        [draw(None, None, "one"), draw(0.2, None, "two"), draw(0.6, None, "three")]
    )
    assert (first.value, first.reason) == (pytest.approx(0.4), None)
    assert (second.value, second.reason) == (None, "one")


def test_what_is_no_result_of_a_metric_is_named(station: Station) -> None:
    inputs = station.inputs(station.predict())
    with pytest.raises(PluginError, match="metric 'odd' must return MetricValues, got NoneType"):
        score([(spec_of("odd"), lambda inputs: None)], inputs)  # type: ignore[list-item]
