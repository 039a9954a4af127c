"""Parts of a board: their order, and terciles of effect size."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dygenept.errors import ResultsError
from dygenept.leaderboard.groups import grouped_rows
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]


def test_parts_come_in_the_order_of_difficulty_and_then_by_name(record: MakeRecord) -> None:
    groups = {
        "other_b": ("g0+ctrl",),
        "combo_seen1": ("g1+ctrl",),
        "seen_single": ("g2+ctrl",),
        "other_a": ("g3+ctrl",),
    }
    made = record(values=(0.1, 0.2, 0.3, 0.4, 0.5), subgroups=groups)
    rows = grouped_rows([made], "subgroup")
    assert [(row.group, row.total.pooled) for row in rows] == [
        ("seen_single", 0.3),
        ("combo_seen1", 0.2),
        ("other_a", 0.4),
        ("other_b", 0.1),
    ]


def test_terciles_of_effect_size_put_a_boundary_into_the_smaller_part(record: MakeRecord) -> None:
    # Quantiles at 1/3 and 2/3 of 0, 1, 2, 3 are 1 and 2.
    sizes = {f"g{number}+ctrl": float(number) for number in range(4)}
    made = record(values=(0.0, 0.1, 0.2, 0.3), effects={"K562": sizes})
    rows = grouped_rows([made], "effect")
    assert [(row.group, row.total.n_perturbations, row.total.pooled) for row in rows] == [
        ("small effect", 2, pytest.approx(0.05)),
        ("medium effect", 1, 0.2),
        ("large effect", 1, 0.3),
    ]


def test_missing_effect_sizes_are_counted(record: MakeRecord) -> None:
    made = record(values=(0.0, 0.1, 0.2), effects={"K562": {"g0+ctrl": 1.0}})
    with pytest.raises(ResultsError, match=r"^2 held-out perturbation\(s\) of toy .*--no-resume"):
        grouped_rows([made], "effect")
