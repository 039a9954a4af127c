"""The loss worked out by hand, part by part."""

from __future__ import annotations

import math

import pytest
import torch

from dygenept.model.losses import (
    BatchCounts,
    mean_where,
    pearson_delta_de,
    perturbation_loss,
)
from dygenept.model.training.options import LossOptions

PREDICTED = torch.tensor([[3.0, 1.0, 2.0], [1.0, -1.0, 0.0]])
TARGET = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
# One gene of the first condition and both of the second count; -1 pads.
DE = torch.tensor([[0, -1], [1, 2]])


def loss(counts: BatchCounts | None = None, **weights: float) -> float:
    options = LossOptions(**{"mse_weight": 0, "de_mse_weight": 0, "direction_weight": 0, **weights})
    return float(
        perturbation_loss(
            PREDICTED, TARGET, reference=TARGET, de_indices=DE, options=options, counts=counts
        )
    )


def test_a_part_of_a_batch_is_divided_by_the_counts_of_the_whole() -> None:
    counts = BatchCounts(n_values=60, n_de=30)
    assert loss(counts, mse_weight=1) == pytest.approx((4 + 4 + 4) / 60)
    assert loss(counts, de_mse_weight=1) == pytest.approx((4 + 4 + 0) / 30)
    # tanh(±10) is ±1 in float32: right, wrong, and no direction at all.
    assert loss(counts, direction_weight=1, direction_scale=0.1) == pytest.approx(1.5 / 30)


def test_without_counts_a_batch_is_divided_by_its_own() -> None:
    assert loss(mse_weight=1) == pytest.approx(12 / 6)
    assert loss(de_mse_weight=1) == pytest.approx(8 / 3)
    assert loss(direction_weight=1, direction_scale=0.1) == pytest.approx(1.5 / 3)


def test_direction_is_taken_from_the_reference_and_error_from_the_target() -> None:
    options = LossOptions(mse_weight=0, de_mse_weight=1, direction_weight=1, direction_scale=0.1)
    value = perturbation_loss(PREDICTED, TARGET, reference=-TARGET, de_indices=DE, options=options)
    # Directions: wrong, right, none; errors as before.
    assert float(value) == pytest.approx(8 / 3 + (1 + 0 + 0.5) / 3)


def test_a_single_value_is_its_own_mean() -> None:
    values = torch.tensor([[5.0, 7.0]])
    assert mean_where(values, torch.tensor([[True, False]])) == 5
    assert mean_where(values, torch.tensor([[True, True]])) == 6


def test_counts_of_one_or_none_divide_by_one() -> None:
    values, mask = torch.tensor([[5.0, 7.0]]), torch.tensor([[True, False]])
    assert mean_where(values, mask, BatchCounts(n_values=9, n_de=1)) == 5
    assert mean_where(values, mask, BatchCounts(n_values=9, n_de=0)) == 5
    assert mean_where(values, mask, BatchCounts(n_values=9, n_de=4)) == 1.25


def test_the_mask_takes_the_type_of_the_values() -> None:
    values = torch.tensor([[5.0, 7.0]], dtype=torch.float64)
    assert mean_where(values, torch.ones(1, 2, dtype=torch.bool)).dtype == torch.float64


def test_a_condition_of_one_de_gene_has_no_correlation() -> None:
    value = torch.tensor([[2.0, 3.0]])
    assert pearson_delta_de(value, value, torch.tensor([[1, -1]])).tolist() == [0.0]


def test_small_changes_correlate_as_large_ones_do() -> None:
    left = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64)
    right = torch.tensor([[1.0, 4.0, 3.0]], dtype=torch.float64)
    genes = torch.tensor([[0, 1, 2]])
    # Centred: (-4, -1, 5)/3 and (-5, 4, 1)/3; products 20 - 4 + 5 = 21.
    by_hand = 21 / math.sqrt(42 * 42)
    for scale in (1.0, 1e-4):
        found = pearson_delta_de(left * scale, right * scale, genes)
        assert float(found) == pytest.approx(by_hand)
    # Below the rounding of float32 expression a side counts as constant.
    assert float(pearson_delta_de(left * 1e-7, right * 1e-7, genes)) == 0.0
