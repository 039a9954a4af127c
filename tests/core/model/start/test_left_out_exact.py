"""Errors of left-out and held-out perturbations in facet tuning, against refits without them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dygenept.model.start.facet_tuning import Kept
from dygenept.model.start.held_out import HeldOut
from dygenept.model.start.readout import PENALTIES
from dygenept.model.start.typical import Rows

N_GENES = 5
LOG_PENALTY = torch.tensor(-1.0, dtype=torch.float64)
# Perturbations of the rows: each in one cell type; each in two; some in one, two or three.
SINGLE = np.arange(9)
PAIRS = np.array([0, 1, 2, 3, 0, 1, 2, 3])
MIXED = np.array([2, 0, 1, 0, 3, 1, 2, 0, 4])


def drawn(n: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features, (n, F), and targets, (n, G)."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, width))), torch.from_numpy(
        rng.normal(size=(n, N_GENES))
    )


def rows_of(perturbations: np.ndarray) -> Rows:
    types = np.array([(perturbations[:row] == of).sum() for row, of in enumerate(perturbations)])
    return Rows(perturbations, types, n_types=3)


def ridge_of(features: torch.Tensor) -> torch.Tensor:
    return LOG_PENALTY.exp() * features.square().sum(dim=1).mean()


def predicted(
    features: torch.Tensor, targets: torch.Tensor, others: torch.Tensor, ridge: torch.Tensor
) -> torch.Tensor:
    gram = features.T @ features + ridge * torch.eye(features.shape[1], dtype=torch.float64)
    return others @ torch.linalg.solve(gram, features.T @ targets)


@pytest.mark.parametrize("width", [4, 8, 9, 20])
@pytest.mark.parametrize("perturbations", [SINGLE, PAIRS, MIXED])
def test_left_out_residuals_are_those_of_a_fit_without_the_perturbation(
    perturbations: np.ndarray, width: int
) -> None:
    features, targets = drawn(len(perturbations), width, seed=width)
    kept = Kept.of(features, LOG_PENALTY)
    assert (kept.root is None) == (width >= len(perturbations))
    found = kept.left_out_squares(targets @ targets.T, rows_of(perturbations))
    expected = torch.empty(len(perturbations), dtype=torch.float64)
    for perturbation in np.unique(perturbations):
        out = torch.from_numpy(perturbations == perturbation)
        guess = predicted(features[~out], targets[~out], features[out], ridge_of(features))
        expected[out] = (targets[out] - guess).square().sum(dim=1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("width", [4, 9, 20])
@pytest.mark.parametrize("perturbations", [np.arange(3), np.array([0, 1, 0])])
def test_held_out_scores_are_those_of_the_fit(perturbations: np.ndarray, width: int) -> None:
    features, targets = drawn(9, width, seed=width)
    others, wanted = drawn(3, width, seed=width + 1)
    _, typical = drawn(3, width, seed=width + 2)
    vectors = torch.zeros(2)

    def held_out(of: torch.Tensor) -> HeldOut:
        return HeldOut.predicting(
            lambda given: others if given is vectors else others * torch.nan,
            rows_of(perturbations),
            N_GENES,
            (targets, of + typical, typical),
        )

    def by_perturbation(values: torch.Tensor) -> list[float]:
        return [float(values[perturbations == of].mean()) for of in np.unique(perturbations)]

    errors, cosines = held_out(wanted).scores(features, vectors, targets @ targets.T)
    assert errors.shape == cosines.shape == (len(np.unique(perturbations)), len(PENALTIES))
    size = features.square().sum(dim=1).mean()
    for at, penalty in enumerate(PENALTIES):
        guess = predicted(features, targets, others, penalty * size)
        squares = (guess - wanted).square().mean(dim=1)
        np.testing.assert_allclose(errors[:, at], by_perturbation(squares), rtol=1e-8)
        alike = torch.cosine_similarity(guess + typical, wanted + typical, dim=1)
        np.testing.assert_allclose(cosines[:, at], by_perturbation(alike), rtol=1e-8)
        # A perfect fit is not below zero by rounding, and its direction is the true one.
        exact = held_out(guess).scores(features, vectors, targets @ targets.T)[:, :, at]
        assert (exact[0] >= 0).all()
        np.testing.assert_allclose(exact[0], 0.0, atol=1e-12)
        np.testing.assert_allclose(exact[1], 1.0, rtol=1e-8)


def test_no_change_has_no_direction() -> None:
    features, targets = drawn(9, 4, seed=0)
    nothing = torch.zeros(3, N_GENES, dtype=torch.float64)
    others = torch.zeros(3, 4, dtype=torch.float64)
    held_out = HeldOut.predicting(
        lambda vectors: others, rows_of(np.arange(3)), N_GENES, (targets, nothing, nothing)
    )
    found = held_out.scores(features, torch.zeros(2), targets @ targets.T)
    np.testing.assert_array_equal(found, np.zeros((2, 3, len(PENALTIES))))


def test_a_change_of_zero_has_no_direction_whatever_is_typical() -> None:
    features, targets = drawn(9, 4, seed=0)
    others, typical = drawn(3, 4, seed=1)
    for size in (1.0, 1e4):
        held_out = HeldOut.predicting(
            lambda vectors: others,
            rows_of(np.arange(3)),
            N_GENES,
            (size * targets, torch.zeros_like(typical), size * typical),
        )
        inner = size**2 * (targets @ targets.T)
        errors, cosines = held_out.scores(features, torch.zeros(2), inner)
        assert (errors > 0).all()
        # Rounding is left of products of thousands, and is not a direction.
        np.testing.assert_array_equal(cosines, np.zeros((3, len(PENALTIES))))
