"""The study of tests of predicted cells between batches."""

from __future__ import annotations

import moved_or_drawn
import numpy as np
import pytest
import tests_of_cells
from tests_of_cells import MIXES, WAYS, in_mix, measure

OF_CONTROLS, OWN = MIXES.values()


@pytest.mark.parametrize(
    ("mix", "how", "is_fair"),
    [
        (OF_CONTROLS, WAYS[0], True),
        (OF_CONTROLS, WAYS[1], False),
        (OWN, WAYS[0], False),
        (OWN, WAYS[2], True),
    ],
)
def test_batches_are_no_effect_where_both_sides_have_one_mix(
    mix: float, how: str, is_fair: bool
) -> None:
    none, false, found = np.mean([measure(mix, how, seed) for seed in range(2)], axis=0)
    assert (none < 3.0) == is_fair
    assert (false < 6.0) == is_fair
    assert found > 0.6


def test_controls_have_the_mix_that_is_asked_for() -> None:
    batches = np.arange(1000, dtype=np.int32) % 2
    assert batches[in_mix(batches)].mean() == pytest.approx(0.1, abs=0.002)


def test_the_table_has_a_row_for_each_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(moved_or_drawn, "SEEDS", 1)
    tests_of_cells.main()
    rows = capsys.readouterr().out.strip().split("\n")[2:]
    assert [row.split(" | ")[1] for row in rows] == [*WAYS, *WAYS, WAYS[0]]
    numbers = measure(OWN, WAYS[2], 0)
    assert rows[5].endswith(f"| {numbers[0]:.1f} | {numbers[1]:.1f} | {numbers[2]:.0%} |")
