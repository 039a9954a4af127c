"""Tables of values, and pairs of models compared within one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from core.leaderboard.score_levels import HIGH

from dygenept.evaluation.two_way import TwoWay
from dygenept.leaderboard.comparisons import compare_models
from dygenept.leaderboard.judgements import judge_models
from dygenept.leaderboard.metric_table import Unit, metric_tables
from dygenept.leaderboard.rows import leaderboard_rows
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
        named = tuple(
            replace(of, perturbation=f"{of.perturbation} of {fold}") for of in one.metrics[0].values
        )
        metric = one.metrics[0].model_copy(update={"two_way": spread, "values": named})
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
    (part,) = metric_tables(made, keep=lambda unit: unit.perturbation == "g0+ctrl of 0")
    assert np.isnan(part.resampled["a"].genes).all()


def of_genes(record: MakeRecord, fold: int, *, held_out: tuple[str, ...] = ()) -> RunRecord:
    """A fold in which 12 genes are scored over the held-out perturbations that a subgroup names."""
    one = record(key=str(fold), model="a", fold=fold, values=(0.5,) * 12)
    per_gene = one.metrics[0].model_copy(update={"name": "auroc_gene", "unit": "gene"})
    dataset = one.dataset.model_copy(update={"kind": "effects"})
    update = {"metrics": (per_gene,), "dataset": dataset, "subgroups": {"seen_single": held_out}}
    return one.model_copy(update=update)


def test_genes_are_counted_apart_from_the_perturbations_they_are_scored_over(
    record: MakeRecord,
) -> None:
    (table,) = metric_tables([of_genes(record, 0, held_out=("A", "B")), of_genes(record, 1)])
    assert (table.unit, table.n_perturbations("a"), table.n_genes("a")) == ("gene", 2, 12)
    assert table.n_to_claim_by == 2
    # A perturbation that two folds hold out, each in a cell type, counts once.
    folds = [of_genes(record, 0, held_out=("A", "B")), of_genes(record, 1, held_out=("B", "C"))]
    (table,) = metric_tables(folds)
    assert table.n_perturbations("a") == 3
    # Where nothing names them, genes are what is known.
    (table,) = metric_tables([of_genes(record, 0)])
    assert (table.n_perturbations("a"), table.n_to_claim_by) == (None, 12)
    # Metrics of perturbations name them too.
    of_perturbations = record(key="2", model="a", values=(0.5,) * 7).metrics[0]
    one = of_genes(record, 0)
    both = one.model_copy(update={"metrics": (*one.metrics, of_perturbations)})
    per_gene, other = metric_tables([both])
    assert (per_gene.n_perturbations("a"), per_gene.n_genes("a")) == (7, 12)
    assert (other.unit, other.n_perturbations("a"), other.n_genes("a")) == ("perturbation", 7, None)


def test_a_tie_over_many_genes_and_few_perturbations_has_no_best(record: MakeRecord) -> None:
    def rows(held_out: tuple[str, ...]) -> list[bool]:
        made = [of_genes(record, 0, held_out=held_out)]
        twin = made[0].model_copy(update={"model": "b", "key": "9"})
        lower = (
            made[0]
            .metrics[0]
            .model_copy(
                update={"values": tuple(replace(of, value=0.1) for of in made[0].metrics[0].values)}
            )
        )
        third = made[0].model_copy(update={"model": "c", "key": "8", "metrics": (lower,)})
        return [row.is_best for row in leaderboard_rows([*made, twin, third])]

    assert rows(("A", "B", "C", "D", "E")) == [False, False, False]
    assert rows(("A", "B", "C", "D", "E", "F")) == [True, True, False]


def test_folds_that_share_perturbations_need_resamples_drawn_together(record: MakeRecord) -> None:
    def fold(number: int, held_out: tuple[str, ...], *, together: bool) -> RunRecord:
        draws = tuple(np.random.default_rng(number).normal(0.5, 0.1, size=50).tolist())
        spread = TwoWayRecord(
            genes=draws, perturbations=draws, pairs=(0.5,) * 50, n_genes=12,
            n_perturbations=len(held_out), drawn_with=together,
        )  # fmt: skip
        one = of_genes(record, number, held_out=held_out)
        metric = one.metrics[0].model_copy(update={"two_way": spread})
        return one.model_copy(update={"metrics": (metric,)})

    def joined_of(first: tuple[str, ...], second: tuple[str, ...], *, together: bool) -> TwoWay:
        made = [fold(0, first, together=together), fold(1, second, together=together)]
        (table,) = metric_tables(made)
        return table.resampled["a"]

    apart = joined_of(("A", "B"), ("C", "D"), together=False)
    assert (apart.n_perturbations, apart.interval(0.5) is None) == (4, False)
    # Those of earlier versions were drawn fold by fold.
    assert joined_of(("A", "B"), ("B", "C"), together=False).interval(0.5) is None
    shared = joined_of(("A", "B"), ("B", "C"), together=True)
    assert (shared.n_perturbations, shared.interval(0.5) is None) == (3, False)
    # Folds of the very same perturbations always had the same resamples.
    same = joined_of(("A", "B"), ("A", "B"), together=False)
    assert (same.n_perturbations, same.interval(0.5) is None) == (2, False)


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


def tied(record: MakeRecord, model: str, fold: int, **ties: object) -> RunRecord:
    """Three genes in cell type x and one in y, of which one has no value."""
    values = (0.1, None, 0.3, 0.4)
    one = record(
        key=f"{model}{fold}", model=model, fold=fold, values=values, cell_types=("x", "x", "x", "y")
    )
    metric = one.metrics[0].model_copy(update={"unit": "gene", **ties})
    return one.model_copy(update={"metrics": (metric,)})


def test_each_part_gains_what_its_own_ties_cost(record: MakeRecord) -> None:
    by_type = {"x": 0.2, "y": 0.0}
    made = [
        tied(record, "a", 0, untied=0.1, untied_by_type=by_type),
        tied(record, "a", 1, untied=0.4, untied_by_type={"x": 0.5, "y": 0.3}),
        tied(record, "b", 0, untied=0.0, untied_by_type={"x": 0.0, "y": 0.0}),
    ]
    (whole,) = metric_tables(made)
    assert whole.untied == {"a": pytest.approx(0.25)}
    (in_x,) = metric_tables(made, keep=lambda unit: unit.cell_type == "x")
    assert in_x.untied == {"a": pytest.approx(0.35)}
    (in_y,) = metric_tables(made, keep=lambda unit: unit.cell_type == "y")
    assert in_y.untied == {"a": pytest.approx(0.15)}
    # Folds count by what is kept of them.
    some = [made[0], tied(record, "a", 1, untied=0.4)]
    (mixed,) = metric_tables(some, keep=lambda unit: unit.fold == 1 or unit.cell_type == "y")
    assert mixed.untied == {"a": pytest.approx((1 * 0.0 + 3 * 0.4) / 4)}
    for table in (whole, in_x, in_y, mixed):
        assert table.unknown_ties == frozenset()


def test_what_ties_cost_in_a_cell_type_is_not_guessed_from_all(record: MakeRecord) -> None:
    # A version between recorded the gain over all cell types and no other.
    made = [
        tied(record, "a", 0, untied=0.1),
        tied(record, "b", 0, untied=0.1, untied_by_type={"x": 0.2, "y": 0.0}),
    ]
    (whole,) = metric_tables(made)
    assert whole.untied == pytest.approx({"a": 0.1, "b": 0.1})
    assert whole.unknown_ties == frozenset()
    (in_x,) = metric_tables(made, keep=lambda unit: unit.cell_type == "x")
    assert in_x.untied == pytest.approx({"b": 0.2})
    assert in_x.unknown_ties == {"a"}
    (alone,) = metric_tables(made[:1], keep=lambda unit: unit.cell_type == "x")
    assert alone.unknown_ties == {"a"}
    # Of other parts nothing is claimed anyhow: their resamples are not known.
    (part,) = metric_tables(made, keep=lambda unit: unit.perturbation == "g0+ctrl")
    assert (part.untied, part.unknown_ties) == ({}, frozenset())
    # A record of before that says nothing at all, and one of a metric that lowers no ties.
    (older,) = metric_tables([tied(record, "c", 0), *made])
    assert older.unknown_ties == {"c"}
    (none,) = metric_tables([tied(record, "c", 0), tied(record, "d", 0)])
    assert (none.untied, none.unknown_ties) == ({}, frozenset())


def test_a_cell_type_has_the_chance_level_of_its_own_units(record: MakeRecord) -> None:
    made = [
        tied(record, "a", 0, chance=0.4, chance_by_type={"x": 0.5, "y": 0.1}),
        tied(record, "a", 1, chance=0.2, chance_by_type={"x": 0.2, "y": 0.3}),
    ]
    (whole,) = metric_tables(made)
    assert whole.chance == pytest.approx(0.3)
    (in_x,) = metric_tables(made, keep=lambda unit: unit.cell_type == "x")
    assert in_x.chance == pytest.approx(0.35)
    (in_y,) = metric_tables(made, keep=lambda unit: unit.cell_type == "y")
    assert in_y.chance == pytest.approx(0.2)
    (first,) = metric_tables(made, keep=lambda unit: unit.fold == 0)
    assert first.chance == pytest.approx(0.4)
    # Where nothing else is known it is that of all units.
    (some,) = metric_tables(made, keep=lambda unit: unit.perturbation == "g0+ctrl")
    assert some.chance == pytest.approx(0.3)
    older = [tied(record, "a", 0, chance=0.4)]
    (in_x,) = metric_tables(older, keep=lambda unit: unit.cell_type == "x")
    assert in_x.chance == pytest.approx(0.4)


def test_cells_have_no_resamples_of_genes(record: MakeRecord) -> None:
    (table,) = metric_tables([record(key="1", model="a", values=(0.1, 0.2))])
    assert table.resampled == {}
