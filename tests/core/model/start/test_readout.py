from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dygenept.model.start.beyond_chance import best_beyond_chance
from dygenept.model.start.left_out import Targets
from dygenept.model.start.readout import (
    PENALTIES,
    ReadoutChoice,
    fit_readout,
)
from dygenept.model.start.typical import Rows


def test_ridge_picks_the_penalty_of_the_smallest_left_out_error() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12, 30))
    targets = features[:, :2] @ rng.normal(size=(2, 5)) + rng.normal(size=(12, 5))
    scale = np.square(features).sum(axis=1).mean()
    errors = {}
    for penalty in PENALTIES:
        out = []
        for row in range(12):
            kept = np.arange(12) != row
            gram = features[kept].T @ features[kept] + penalty * scale * np.eye(30)
            weights = np.linalg.solve(gram, features[kept].T @ targets[kept])
            out.append(np.square(features[row] @ weights - targets[row]).mean())
        errors[penalty] = np.mean(out)
    best = min(errors, key=lambda penalty: errors[penalty])
    fit = fit_readout(features, targets)
    assert fit.penalty == best
    assert fit.errors.mean() == pytest.approx(errors[best])
    gram = features.T @ features + best * scale * np.eye(30)
    np.testing.assert_allclose(fit.weights.T, np.linalg.solve(gram, features.T @ targets))


def test_readout_adds_a_typical_change_that_no_left_out_condition_takes_part_in() -> None:
    rng = np.random.default_rng(0)
    shared = np.zeros(30)
    shared[0] = 0.7
    own = rng.normal(size=(12, 30))
    own[:, 0] = 0.0
    features, targets = own + shared, rng.normal(size=(12, 5)) + 1.0
    scale = np.square(own).sum(axis=1).mean()

    def predicted(kept: np.ndarray, row: np.ndarray, penalty: float) -> np.ndarray:
        weights = 1 / np.linalg.norm(targets[kept], axis=1)
        typical = weights @ targets[kept] / weights.sum()
        gram = own[kept].T @ own[kept] + penalty * scale * np.eye(30)
        return typical + row @ np.linalg.solve(gram, own[kept].T @ (targets[kept] - typical))

    everyone = np.arange(12)
    errors = {
        penalty: np.mean(
            [
                np.square(predicted(everyone != row, own[row], penalty) - targets[row]).mean()
                for row in everyone
            ]
        )
        for penalty in PENALTIES
    }
    fit = fit_readout(features, targets, shared=shared)
    assert fit.penalty == min(errors, key=lambda penalty: errors[penalty])
    assert fit.errors.mean() == pytest.approx(errors[fit.penalty])
    other = np.append(0.0, rng.normal(size=29))
    np.testing.assert_allclose(
        fit.weights @ (other + shared), predicted(everyone >= 0, other, fit.penalty)
    )


