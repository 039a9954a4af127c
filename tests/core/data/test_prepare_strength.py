"""Cells without an effect must not seem to have one: strength and reliability of a screen."""

from __future__ import annotations

import numpy as np
import pytest
from cells_in_batches import of_one_type

from dygenept.data.prepare.screen import split_half_reliability
from dygenept.data.prepare.strength import energy_test, strength
from dygenept.types import Perturbation, PerturbationData

N_GENES = 100


def screen(
    controls: np.ndarray, cells: np.ndarray, batches: np.ndarray | None = None
) -> PerturbationData:
    """Return a screen of control cells, (n, G), and cells of perturbations, (n_conditions, k, G).

    Args:
        controls: Expression of control cells.
        cells: Expression of perturbed cells.
        batches: Batch of each cell, controls first; None for no batches.
    """
    n_conditions, n_own, n_genes = cells.shape
    values = np.concatenate((controls, cells.reshape(-1, n_genes)))
    codes = np.repeat(np.arange(-1, n_conditions), [len(controls), *[n_own] * n_conditions])
    perturbations = [Perturbation(f"P{n:02}", (f"P{n:02}",)) for n in range(n_conditions)]
    return of_one_type(values, codes, perturbations, batch=batches)


def counted(rng: np.random.Generator, rate: np.ndarray) -> np.ndarray:
    return np.log1p(rng.poisson(rate))


@pytest.mark.parametrize("n_controls", [40, 240, 700])
def test_cells_that_are_like_controls_are_not_called_different(n_controls: int) -> None:
    """With components of the compared controls all of these had p = 0.02, the least there is."""
    rng = np.random.default_rng(1)
    rate = rng.gamma(1.0, 1.0, N_GENES)
    controls = counted(rng, np.tile(rate, (n_controls, 1)))
    cells = counted(rng, np.tile(rate, (20, 30, 1)))
    cells[0] = counted(rng, np.tile(rate * np.exp(rng.normal(0.0, 1.0, N_GENES)), (30, 1)))
    found = strength(screen(controls, cells), permutations=49, seed=0)
    assert found.p_values[0] == 1 / 50
    # All are compared with the same controls, so that their p values rise and fall together.
    assert (found.p_values[1:] < 0.05).mean() <= 0.2
    assert np.median(found.p_values[1:]) > 0.2


def test_strength_is_undefined_where_no_controls_are_left_to_compare() -> None:
    rng = np.random.default_rng(0)
    for n_controls, is_defined in ((1, False), (3, False), (4, True)):
        data = screen(rng.random((n_controls, 30)), rng.random((2, 5, 30)))
        found = strength(data, permutations=9, seed=0)
        assert np.isfinite(found.distances).all() == is_defined
        assert np.isfinite(found.p_values).all() == is_defined


def of_two_batches(effect: float) -> tuple[PerturbationData, PerturbationData]:
    """Return a screen whose conditions are in two of six batches, with batches and without."""
    rng = np.random.default_rng(0)
    of_batch = 5.0 * np.exp(rng.normal(0.0, 0.3, (6, N_GENES)))
    own = np.repeat(np.arange(6), 40)
    controls = counted(rng, of_batch[own])
    used = np.array([rng.choice(6, 2, replace=False) for _ in range(16)])
    in_batch = np.tile(used, (1, 30))  # (16, 60)
    change = np.exp(rng.normal(0.0, effect, (16, 1, N_GENES)))
    cells = counted(rng, of_batch[in_batch] * change)
    batches = np.concatenate((own, in_batch.ravel()))
    return screen(controls, cells, batches), screen(controls, cells)


def test_a_batch_is_no_change_that_repeats_itself_where_controls_are_matched() -> None:
    matched, unmatched = of_two_batches(0.0)
    assert np.median(split_half_reliability(unmatched)) > 0.5
    assert abs(np.median(split_half_reliability(matched))) < 0.15
    assert np.median(split_half_reliability(of_two_batches(0.4)[0])) > 0.85


def test_a_batch_is_no_strength_where_controls_are_matched() -> None:
    matched, unmatched = of_two_batches(0.0)
    asked = {"permutations": 49, "seed": 0}
    assert (strength(unmatched, **asked).q_values < 0.05).all()
    assert not (strength(matched, **asked).q_values < 0.05).any()
    strong, _ = of_two_batches(0.4)
    assert (strength(strong, **asked).q_values < 0.05).all()


def test_points_are_shuffled_within_their_batch_alone() -> None:
    rng = np.random.default_rng(3)
    own, others = rng.normal(5.0, 1.0, (8, 2)), rng.normal(0.0, 1.0, (8, 2))
    apart = np.repeat([0, 1], 8).astype(np.int32)
    # No batch has both, so that no shuffle changes anything.
    assert energy_test(own, others, 19, np.random.default_rng(0), batches=apart)[1] == 1.0
    mixed = np.tile([0, 1], 8).astype(np.int32)
    assert energy_test(own, others, 19, np.random.default_rng(0), batches=mixed)[1] == 1 / 20
    assert energy_test(own, others, 19, np.random.default_rng(0))[1] == 1 / 20


def test_a_distance_is_measured_within_batches_where_controls_are_matched() -> None:
    asked = {"permutations": 0, "seed": 0}
    for effect in (0.0, 0.3):
        rng = np.random.default_rng(0)
        matched, unmatched = of_two_batches(effect)
        # The same change on cells of one batch alone, as without batches.
        rate = 5.0 * np.exp(rng.normal(0.0, 0.3, (1, N_GENES)))
        change = np.exp(rng.normal(0.0, effect, (16, 1, N_GENES)))
        alone = screen(
            counted(rng, np.tile(rate, (240, 1))), counted(rng, rate * np.tile(change, (1, 60, 1)))
        )
        without, ignored, within = (
            float(np.median(strength(of, **asked).distances)) for of in (alone, unmatched, matched)
        )
        assert abs(within - without) < 0.3 * abs(ignored - without)


def test_the_test_within_batches_is_exact() -> None:
    """Offsets of other controls than the compared ones say nothing of who is a control."""
    p_values = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        of_batch = 5.0 * np.exp(rng.normal(0.0, 0.3, (4, N_GENES)))
        own = np.repeat(np.arange(4), 22)
        in_batch = rng.choice(4, (12, 40), p=[0.7, 0.1, 0.1, 0.1])
        data = screen(
            counted(rng, of_batch[own]),
            counted(rng, of_batch[in_batch]),
            np.concatenate((own, in_batch.ravel())),
        )
        p_values.append(np.mean(strength(data, permutations=39, seed=seed).p_values <= 0.1))
    assert np.mean(p_values) < 0.2


def test_batches_with_few_other_controls_are_not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    matched, unmatched = of_two_batches(0.3)
    asked = {"permutations": 0, "seed": 0}
    plain = strength(unmatched, **asked).distances
    assert (strength(matched, **asked).distances != plain).all()
    monkeypatch.setattr("dygenept.data.prepare.strength.MIN_CONTROLS", 1000)
    np.testing.assert_array_equal(strength(matched, **asked).distances, plain)
