"""What a ready screen is like: cells, effects, reliability, balance of batches; plain values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dygenept.data.batches import match_batches, matched_sums
from dygenept.data.prepare.documents import Screen, ScreenBatch, ScreenCondition
from dygenept.data.prepare.strength import strength
from dygenept.data.pseudobulk import half_codes, pseudobulk
from dygenept.data.sums import group_sums
from dygenept.types import (
    BoolArray,
    CellBatches,
    DoubleArray,
    IntArray,
    PerturbationData,
    Progress,
    no_report,
)

N_SPLITS = 5


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
    changes = means.means - means.control_means[cell_types_of(data)]
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


def cell_types_of(data: PerturbationData) -> IntArray:
    """Return the position of each condition's cell type, (n_conditions,)."""
    row = {cell_type: number for number, cell_type in enumerate(data.cell_types)}
    return np.array([row[item.cell_type] for item in data.conditions], dtype=np.int32)


def split_half_reliability(data: PerturbationData, *, seed: int = 0) -> DoubleArray:
    """Correlate two deltas of each condition that share no cell, neither perturbed nor control.

    Where controls are matched by batch, each half is measured from its own controls of the batch,
    so that a batch does not pass for a change that repeats itself.

    Returns:
        Mean over five random splits, (n_conditions,); NaN for a condition with one cell.
    """
    rng = np.random.default_rng(seed)
    types = cell_types_of(data)
    n_conditions, n_types = len(data.conditions), len(data.cell_types)
    found = np.empty((N_SPLITS, n_conditions))
    for number in range(N_SPLITS):
        codes = half_codes(data, data.conditions, rng)
        is_control = data.condition_codes < 0
        half = rng.integers(0, 2, size=data.n_cells)
        place = 2 * n_conditions + half * n_types + data.cell_type_codes
        codes = np.where(is_control, place, codes).astype(np.int32)
        n_groups = 2 * (n_conditions + n_types)
        counts = np.bincount(codes, minlength=n_groups).astype(np.float64)
        counts[counts == 0] = np.nan
        sums = group_sums(data.expression, codes, n_groups=n_groups)
        if data.batches is not None:
            for own in (0, 1):
                groups = slice(own * n_conditions, (own + 1) * n_conditions)
                _match_to(data, data.batches, is_control & (half == own), sums, codes, groups)
        means = sums / counts[:, None]
        perturbed = means[: 2 * n_conditions].reshape(2, n_conditions, -1)
        control = means[2 * n_conditions :].reshape(2, n_types, -1)
        one, other = perturbed - control[:, types]
        found[number] = _row_correlations(one, other)
    reliability: DoubleArray = found.mean(axis=0)
    return reliability


def _match_to(
    data: PerturbationData,
    batches: CellBatches,
    controls: BoolArray,
    sums: DoubleArray,
    codes: IntArray,
    groups: slice,
) -> None:
    """Take the batch effects that some control cells show from sums over cells, in place.

    Args:
        data: The data set.
        batches: Its batches.
        controls: The control cells, (N,).
        sums: Sum over each group of cells, (n_groups, G).
        codes: Group of each cell, (N,).
        groups: The groups that are compared with these controls.
    """
    matched = match_batches(
        data.expression,
        batches.names,
        batches.codes,
        condition_codes=np.where(controls, -1, 0),
        cell_type_codes=data.cell_type_codes,
    )
    is_own = (codes >= groups.start) & (codes < groups.stop)
    matched_sums(sums[groups], matched, np.where(is_own, codes - groups.start, -1))


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


def _row_correlations(one: DoubleArray, other: DoubleArray) -> DoubleArray:
    a = one - one.mean(axis=1, keepdims=True)
    b = other - other.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: DoubleArray = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return found
