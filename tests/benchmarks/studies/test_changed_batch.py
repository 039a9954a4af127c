"""The study of cells that change batch, by means and by ranks."""

from __future__ import annotations

import changed_batch
import moved_or_drawn
import numpy as np
import pytest
from changed_batch import SCREENS, WAYS, changed, distance


def test_ranks_leave_little_of_what_batches_add() -> None:
    screen = SCREENS[0]
    without = np.mean([distance(screen, WAYS[0], seed, batches_differ=False) for seed in range(2)])
    ignored, means, ranks, named = (
        np.mean([distance(screen, how, seed) for seed in range(2)]) - without for how in WAYS
    )
    assert ignored > 0.04
    assert means > 0.5 * ignored
    assert max(ranks, named) < 0.3 * ignored


def test_as_many_cells_change_as_the_mix_asks_for() -> None:
    drawn = moved_or_drawn.draw(SCREENS[0], np.random.default_rng(0), batches_differ=True)
    plain, *moved = (changed(drawn, how, np.random.default_rng(1)) for how in WAYS[:3])
    for cells in moved:
        n_changed = int((cells != plain).any(axis=1).sum())
        # Nine tenths lie in a batch in which half of the controls do.
        assert n_changed == pytest.approx(40, abs=10)


def test_the_table_has_a_column_for_each_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(changed_batch, "SCREENS", SCREENS[:1])
    monkeypatch.setattr(moved_or_drawn, "SEEDS", 1)
    changed_batch.main()
    head, _, row = capsys.readouterr().out.strip().split("\n")
    assert [item.strip() for item in head.split("|")][3:-1] == list(WAYS)
    assert row.endswith(f"| {distance(SCREENS[0], WAYS[3], 0):.3f} |")
