"""What a ready screen is like: cells, effects, reliability, balance of batches; plain values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dygenept.data.prepare.documents import Screen, ScreenBatch, ScreenCondition
from dygenept.data.prepare.strength import strength
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.screen_statistics import split_half_reliability
from dygenept.types import PerturbationData, Progress, no_report


def describe_screen(
    data: PerturbationData,
    *,
    permutations: int,
    seed: int,
    report: Callable[[Progress], None] = no_report,
) -> Screen:
    """Return the statistics of a screen; None where one is undefined.

    Per condition: cells, size of the change (Euclidean norm over genes), correlation of two changes
    that share no cell, energy distance to control with its p and q.
    """
    means = pseudobulk(data)
    types = np.asarray([data.cell_types.index(of.cell_type) for of in data.conditions])
    changes = means.means - means.control_means[types]
    # Halves that shared their control cells would correlate by the noise of these.
    reliability = split_half_reliability(data, seed=seed)
    found = strength(data, permutations=permutations, seed=seed, report=report)
    sizes = np.linalg.norm(changes, axis=1)
    rows: list[ScreenCondition] = [
        {
            "perturbation": condition.label,
            "cell_type": condition.cell_type,
            "n_cells": int(means.n_cells[number]),
            "change": _value(sizes[number]),
            "split_half_r": _value(reliability[number]),
            "energy_distance": _value(found.distances[number]),
            "p": _value(found.p_values[number]),
            "q": _value(found.q_values[number]),
        }
        for number, condition in enumerate(data.conditions)
    ]
    n_controls = np.bincount(
        data.cell_type_codes[data.condition_codes < 0], minlength=len(data.cell_types)
    )
    return {
        "name": data.name,
        "simulated": data.is_simulated,
        "n_cells": data.n_cells,
        "n_genes": data.n_genes,
        "controls": dict(zip(data.cell_types, n_controls.tolist(), strict=True)),
        "permutations": permutations,
        "conditions": rows,
        "batches": _balance(data),
    }


def _balance(data: PerturbationData) -> list[ScreenBatch]:
    """Cells, controls and conditions of each batch."""
    if data.batches is None:
        return []
    rows: list[ScreenBatch] = []
    for number, name in enumerate(data.batches.names):
        mine = data.condition_codes[data.batches.codes == number]
        if len(mine):
            present = len(np.unique(mine[mine >= 0]))
            rows.append(
                {
                    "batch": name,
                    "n_cells": len(mine),
                    "n_controls": int((mine < 0).sum()),
                    "share_of_conditions": present / len(data.conditions),
                }
            )
    return rows


def _value(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
