"""The study of energy distance between batches: moved cells, drawn ones, and none of either."""

from __future__ import annotations

import moved_or_drawn
import numpy as np
import pytest
from moved_or_drawn import draw, energy, matched, scores, two_batches

SCREEN = two_batches(0.9, genes=0.8)


def test_moved_and_drawn_cells_are_near_what_there_is_without_batches() -> None:
    without, ignored, moved, drawn = (
        np.mean(
            [
                scores(draw(SCREEN, np.random.default_rng(seed), batches_differ=differ), how, seed)
                for seed in range(3)
            ],
            axis=0,
        )
        for how, differ in (("ignored", False), ("ignored", True), ("moved", True), ("drawn", True))
    )
    for found in (moved, drawn):
        assert (abs(found - without) < 0.2 * abs(ignored - without)).all()
    assert (np.diff(moved) > 0).all()


def test_a_study_draws_the_same_cells_whether_batches_differ() -> None:
    one, other = (
        draw(SCREEN, np.random.default_rng(1), batches_differ=differ) for differ in (False, True)
    )
    np.testing.assert_array_equal(one.batches, other.batches)
    is_first = one.batches == 0
    assert not np.array_equal(one.values[~is_first], other.values[~is_first])
    found = matched(other)
    means = [
        (other.values - found.offsets[found.rows])[: other.n_controls][
            other.batches[: other.n_controls] == batch
        ].mean(axis=0)
        for batch in (0, 1)
    ]
    np.testing.assert_allclose(*means, atol=1e-5)
    assert energy(one.values[:50], one.values[:50]) == pytest.approx(0.0, abs=1e-12)


def test_the_table_has_a_row_for_each_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(moved_or_drawn, "SCREENS", (SCREEN,))
    monkeypatch.setattr(moved_or_drawn, "SEEDS", 1)
    moved_or_drawn.main()
    rows = capsys.readouterr().out.strip().split("\n")[2:]
    assert [row.split(" | ")[1] for row in rows] == ["no difference", "ignored", "moved", "drawn"]
    values = scores(draw(SCREEN, np.random.default_rng(0), batches_differ=True), "moved", 1)
    assert rows[2].endswith(" | ".join(f"{value:.2f}" for value in values) + " |")
