"""Learning rate over the steps: linear warm-up, then cosine."""

from __future__ import annotations

import math

from dygenept.model.training.options import TrainingOptions


def learning_rate(step: int, *, n_steps: int, options: TrainingOptions) -> float:
    """Return the learning rate of a step.

    Args:
        step: Steps done before, from 0.
        n_steps: Steps in all, were training not to stop early.
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
