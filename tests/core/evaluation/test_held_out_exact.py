"""Effect sizes, subgroups and validation labels worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from core.evaluation.small_cells import AB, BULK, A, B, C, X, Y, cells_data

from dygenept.evaluation.held_out import effect_sizes, subgroups, validation_positions
from dygenept.types import (
    Perturbation,
)


def test_effect_sizes_are_root_mean_squares_of_the_change() -> None:
    data = cells_data()
    sizes = effect_sizes(data, BULK, data.conditions[::-1])
    assert sizes == {
        X: {"B+ctrl": pytest.approx(1.0), "A+ctrl": pytest.approx(0.5**0.5)},
        Y: {"A+ctrl": pytest.approx(12.5**0.5)},
    }


def test_subgroups_count_the_genes_that_training_has() -> None:
    ac, bc = Perturbation("A+C", ("A", "C")), Perturbation("B+C", ("B", "C"))
    d, de = Perturbation("D+ctrl", ("D",)), Perturbation("D+E", ("D", "E"))
    known = iter([A, bc])
    found = subgroups(known, [ac, AB, d, C, B, de, A, Perturbation("A+D", ("A", "D"))])
    assert list(found.items()) == [
        ("combo_seen0", ("D+E",)),
        ("combo_seen1", ("A+D",)),
        ("combo_seen2", ("A+B", "A+C")),
        ("seen_perturbation", ("A+ctrl",)),
        ("seen_single", ("B+ctrl", "C+ctrl")),
        ("unseen_single", ("D+ctrl",)),
    ]


@pytest.mark.parametrize(
    ("n_labels", "fraction", "n_drawn"),
    [
        (2, 0.9, 0),
        (3, 0.1, 1),
        (3, 0.0, 0),
        (10, 0.1, 1),
        (14, 0.25, 4),
        (20, 0.1, 2),
        (3, 0.99, 2),
        (100, 0.999, 99),
    ],
)
def test_so_many_labels_are_held_out_for_validation(
    n_labels: int, fraction: float, n_drawn: int
) -> None:
    drawn = validation_positions(n_labels, fraction=fraction, seed=(1, 2))
    assert len(set(drawn)) == len(drawn) == n_drawn
    assert drawn == tuple(sorted(drawn))
    if n_drawn:
        rng = np.random.default_rng([1, 2])
        assert drawn == tuple(sorted(rng.choice(n_labels, n_drawn, replace=False).tolist()))
        assert type(drawn[0]) is int
