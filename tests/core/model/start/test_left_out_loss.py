"""What many perturbations are spared, against the same without: gradients and squared errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dygenept.model.start import left_out
from dygenept.model.start.facet_tuning import Kept
from dygenept.model.start.left_out import LeftOut, Spectrum, Targets
from dygenept.model.start.left_out_loss import LeftOutLoss
from dygenept.model.start.typical import POOLED, Rows


@pytest.mark.parametrize(("n", "width"), [(12, 3), (40, 39), (230, 17)])
@pytest.mark.parametrize("log_penalty", [-4.0, -1.0, 1.5])
def test_value_and_gradients_are_those_of_automatic_differentiation(
    n: int, width: int, log_penalty: float
) -> None:
    rng = np.random.default_rng(n)
    features = torch.from_numpy(rng.normal(size=(n, width)) * 3.0).requires_grad_()
    targets = torch.from_numpy(rng.normal(size=(n, 2 * n)))
    sizes = torch.from_numpy(rng.uniform(0.5, 2.0, n))
    penalty = torch.tensor(log_penalty, dtype=torch.float64, requires_grad=True)
    inner = targets @ targets.T
    expected = (Kept.of(features, penalty).left_out_squares(inner, Rows.single(n)) / sizes).mean()
    gradients = torch.autograd.grad(expected, [features, penalty])

    found = LeftOutLoss.of(features.detach(), penalty.detach(), inner, sizes)
    torch.testing.assert_close(found.value, expected.detach())
    torch.testing.assert_close(found.of_features, gradients[0])
    torch.testing.assert_close(found.of_log_penalty, gradients[1])

    narrow = LeftOutLoss.of(
        features.detach().float(), penalty.detach(), inner.float(), sizes.float()
    )
    assert narrow.of_features.dtype == torch.float32
    assert narrow.of_log_penalty.dtype == torch.float64
    largest = gradients[0].abs().max()
    assert (narrow.of_features - gradients[0]).abs().max() < 1e-4 * largest
    torch.testing.assert_close(narrow.of_log_penalty, gradients[1], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("width", [7, 230])
@pytest.mark.parametrize("counts_vary", [False, True])
def test_squared_errors_of_many_perturbations_are_those_of_their_residuals(
    width: int, counts_vary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(width)
    n = 210
    rows = Rows.single(n)
    common = rng.normal(size=300)
    targets = Targets.of(rng.normal(size=(n, 300)) + common, rows)
    spectrum = Spectrum.of(rng.normal(size=(n, width)), rows)
    counts = rng.integers(0, 3, n).astype(np.float64) if counts_vary else np.ones(n)
    spared = LeftOut(spectrum, targets, counts)
    monkeypatch.setattr(left_out, "MANY_PERTURBATIONS", n + 1)
    whole = LeftOut(spectrum, targets, counts)
    assert spared._alone is not None
    assert whole._alone is None
    for penalty in (0.03, 1.0, 100.0):
        np.testing.assert_allclose(
            spared.errors(penalty, POOLED), whole.errors(penalty, POOLED), rtol=1e-9
        )
