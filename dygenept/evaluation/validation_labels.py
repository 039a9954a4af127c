"""Which training labels a protocol holds out for validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MIN_TO_HOLD_OUT = 3


def validation_positions(n_labels: int, *, fraction: float, seed: Sequence[int]) -> tuple[int, ...]:
    """Draw the validation labels from a fold's training labels.

    ``round(fraction * n_labels)`` are drawn without replacement, at least one where there are
    three or more labels and the fraction is not 0, and never so many that no label is left.

    Args:
        n_labels: Training labels in all; sort them first, so that the draw does not depend on
            the order of cells.
        fraction: Share to hold out, in [0, 1).
        seed: Seeds of a generator of this draw's own, such as (seed, fold).

    Returns:
        Positions among the labels, sorted.
    """
    if fraction == 0.0 or n_labels < MIN_TO_HOLD_OUT:
        return ()
    n_val = min(max(1, round(fraction * n_labels)), n_labels - 1)
    drawn = np.random.default_rng(list(seed)).choice(n_labels, size=n_val, replace=False)
    return tuple(sorted(int(position) for position in drawn))
