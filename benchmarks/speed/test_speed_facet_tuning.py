"""Tuning of facet vectors, beside what a step would cost by inverting the kernel of conditions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from dygenept.model.start.facet_tuning import Kept
from dygenept.model.start.left_out_loss import LeftOutLoss
from dygenept.model.start.typical import Rows

pytestmark = pytest.mark.benchmark(group="facet tuning, one step without attention")
# As in a fold of the full-size K562 data: train conditions and features of dygenept_small.
N_CONDITIONS, WIDTH = 874, 256


@pytest.fixture
def features() -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.standard_normal((N_CONDITIONS, WIDTH))).requires_grad_()


@pytest.fixture
def inner() -> torch.Tensor:
    targets = np.random.default_rng(1).standard_normal((N_CONDITIONS, N_CONDITIONS))
    return torch.from_numpy(targets @ targets.T)


def test_left_out_errors_and_their_gradient(
    benchmark: BenchmarkFixture, features: torch.Tensor, inner: torch.Tensor
) -> None:
    penalty = torch.tensor(-2.0, dtype=torch.float64)
    rows = Rows.single(N_CONDITIONS)

    def step() -> None:
        loss = Kept.of(features, penalty).left_out_squares(inner, rows).mean()
        torch.autograd.grad(loss, features)

    benchmark(step)


def test_left_out_errors_and_their_gradient_by_hand(
    benchmark: BenchmarkFixture, features: torch.Tensor, inner: torch.Tensor
) -> None:
    narrow = features.detach().float(), inner.float()
    penalty, sizes = torch.tensor(-2.0, dtype=torch.float64), torch.ones(N_CONDITIONS)
    benchmark(lambda: LeftOutLoss.of(narrow[0], penalty, narrow[1], sizes))


def test_peer_the_same_by_inverting_the_kernel(
    benchmark: BenchmarkFixture, features: torch.Tensor, inner: torch.Tensor
) -> None:
    targets = torch.linalg.cholesky(inner + 1e-6 * torch.eye(N_CONDITIONS).double())

    def step() -> None:
        ridge = float(np.exp(-2.0)) * features.square().sum(dim=1).mean()
        kernel = features @ features.T + ridge * torch.eye(N_CONDITIONS).double()
        inverse = torch.linalg.inv(kernel)
        residuals = (inverse @ targets) / inverse.diagonal()[:, None]
        torch.autograd.grad(residuals.square().sum(dim=1).mean(), features)

    benchmark(step)
