"""Validation labels, subgroups and effect sizes, on hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest

from dygenept.data.pseudobulk import pseudobulk
from dygenept.evaluation.held_out import effect_sizes, subgroups, validation_positions
from dygenept.testing import ToyShape, toy_data
from dygenept.types import Perturbation


def perturbation(label: str) -> Perturbation:
    genes = tuple(sorted(set(label.split("+")) - {"ctrl"}))
    return Perturbation(label, genes)


@pytest.mark.parametrize(
    ("n_labels", "fraction", "expected"),
    [
        (10, 0.0, 0),
        (2, 0.5, 0),
        (3, 0.1, 1),
        (20, 0.1, 2),
        (25, 0.1, 2),
        (4, 0.99, 3),
    ],
)
def test_how_many_labels_are_held_out_for_validation(
    n_labels: int, fraction: float, expected: int
) -> None:
    drawn = validation_positions(n_labels, fraction=fraction, seed=(1, 2))
    assert len(drawn) == len(set(drawn)) == expected
    assert list(drawn) == sorted(drawn)
    assert all(0 <= position < n_labels for position in drawn)


def test_the_draw_depends_on_every_seed() -> None:
    draws = {
        validation_positions(100, fraction=0.2, seed=seed) for seed in ((0, 0), (0, 1), (1, 0))
    }
    assert len(draws) == 3
    again = validation_positions(100, fraction=0.2, seed=(0, 1))
    assert again in draws


def test_test_perturbations_are_sorted_by_what_is_known_of_their_genes() -> None:
    known = [perturbation(label) for label in ("A+ctrl", "B+C", "D+ctrl")]
    test = [
        perturbation(label)
        for label in ("Z+ctrl", "B+ctrl", "X+Y", "A+X", "A+D", "D+ctrl", "A+B", "Y+ctrl")
    ]
    assert dict(subgroups(known, test)) == {
        "combo_seen0": ("X+Y",),
        "combo_seen1": ("A+X",),
        "combo_seen2": ("A+B", "A+D"),
        "seen_perturbation": ("D+ctrl",),
        "seen_single": ("B+ctrl",),
        "unseen_single": ("Y+ctrl", "Z+ctrl"),
    }


def test_an_effect_is_the_root_mean_square_of_the_delta_within_its_cell_type() -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    conditions = data.conditions[::-2]
    found = effect_sizes(data, pseudobulk(data), conditions)
    assert sum(map(len, found.values())) == len(conditions)
    cells = data.expression.toarray().astype(np.float64)
    for condition in conditions:
        number = data.cell_types.index(condition.cell_type)
        is_control = (data.condition_codes < 0) & (data.cell_type_codes == number)
        own = data.condition_codes == data.conditions.index(condition)
        delta = cells[own].mean(axis=0) - cells[is_control].mean(axis=0)
        expected = np.sqrt((delta**2).mean())
        assert found[condition.cell_type][condition.label] == pytest.approx(expected)
