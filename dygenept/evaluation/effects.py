"""How large the effect of each held-out perturbation is: it sorts results into subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dygenept.data.pseudobulk import condition_positions
from dygenept.types import Condition, PerturbationData, Pseudobulk


def effect_sizes(
    data: PerturbationData, pseudobulk: Pseudobulk, conditions: Sequence[Condition]
) -> Mapping[str, Mapping[str, float]]:
    """Return the root mean square over genes of each condition's true delta.

    Args:
        data: The data set.
        pseudobulk: Its means.
        conditions: Conditions of it.

    Returns:
        Effect size by cell type and perturbation label, log1p scale.
    """
    means = pseudobulk.means[condition_positions(data, conditions)]
    types = [data.cell_types.index(condition.cell_type) for condition in conditions]
    sizes = np.sqrt(np.mean((means - pseudobulk.control_means[types]) ** 2, axis=1))
    effects: dict[str, dict[str, float]] = {}
    for condition, size in zip(conditions, sizes.tolist(), strict=True):
        effects.setdefault(condition.cell_type, {})[condition.label] = size
    return effects
