"""Leaderboards of parts of the held-out perturbations, and spread over seeds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dygenept.errors import ConfigError, ResultsError
from dygenept.leaderboard.across_seeds import seed_groups, seed_rows
from dygenept.leaderboard.groups import grouped_rows
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]


def test_each_subgroup_is_a_leaderboard_of_its_own(record: MakeRecord) -> None:
    subgroups = {"combo_seen1": ("g2+ctrl",), "unseen_single": ("g0+ctrl", "g1+ctrl")}
    records = [
        record(key="1", model="a", values=(0.2, 0.4, 0.9), subgroups=subgroups),
        record(key="2", model="b", values=(0.5, 0.7, 0.1), subgroups=subgroups),
    ]
    rows = grouped_rows(records, "subgroup")
    found = [
        (row.group, row.model, row.total.pooled, row.total.n_perturbations, row.rank)
        for row in rows
    ]
    assert found == [
        ("unseen_single", "b", pytest.approx(0.6), 2, 1),
        ("unseen_single", "a", pytest.approx(0.3), 2, 2),
        ("combo_seen1", "a", 0.9, 1, 1),
        ("combo_seen1", "b", 0.1, 1, 2),
    ]
    assert rows[0].document()["group"] == "unseen_single"


def test_a_label_may_be_in_another_subgroup_in_another_fold(record: MakeRecord) -> None:
    records = [
        record(key="1", fold=0, values=(0.2,), subgroups={"combo_seen0": ("g0+ctrl",)}),
        record(key="2", fold=1, values=(0.8,), subgroups={"combo_seen2": ("g0+ctrl",)}),
    ]
    rows = grouped_rows(records, "subgroup")
    assert [(row.group, row.total.pooled) for row in rows] == [
        ("combo_seen0", 0.2),
        ("combo_seen2", 0.8),
    ]


def test_effect_terciles_are_cut_over_all_folds(record: MakeRecord) -> None:
    sizes = [0.1, 0.9, 0.5, 0.2, 0.6, 0.3]
    values = (0.0, 0.5, 0.2, 0.1, 0.4, 0.3)
    records = [
        record(
            key=str(fold),
            fold=fold,
            values=values[3 * fold : 3 * fold + 3],
            effects={"K562": {f"g{i}+ctrl": sizes[3 * fold + i] for i in range(3)}},
        )
        for fold in (0, 1)
    ]
    rows = grouped_rows(records, "effect")
    assert [(row.group, row.total.n_perturbations) for row in rows] == [
        ("small effect", 2),
        ("medium effect", 2),
        ("large effect", 2),
    ]
    # Sizes 0.1 and 0.2, then 0.3 and 0.5, then 0.6 and 0.9.
    assert [row.total.pooled for row in rows] == pytest.approx([0.05, 0.25, 0.45])


def test_records_without_effect_sizes_say_how_to_get_them(record: MakeRecord) -> None:
    with pytest.raises(ResultsError, match="--no-resume"):
        grouped_rows([record(values=(0.5,))], "effect")


def test_each_cell_type_is_a_leaderboard_of_its_own(record: MakeRecord) -> None:
    rows = grouped_rows(
        [record(values=(0.2, 0.4, 0.9), cell_types=("K562", "RPE1", "K562"))], "cell_type"
    )
    assert [(row.group, row.total.pooled, row.total.n_perturbations) for row in rows] == [
        ("K562", pytest.approx(0.55), 2),
        ("RPE1", 0.4, 1),
    ]


def test_an_unknown_grouping_is_named_with_the_nearest(record: MakeRecord) -> None:
    with pytest.raises(ConfigError, match="did you mean 'cell_type'"):
        grouped_rows([record()], "cell_typ")


def test_marks_are_judged_within_each_part(record: MakeRecord) -> None:
    subgroups = {
        "combo_seen1": tuple(f"g{i}+ctrl" for i in range(20)),
        "combo_seen2": tuple(f"g{i}+ctrl" for i in range(20, 40)),
    }
    low, high = (0.1,) * 20, (0.9,) * 20
    records = [
        record(key="1", model="a", values=low + high, subgroups=subgroups),
        record(key="2", model="b", values=high + low, subgroups=subgroups),
    ]
    best = {
        row.group: row.model for row in grouped_rows(records, "subgroup") if row.judgement.is_best
    }
    assert best == {"combo_seen1": "b", "combo_seen2": "a"}
    near = [
        row
        for row in grouped_rows(records, "subgroup")
        if row.judgement.indistinguishable_from_best
    ]
    assert len(near) == 2


def test_seeds_show_as_mean_and_spread(record: MakeRecord) -> None:
    boards = [
        [
            record(key=f"a{seed}", model="a", seed=seed, values=(of,)),
            record(key=f"b{seed}", model="b", seed=seed, values=(0.45,)),
        ]
        for seed, of in ((2, 0.6), (0, 0.3), (1, 0.6))
    ]
    (group,) = seed_groups(boards)
    assert [of[0].seed for of in group] == [0, 1, 2]
    first, second = seed_rows(group)
    assert (first.model, first.rank, first.mean) == ("a", 1, pytest.approx(0.5))
    assert first.std == pytest.approx(np.std([0.3, 0.6, 0.6], ddof=1))
    assert (first.low, first.high) == (0.3, 0.6)
    assert dict(first.by_seed) == {0: 0.3, 1: 0.6, 2: 0.6}
    assert (second.model, second.rank, second.std) == ("b", 2, pytest.approx(0.0))
    assert first.document()["n_seeds"] == 3


def test_one_seed_has_no_spread_and_a_missing_seed_shows(record: MakeRecord) -> None:
    boards = [
        [record(key="1", model="a", seed=0, values=(0.3,))],
        [
            record(key="2", model="a", seed=1, values=(0.5,)),
            record(key="3", model="b", seed=1, values=(0.9,)),
        ],
    ]
    (group,) = seed_groups(boards)
    rows = {row.model: row for row in seed_rows(group)}
    assert (rows["b"].std, len(rows["b"].by_seed)) == (None, 1)
    assert (rows["a"].mean, len(rows["a"].by_seed)) == (pytest.approx(0.4), 2)


def test_other_data_and_other_splits_are_no_seeds_of_each_other(record: MakeRecord) -> None:
    real = [record(key="1", seed=0)]
    simulated = [record(key="2", seed=1, simulated=True)]
    assert len(seed_groups([real, simulated])) == 2
