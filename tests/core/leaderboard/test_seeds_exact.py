"""Rows over seeds worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dygenept.leaderboard.across_seeds import over_seeds, seed_groups, seed_rows
from dygenept.leaderboard.score_grid import ScoreGrid
from dygenept.results.records import RunRecord, TwoWayRecord

MakeRecord = Callable[..., RunRecord]


def test_of_a_model_that_the_first_seed_lacks_nothing_is_claimed_on_effects(
    record: MakeRecord,
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.5, 0.01, 30)

    def of(model: str, lead: float, seed: int, untied: float | None) -> RunRecord:
        one = record(
            key=f"{model}{seed}", model=model, seed=seed, values=tuple((values + lead).tolist())
        )
        draws = tuple((lead + 0.5 + 0.01 * rng.normal(size=60)).tolist())
        spread = TwoWayRecord(
            genes=draws, perturbations=draws, pairs=draws, n_genes=30, n_perturbations=30
        )
        update = {"two_way": spread, "untied": untied, "unit": "gene"}
        metric = one.metrics[0].model_copy(update=update)
        dataset = one.dataset.model_copy(update={"kind": "effects"})
        return one.model_copy(update={"metrics": (metric,), "dataset": dataset})

    seeds = [
        [of("gene_mean", 0.0, 1, 0.02), of("first", 0.3, 1, 0.0)],
        [of("gene_mean", 0.0, 2, 0.04), of("second", 0.3, 2, 0.0)],
    ]
    (table,) = over_seeds(seeds)
    assert table.untied == {"gene_mean": pytest.approx(0.03)}
    assert set(table.resampled) == {"gene_mean", "first", "second"}
    grid = ScoreGrid.of(table)
    found = grid.compare(["first", "second"], "gene_mean")
    assert found["first"].p_value < 0.05
    # As single genes, which the perturbations have in common, it would be far beyond chance.
    assert (found["second"].p_value, found["second"].ci_low) == (1.0, None)
    cells = [
        [of.model_copy(update={"dataset": record().dataset}) for of in board] for board in seeds
    ]
    assert over_seeds(cells)[0].resampled == {}


def seeds_of(record: MakeRecord) -> list[list[RunRecord]]:
    return [
        [
            record(key=f"a{seed}", model="a", role="model", values=(value,), seed=seed),
            record(key=f"b{seed}", model="b", values=(0.5,), seed=seed),
        ]
        for seed, value in ((3, 0.9), (1, 0.3))
    ]


def test_a_row_over_seeds_is_printed_with_every_number_under_its_name(
    record: MakeRecord,
) -> None:
    (group,) = seed_groups(seeds_of(record))
    assert [records[0].seed for records in group] == [1, 3]
    first, second = seed_rows(group)
    assert first.document() == {
        "model": "a",
        "metric": "pearson_delta",
        "mean": pytest.approx(0.6),
        "std": pytest.approx(0.6 / 2**0.5),
        "low": 0.3,
        "high": 0.9,
        "n_seeds": 2,
        "by_seed": {"1": 0.3, "3": 0.9},
        "rank": 1,
        "role": "model",
        "higher_is_better": True,
    }
    assert (second.model, second.rank, second.std) == ("b", 2, 0.0)


def test_errors_over_seeds_rank_the_other_way(record: MakeRecord) -> None:
    boards = [
        [item.model_copy(update={"metrics": (lower(item),)}) for item in records]
        for records in seeds_of(record)
    ]
    rows = seed_rows(boards)
    assert [(row.model, row.rank, row.higher_is_better) for row in rows] == [
        ("b", 1, False),
        ("a", 2, False),
    ]


def lower(record: RunRecord) -> object:
    return record.metrics[0].model_copy(update={"higher_is_better": False})


def test_seeds_that_tie_come_by_name_and_a_seed_without_a_value_is_left_out(
    record: MakeRecord,
) -> None:
    boards = [
        [
            record(key="1", model="b", values=(0.5,), seed=1),
            record(key="2", model="a", values=(0.5,), seed=1),
            record(key="3", model="c", values=(None,), neutral=None, seed=1),
        ],
        [record(key="4", model="c", values=(None,), neutral=None, seed=2)],
    ]
    rows = {row.model: row for row in seed_rows(boards)}
    assert list(rows) == ["a", "b", "c"]
    assert rows["a"].by_seed == {1: 0.5}
    assert (rows["a"].std, rows["a"].low, rows["a"].high) == (None, 0.5, 0.5)
    assert (rows["c"].mean, rows["c"].std, rows["c"].low, rows["c"].high) == (None,) * 4
    assert rows["c"].by_seed == {1: None, 2: None}


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("dataset", {"sha256": "ba"}),
        ("dataset", {"simulated": True}),
        (None, {"suite": "other"}),
        ("split", {"name": "other"}),
        ("split", {"version": 2}),
        ("split", {"n_folds": 3}),
        (None, {"de_list": "other"}),
    ],
)
def test_leaderboards_that_differ_in_more_than_their_seed_stay_apart(
    record: MakeRecord, part: str | None, change: dict[str, object]
) -> None:
    first, second = record(seed=1), record(seed=2)
    assert len(seed_groups([[first], [second]])) == 1
    if part is not None:
        change = {part: getattr(second, part).model_copy(update=change)}
    assert len(seed_groups([[first], [second.model_copy(update=change)]])) == 2


def test_seeds_are_shown_under_every_metric(two_metrics: list[RunRecord]) -> None:
    rows = seed_rows([two_metrics])
    assert [(row.metric, row.model) for row in rows] == [
        ("pearson_delta", "a"),
        ("pearson_delta", "b"),
        ("mse", "a"),
        ("mse", "c"),
    ]


def test_a_value_that_one_seed_leaves_undefined_counts_as_neutral_in_the_mean(
    record: MakeRecord,
) -> None:
    def boards(neutral: float | None) -> list[list[RunRecord]]:
        made = {1: (0.5, None), 3: (None, None)}
        return [
            [record(key=str(seed), model="a", values=values, seed=seed, neutral=neutral)]
            for seed, values in made.items()
        ]

    def values(neutral: float | None) -> list[float | None]:
        (table,) = over_seeds(boards(neutral))
        return list(table.values["a"].values())

    # Where a seed defines nothing at all, nothing of it is filled.
    assert values(0.25) == [0.5, 0.25]
    assert values(None) == [0.5, None]
