"""An exponential moving average of a module's trained weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """Keeps averaged copies of the weights that training changes."""

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
        """Take one step's weights in."""
        decay = min(self._decay, (1 + self.n_updates) / (10 + self.n_updates))
        if self._decay == 0:
            decay = 0.0
        self.n_updates += 1
        torch._foreach_lerp_(
            list(self.average.values()),
            [p.detach() for p in self._parameters.values()],
            1.0 - decay,
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averaged weights into the module for a while."""
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
