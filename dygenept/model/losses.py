"""The loss, on changes (perturbed minus control); every reduction runs in float32."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dygenept.model.training.options import LossOptions


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """What the sums of a batch's loss are divided by.

    A part of a batch that is given the whole batch's counts yields its share of the whole batch's
    loss, so that the parts' losses, and gradients, add up to those of the whole.

    Attributes:
        n_values: Conditions × genes.
        n_de: Top-DE genes over all conditions.
    """

    n_values: int
    n_de: int


def perturbation_loss(
    predicted: torch.Tensor,
    target: torch.Tensor,
    *,
    reference: torch.Tensor,
    de_indices: torch.Tensor,
    options: LossOptions,
    counts: BatchCounts | None = None,
) -> torch.Tensor:
    """Weigh the three terms into one scalar.

    Args:
        predicted: Predicted change, (B, G), log1p units.
        target: Change to reach, (B, G): of one cell, or of the condition's mean.
        reference: Change of the condition's mean, (B, G); its signs are the directions.
        de_indices: Top-DE genes of the TRAIN perturbation, (B, n), padded with -1.
        options: Weights.
        counts: Counts of the batch that these rows are a part of; their own where None.

    Returns:
        The loss, a float32 scalar.
    """
    predicted, target, reference = predicted.float(), target.float(), reference.float()
    n_values = target.numel() if counts is None else counts.n_values
    loss = options.mse_weight * (predicted - target).square().sum() / n_values
    if options.de_mse_weight == 0 and options.direction_weight == 0:
        return loss
    mask = de_indices >= 0  # (B, n)
    # Padded positions gather gene 0, which the mask then leaves out.
    index = de_indices.clamp(min=0)
    near, wanted = predicted.gather(1, index), target.gather(1, index)
    if options.de_mse_weight:
        errors = (near - wanted).square()
        loss = loss + options.de_mse_weight * mean_where(errors, mask, counts)
    if options.direction_weight:
        direction = direction_loss(near, reference.gather(1, index), options.direction_scale)
        loss = loss + options.direction_weight * mean_where(direction, mask, counts)
    return loss


def direction_loss(predicted: torch.Tensor, reference: torch.Tensor, scale: float) -> torch.Tensor:
    """Penalise changes in the wrong direction, smoothly.

    Args:
        predicted: Predicted change.
        reference: True change, same shape; 0 has no direction and costs a constant 0.5.
        scale: Change at which a direction counts as taken.

    Returns:
        (1 - sign(reference) · tanh(predicted / scale)) / 2, in [0, 1], same shape.
    """
    return 0.5 * (1.0 - torch.sign(reference) * torch.tanh(predicted / scale))


def mean_where(
    values: torch.Tensor, mask: torch.Tensor, counts: BatchCounts | None = None
) -> torch.Tensor:
    """Mean of the values where the mask is True; 0 where it is True nowhere.

    Args:
        values: (B, n).
        mask: (B, n).
        counts: Divide by ``n_de`` of these counts instead of the mask's own.
    """
    weights = mask.to(values.dtype)
    total = (values * weights).sum()
    return total / (weights.sum().clamp(min=1.0) if counts is None else max(1, counts.n_de))


def pearson_delta_de(
    predicted: torch.Tensor, target: torch.Tensor, de_indices: torch.Tensor
) -> torch.Tensor:
    """Correlate predicted and true change over each condition's top-DE genes.

    Args:
        predicted: Predicted change, (n, G).
        target: True change, (n, G).
        de_indices: (n, 20), padded with -1.

    Returns:
        Pearson's r of each condition, (n,), float64; 0 where a side is constant, the metric's
        neutral value.
    """
    mask = (de_indices >= 0).double()  # (n, 20)
    index = de_indices.clamp(min=0)
    count = mask.sum(dim=1, keepdim=True).clamp(min=1.0)
    left = predicted.double().gather(1, index) * mask  # (n, G) -> (n, 20)
    right = target.double().gather(1, index) * mask
    left = (left - left.sum(dim=1, keepdim=True) / count) * mask
    right = (right - right.sum(dim=1, keepdim=True) / count) * mask
    norm = left.norm(dim=1) * right.norm(dim=1)  # (n,)
    r = (left * right).sum(dim=1) / norm.clamp(min=1e-300)
    return torch.where(norm > 1e-12, r, torch.zeros_like(r))
