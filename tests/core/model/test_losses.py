from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr

from dygenept.model.losses import direction_loss, mean_where, pearson_delta_de, perturbation_loss
from dygenept.model.training.options import LossOptions

PREDICTED = torch.tensor([[0.0, 1.0, 2.0], [1.0, -1.0, 0.0]])
TARGET = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
DE = torch.tensor([[2, 0], [1, -1]])


def loss(**weights: float) -> float:
    options = LossOptions(**{"mse_weight": 0, "de_mse_weight": 0, "direction_weight": 0, **weights})
    value = perturbation_loss(PREDICTED, TARGET, reference=TARGET, de_indices=DE, options=options)
    return float(value)


def test_terms_are_those_worked_out_by_hand() -> None:
    assert loss(mse_weight=1) == pytest.approx((1 + 0 + 4 + 0 + 4 + 0) / 6)
    assert loss(de_mse_weight=1) == pytest.approx((4 + 1 + 4) / 3)
    tanh = np.tanh(1 / 0.5)
    by_hand = (0.5 + 0.5 + 0.5 * (1 + tanh)) / 3
    assert loss(direction_weight=1, direction_scale=0.5) == pytest.approx(by_hand)


def test_weights_scale_their_terms() -> None:
    parts = loss(mse_weight=2), loss(de_mse_weight=3), loss(direction_weight=0.5)
    assert loss(mse_weight=2, de_mse_weight=3, direction_weight=0.5) == pytest.approx(sum(parts))


def test_direction_loss_is_low_for_the_right_direction_and_smooth() -> None:
    predicted = torch.linspace(-1, 1, 21, requires_grad=True)
    value = direction_loss(predicted, torch.ones(21), 0.1)
    assert (value.diff() <= 0).all()
    assert value[0] > 0.99
    assert value[-1] < 0.01
    value.sum().backward()
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


def test_a_condition_without_de_genes_adds_nothing_and_gives_no_nan() -> None:
    assert mean_where(torch.ones(2), torch.zeros(2, dtype=torch.bool)) == 0


def test_reductions_run_in_float32_for_low_precision_predictions() -> None:
    predicted = PREDICTED.to(torch.bfloat16)
    value = perturbation_loss(
        predicted, TARGET, reference=TARGET, de_indices=DE, options=LossOptions()
    )
    assert value.dtype == torch.float32


def test_pearson_over_de_genes_agrees_with_scipy_and_leaves_padding_out() -> None:
    rng = np.random.default_rng(0)
    predicted, target = rng.normal(size=(2, 3, 30))
    de = np.stack([rng.permutation(30)[:20] for _ in range(3)])
    de[1, 15:] = -1
    found = pearson_delta_de(*(torch.from_numpy(a) for a in (predicted, target, de)))
    for row in range(3):
        genes = de[row][de[row] >= 0]
        expected = pearsonr(predicted[row, genes], target[row, genes]).statistic
        assert found[row].item() == pytest.approx(expected)


def test_pearson_of_a_constant_side_counts_as_zero() -> None:
    de = torch.tensor([[0, 1, 2], [-1, -1, -1]])
    assert pearson_delta_de(torch.ones(2, 3), TARGET, de).tolist() == [0, 0]