def errors_with_gain(gain: float, n_conditions: int = 25) -> np.ndarray:
    """Errors at three checkpoints; the second is better by ``gain`` with spread 1."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=n_conditions)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    start = np.full(n_conditions, 10.0)
    return np.stack([start, start - gain - noise, start + 5.0], axis=1)


@pytest.mark.parametrize("n_spreads", [1.0, 2.0])
def test_a_gain_counts_beyond_so_many_standard_errors(n_spreads: float) -> None:
    near, beyond = (errors_with_gain(gain * n_spreads) for gain in (0.19, 0.21))
    assert best_beyond_chance(near, reference=0, n_spreads=n_spreads) == 0
    assert best_beyond_chance(beyond, reference=0, n_spreads=n_spreads) == 1


def test_one_condition_alone_decides_nothing() -> None:
    assert best_beyond_chance(np.array([[2.0, 1.0]]), reference=0) == 0


def two_types(n: int = 9) -> tuple[np.ndarray, np.ndarray, Rows]:
    """Features, changes and rows of perturbations, most of them measured in two cell types."""
    rng = np.random.default_rng(1)
    both = [(number, code) for number in range(n) for code in (0, 1) if (number, code) != (4, 1)]
    numbers, codes = (np.array(values) for values in zip(*both, strict=True))
    own = rng.normal(size=(n, 6))[numbers] + 0.1 * rng.normal(size=(len(both), 6))
    maps = rng.normal(size=(2, 6, 5))
    own[:, 0] = 0.0
    targets = np.einsum("nf,nfg->ng", own, maps[codes]) + np.array([[2.0], [-1.0]])[codes]
    return own, targets + 0.2 * rng.normal(size=targets.shape), Rows(numbers, codes, 3)


def refitted(
    kept: np.ndarray, row: tuple[np.ndarray, int], penalty: float, prior: float, share: float
) -> np.ndarray:
    """Predict one condition by the formulas, from the kept rows only."""
    own, targets, rows = two_types()
    scale = np.square(own).sum(axis=1).mean()
    x, y, types = own[kept], targets[kept], rows.cell_types[kept]
    weights = 1 / np.linalg.norm(y, axis=1)
    pooled = weights @ y / weights.sum()

    def typical(code: int) -> np.ndarray:
        here = types == code
        if prior == np.inf or not here.any():
            return pooled
        mean = weights[here] @ y[here] / weights[here].sum()
        return (here.sum() * mean + prior * pooled) / (here.sum() + prior)

    left = y - np.stack([typical(code) for code in types])
    same = types[:, None] == types
    kernel = x @ x.T * (1 - share + share * same) + penalty * scale * np.eye(len(x))
    near = x @ row[0] * (1 - share + share * (types == row[1]))
    return typical(row[1]) + near @ np.linalg.solve(kernel, left)


@pytest.mark.parametrize("prior", [np.inf, 3.0, 0.0])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_perturbation_is_left_out_of_all_its_cell_types(prior: float, share: float) -> None:
    own, targets, rows = two_types()
    direction = np.eye(6)[0]
    choice = ReadoutChoice.of(own + direction, Targets.of(targets, rows), direction)
    left_out = choice.left_out
    if share:
        left_out = replace(left_out, spectrum=left_out.spectrum.by_type(share))
    expected = []
    for number in range(9):
        out = rows.perturbations == number
        expected.append(
            np.mean(
                [
                    np.square(
                        refitted(~out, (own[row], rows.cell_types[row]), 0.3, prior, share)
                        - targets[row]
                    ).mean()
                    for row in np.flatnonzero(out)
                ]
            )
        )
    np.testing.assert_allclose(left_out.errors(0.3, prior), expected, rtol=1e-9)


def test_each_cell_type_gets_its_typical_change_and_its_map_where_that_helps() -> None:
    own, targets, rows = two_types()
    direction = np.eye(6)[0]
    fit = fit_readout(own + direction, targets, direction, rows)
    assert fit.prior < np.inf
    assert fit.type_share > 0
    maps = fit.type_maps
    assert maps is not None
    other = np.append(0.0, np.random.default_rng(2).normal(size=5))
    everyone = np.ones(len(own), dtype=bool)
    for code in (0, 1, 2):
        expected = refitted(everyone, (other, code), fit.penalty, fit.prior, fit.type_share)
        predicted = fit.predict((other + direction)[None], np.array([code]))[0]
        np.testing.assert_allclose(predicted, expected)
        weights = fit.weights + maps[code] + np.outer(fit.type_shifts[code], direction)
        np.testing.assert_allclose(weights @ (other + direction), expected)
    # Of a cell type without any condition only the pooled change is known.
    assert not maps[2].any()


def test_the_spread_is_that_of_left_out_residuals() -> None:
    rng = np.random.default_rng(3)
    features, targets = rng.normal(size=(15, 4)), rng.normal(size=(15, 6))
    fit = fit_readout(features, targets)
    ridge = fit.penalty * np.square(features).sum(axis=1).mean()
    squares, whole = [], []
    for row in range(15):
        kept = np.arange(15) != row
        gram = features[kept].T @ features[kept] + ridge * np.eye(4)
        solved = np.linalg.solve(gram, features[kept].T @ targets[kept])
        leverage = features[row] @ np.linalg.solve(gram, features[row])
        whole.append(np.square(targets[row] - features[row] @ solved))
        squares.append(whole[-1] / (1 + leverage))
    np.testing.assert_allclose(fit.left_out_squares, np.mean(whole, axis=0))
    np.testing.assert_allclose(fit.variance, np.mean(squares, axis=0))
    x = rng.normal(size=4)
    gram = features.T @ features + ridge * np.eye(4)
    expected = np.sqrt(fit.variance * (1 + x @ np.linalg.solve(gram, x)))
    np.testing.assert_allclose(fit.spread(x[None], np.zeros(1, dtype=int))[0], expected)


def drawn_choice(seed: int, *, told: float) -> ReadoutChoice:
    """Choose for random features, of which changes beyond the typical one have a share."""
    rng = np.random.default_rng(seed)
    features, n_genes = rng.normal(size=(60, 40)), 30
    features[:, 0] = 0.0
    strengths = np.where(rng.random(60) < 0.3, 4.0, 1.0)[:, None]
    own = told * features @ rng.normal(size=(40, n_genes)) / 40**0.5
    changes = 1.0 + strengths * (own + rng.normal(size=(60, n_genes)))
    shared = np.zeros(40)
    shared[0] = 1.0
    return ReadoutChoice.of(features + shared, Targets.of(changes, Rows.single(60)), shared)


def test_the_typical_change_alone_has_the_errors_of_the_largest_penalty() -> None:
    choice = drawn_choice(0, told=2.0)
    assert choice.penalty < 100.0
    alone = choice.typical_alone()
    assert alone.penalty == max(PENALTIES)
    expected = choice.left_out.errors(max(PENALTIES), choice.prior)
    np.testing.assert_array_equal(alone.errors, expected)
    assert alone.typical_alone() is alone


def test_without_a_typical_change_features_are_all_there_is() -> None:
    rng = np.random.default_rng(0)
    targets = Targets.of(rng.normal(size=(20, 5)), Rows.single(20))
    choice = ReadoutChoice.of(rng.normal(size=(20, 8)), targets, None)
    assert choice.typical_alone() is choice


def test_the_largest_penalty_leaves_the_typical_change_alone() -> None:
    choice = drawn_choice(0, told=2.0)
    typical, coefficients = choice.left_out.solved(max(PENALTIES), choice.prior)
    added = choice.left_out.spectrum.features @ (choice.left_out.spectrum.features.T @ coefficients)
    assert np.abs(added).max() < 0.02 * np.abs(typical).max()


@pytest.mark.parametrize("n", [2, 9, 40, 130, 250])
@pytest.mark.parametrize("n_types", [1, 2])
def test_penalties_that_differ_by_rounding_alone_keep_what_was_measured(
    n: int, n_types: int
) -> None:
    rng = np.random.default_rng(n)
    # Codes of genes that are each perturbed once: what is left out has nothing in common with them.
    codes = np.column_stack([np.eye(n), np.ones(n)])
    shared = np.eye(n + 1)[-1]
    rows = Rows(np.tile(np.arange(n), n_types), np.repeat(np.arange(n_types), n), n_types)
    features = np.tile(codes, (n_types, 1))
    targets = rng.normal(size=(len(features), 30)) + rng.normal(size=30)
    fit = fit_readout(features, targets, shared, rows)
    assert fit.penalty == min(PENALTIES)
    assert fit.type_share == 0.0
    nothing = ReadoutChoice.of(features, Targets.of(targets, rows), shared).of_nothing()
    assert nothing.penalty == min(PENALTIES)
    assert nothing.prior == fit.prior
    np.testing.assert_allclose(nothing.errors, fit.errors)
    alone = nothing.solved()
    assert not alone.coefficients.any() or not np.abs(alone.weights @ (codes - shared).T).max()
    np.testing.assert_allclose(alone.typical, fit.typical)
    if n > 2:
        np.testing.assert_allclose(alone.variance, fit.variance * 1.03 / 0.03, rtol=1e-6)
