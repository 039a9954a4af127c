"""The optimiser of a training, its learning rate over the steps, and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from dygenept.model.training.options import TrainingOptions


def make_optimizer(
    network: nn.Module, options: TrainingOptions, device: torch.device
) -> torch.optim.AdamW:
    """Make AdamW over the trainable parameters; only matrices decay."""
    trained = [p for p in network.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, lr=options.lr, fused=device.type == "cuda")


def learning_rate(step: int, *, n_steps: int, options: TrainingOptions) -> float:
    """Return the learning rate of a step: linear warm-up, then a cosine.

    Args:
        step: Steps done before, from 0.
        n_steps: Steps in all, if training does not stop early.
        options: Peak and final rate, warm-up.

    Returns:
        A rate that rises linearly to ``lr`` over the warm-up (at most a tenth of all steps, so
        that a short training warms up too) and falls along a cosine to ``min_lr``.
    """
    warmup = min(options.warmup_steps, n_steps // 10)
    if step < warmup:
        return options.lr * (step + 1) / warmup
    share = min(1.0, (step - warmup) / max(1, n_steps - 1 - warmup))
    return options.min_lr + (options.lr - options.min_lr) * 0.5 * (1 + math.cos(math.pi * share))


class WeightAverage:
    """Keeps an exponential moving average of the weights that training changes."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        """Start from the module's weights.

        Args:
            module: Its trainable parameters are averaged.
            decay: Decay per step in [0, 1); early steps decay faster, so that the first weights
                are soon forgotten. 0 follows the weights.
        """
        self._parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self._decay = decay
        self.n_updates = 0
        self.average = {n: p.detach().clone() for n, p in self._parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Include the weights of one step."""
        decay = min(self._decay, (1 + self.n_updates) / (10 + self.n_updates))
        self.n_updates += 1
        # One fused call: a loop over parameters would dominate a small model's step.
        torch._foreach_lerp_(
            list(self.average.values()),
            [p.detach() for p in self._parameters.values()],
            1.0 - decay,
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averaged weights into the module for a block."""
        kept = {name: p.detach().clone() for name, p in self._parameters.items()}
        self.load(self.average)
        try:
            yield
        finally:
            self.load(kept)

    @torch.no_grad()
    def load(self, values: dict[str, torch.Tensor]) -> None:
        """Copy values into the module's weights."""
        for name, parameter in self._parameters.items():
            parameter.copy_(values[name])
