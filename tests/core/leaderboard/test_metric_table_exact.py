"""Tables of values, and pairs of models compared within one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from core.leaderboard.score_levels import HIGH

from dygenept.leaderboard.comparisons import compare_models
from dygenept.leaderboard.judgements import judge_models
from dygenept.leaderboard.metric_table import Unit, metric_tables
from dygenept.leaderboard.score_grid import ScoreGrid
from dygenept.results.records import RunRecord, TwoWayRecord

MakeRecord = Callable[..., RunRecord]
NAN = float("nan")


def test_a_table_keeps_the_parts_that_are_asked_for(record: MakeRecord) -> None:
    made = [
        record(key="1", model="a", fold=1, values=(0.1, 0.2), cell_types=("x", "y")),
        record(key="2", model="a", fold=0, values=(0.3,), cell_types=("x",)),
        record(key="3", model="b", fold=0, values=(0.4,), cell_types=("y",)),
    ]
    (table,) = metric_tables(made, keep=lambda unit: unit.cell_type == "x")
    assert table.metric == "pearson_delta"
    assert (table.higher_is_better, table.neutral) == (True, 0.0)
    assert table.roles == {"a": "baseline"}
    assert table.values == {
        "a": {Unit(0, "g0+ctrl", "x"): 0.3, Unit(1, "g0+ctrl", "x"): 0.1},
    }
    assert table.folds("a") == [[0.3], [0.1]]


def test_a_model_without_the_metric_is_not_in_its_table(record: MakeRecord) -> None:
    made = [
        record(key="1", model="a", metric="mse", higher_is_better=False, neutral=None),
        record(key="2", model="b"),
    ]
    first, second = metric_tables(made)
    assert (first.metric, first.higher_is_better, first.neutral) == ("mse", False, None)
    assert list(first.values) == ["a"]
    assert list(second.values) == ["b"]


def test_a_pair_is_compared_on_shared_units_with_undefined_ones_filled(
    record: MakeRecord,
) -> None:
    made = [
        record(key="1", model="a", values=(0.5, None, 0.7)),
        record(key="2", model="b", values=(0.25, 0.5)),
    ]
    (table,) = metric_tables(made)
    found = ScoreGrid.of(table).compare(["a"], "b")["a"]
    assert found.n_perturbations == 2
    assert found.difference == pytest.approx((0.25 - 0.5) / 2)
    assert table.is_better(found) is False


def test_models_that_share_no_unit_are_not_compared(record: MakeRecord) -> None:
    made = [
        record(key="1", model="a", values=(0.5,), cell_types=("x",)),
        record(key="2", model="b", values=(0.5,), cell_types=("y",)),
    ]
    (table,) = metric_tables(made)
    grid = ScoreGrid.of(table)
    assert grid.compare(["a"], "b") == {}
    assert compare_models(made, ["a", "b"]) == ()
    standing = judge_models(table, grid, {"a": 0.5, "b": 0.5})
    assert not any(item.is_best for item in standing.values())


def test_equal_models_are_no_better_under_an_error_either(record: MakeRecord) -> None:
    made = [
        record(key=name, model=name, values=HIGH, metric="mse", higher_is_better=False)
        for name in ("a", "perturbed_mean")
    ]
    (table,) = metric_tables(made)
    found = ScoreGrid.of(table).compare(["a"], "perturbed_mean")
    assert not table.is_better(found["a"])


def test_resamples_of_folds_are_averaged_by_their_defined_units(record: MakeRecord) -> None:
    folds: list[tuple[str, int, tuple[float | None, ...], tuple[float, ...] | None]] = [
        ("a", 0, (0.1, None, 0.3), (0.2, 0.4)),
        ("a", 1, (0.5,), (0.5, 0.1)),
        ("a", 2, (None,), (9.0, 9.0)),
        ("b", 0, (0.5,), (0.7, 0.8)),
        ("earlier", 0, (0.5,), None),
    ]
    made = []
    for model, fold, values, draws in folds:
        one = record(key=f"{model}{fold}", model=model, fold=fold, values=values)
        spread = None
        if draws is not None:
            more = tuple(2 * draw for draw in draws)
            spread = TwoWayRecord(
                genes=draws, perturbations=more, pairs=(None, 1.0), n_genes=5, n_perturbations=3
            )
        metric = one.metrics[0].model_copy(update={"two_way": spread})
        dataset = one.dataset.model_copy(update={"kind": "effects"})
        made.append(one.model_copy(update={"metrics": (metric,), "dataset": dataset}))
    (table,) = metric_tables(made)
    assert set(table.resampled) == {"a", "b", "earlier"}
    both = table.resampled["a"]
    assert both.genes.tolist() == pytest.approx([0.9 / 3, 0.9 / 3])
    assert both.perturbations.tolist() == pytest.approx([1.8 / 3, 1.8 / 3])
    assert both.pairs.tolist() == pytest.approx([NAN, 1.0], nan_ok=True)
    # The folds share their genes; perturbations of the fold without a value do not count.
    assert (both.n_genes, both.n_perturbations) == (5, 6)
    assert table.resampled["b"].genes.tolist() == [0.7, 0.8]
    # An earlier version recorded none; nothing can be said of its model.
    assert table.resampled["earlier"].interval(0.5) is None
    # Of a part of a fold's units no resample is known.
    (part,) = metric_tables(made, keep=lambda unit: unit.perturbation == "g0+ctrl")
    assert np.isnan(part.resampled["a"].genes).all()


def test_each_cell_type_has_resamples_of_its_own(record: MakeRecord) -> None:
    def spread(level: float) -> TwoWayRecord:
        draws = (level, level + 1.0)
        return TwoWayRecord(
            genes=draws, perturbations=draws, pairs=draws, n_genes=5, n_perturbations=3
        )

    one = record(key="1", model="a", values=(0.1, 0.2, 0.3), cell_types=("x", "x", "y"))
    metric = one.metrics[0].model_copy(
        update={"two_way": spread(1.0), "two_way_by_type": {"x": spread(2.0), "y": spread(3.0)}}
    )
    dataset = one.dataset.model_copy(update={"kind": "effects"})
    made = [one.model_copy(update={"metrics": (metric,), "dataset": dataset})]
    for kind, level in (("x", 2.0), ("y", 3.0)):

        def keep(unit: Unit, kind: str = kind) -> bool:
            return unit.cell_type == kind

        (table,) = metric_tables(made, keep=keep)
        assert table.resampled["a"].genes.tolist() == [level, level + 1.0]
    (whole,) = metric_tables(made, keep=lambda unit: True)
    assert whole.resampled["a"].genes.tolist() == [1.0, 2.0]
    (part,) = metric_tables(made, keep=lambda unit: unit.perturbation == "g0+ctrl")
    assert np.isnan(part.resampled["a"].genes).all()


def test_cells_have_no_resamples_of_genes(record: MakeRecord) -> None:
    (table,) = metric_tables([record(key="1", model="a", values=(0.1, 0.2))])
    assert table.resampled == {}
