"""Sums and means of cells per condition, or of halves of its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from dygenept.data.batches import matched_sums
from dygenept.data.sums import group_sums
from dygenept.errors import DataError
from dygenept.machine.tables import row_parts
from dygenept.types import Condition, DoubleArray, IntArray, PerturbationData, Pseudobulk


def pseudobulk(data: PerturbationData) -> Pseudobulk:
    """Average log1p expression over the cells of each condition and of each cell type's control.

    Returns:
        Means in float64; sums run over cells in their order in the data set.
    """
    codes, n_groups = group_codes(data)
    counts = np.bincount(codes, minlength=n_groups)
    means = cell_sums(data, codes, n_groups=n_groups)
    for part in row_parts(*means.shape):
        means[part] /= np.maximum(counts[part], 1)[:, None]
    n_conditions = len(data.conditions)
    return Pseudobulk(
        means=means[:n_conditions],
        n_cells=counts[:n_conditions].astype(np.int32),
        control_means=means[n_conditions:],
    )


def group_codes(data: PerturbationData) -> tuple[IntArray, int]:
    """Number the groups of cells: conditions first, then each cell type's control.

    Returns:
        The group of each cell, (N,), and the number of groups,
        ``n_conditions + n_cell_types``.
    """
    n_conditions = len(data.conditions)
    codes = np.where(
        data.condition_codes < 0, n_conditions + data.cell_type_codes, data.condition_codes
    )
    return codes.astype(np.int32), n_conditions + len(data.cell_types)


def condition_counts(data: PerturbationData) -> IntArray:
    """Count the cells of each condition, (n_conditions,)."""
    codes = data.condition_codes
    return np.bincount(codes[codes >= 0], minlength=len(data.conditions)).astype(np.int32)


def square_sums(data: PerturbationData) -> DoubleArray:
    """Sum the squares of the cells of each group, as ``group_codes`` numbers them.

    Returns:
        (n_conditions + n_cell_types, G), float64.
    """
    codes, n_groups = group_codes(data)
    return cell_sums(data, codes, n_groups=n_groups, power=2)


def cell_sums(
    data: PerturbationData, codes: IntArray, *, n_groups: int, power: Literal[1, 2] = 1
) -> DoubleArray:
    """Sum the cells of each group, or their squares, without batch effects where these are matched.

    As ``group_sums`` does, whose arguments it takes; see ``batches`` for what is subtracted.
    """
    folder = data.tables
    sums = group_sums(data.expression, codes, n_groups=n_groups, power=power, folder=folder)
    if data.batches is None:
        return sums
    cross = None
    if power == 2:
        cross = group_sums(
            data.expression, codes, n_groups=n_groups, batches=data.batches, folder=folder
        )
    return matched_sums(sums, data.batches, codes, cross=cross)


def half_means(
    data: PerturbationData, conditions: Sequence[Condition], rng: np.random.Generator
) -> DoubleArray:
    """Average two random disjoint halves of each condition's cells.

    Returns:
        Means, (2, n_conditions, G), float64. Of an odd number of cells the second half has one
        more; the first half of a condition with one cell is empty and NaN.

    Raises:
        DataError: If a condition is not in the data set.
    """
    codes = half_codes(data, conditions, rng)
    n_groups = 2 * len(conditions)
    n_cells = np.bincount(codes[codes >= 0], minlength=n_groups).astype(np.float64)
    n_cells[n_cells == 0] = np.nan
    means = cell_sums(data, codes, n_groups=n_groups)
    for part in row_parts(*means.shape):
        means[part] /= n_cells[part, None]
    return means.reshape(2, len(conditions), data.n_genes)


def half_codes(
    data: PerturbationData, conditions: Sequence[Condition], rng: np.random.Generator
) -> IntArray:
    """Draw two random disjoint halves of each condition's cells.

    Returns:
        The half of each cell, (N,): first halves are 0 to n - 1, second halves n to 2 n - 1, and
        -1 is a cell of none of the conditions.

    Raises:
        DataError: If a condition is not in the data set.
    """
    positions = condition_positions(data, conditions)
    n_conditions = len(positions)
    place = np.full(len(data.conditions), -1, dtype=np.int32)
    place[positions] = np.arange(n_conditions)
    where = np.where(data.condition_codes >= 0, place[data.condition_codes], -1)
    cells = np.flatnonzero(where >= 0)
    # Sorting by a random key within each condition shuffles all conditions at once.
    cells = cells[np.lexsort((rng.random(len(cells)), where[cells]))]
    sizes = np.bincount(where[cells], minlength=n_conditions)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    rank = np.arange(len(cells)) - np.repeat(starts, sizes)
    is_second = rank >= np.repeat(sizes // 2, sizes)
    codes = np.full(data.n_cells, -1, dtype=np.int32)
    codes[cells] = where[cells] + n_conditions * is_second
    return codes


def condition_positions(data: PerturbationData, conditions: Sequence[Condition]) -> IntArray:
    """Return the position of each condition in ``data.conditions``.

    Raises:
        DataError: If one is not there.
    """
    position = positions_of(data.conditions)
    found = [position.get(condition, -1) for condition in conditions]
    if -1 in found:
        condition = conditions[found.index(-1)]
        raise DataError(
            f"data set {data.name!r} has no cells of {condition.label!r} in cell type "
            f"{condition.cell_type!r}"
        )
    return np.asarray(found, dtype=np.int32)


# What was asked for last: every job of a run asks for the conditions of one data set.
_LAST: list[tuple[tuple[Condition, ...], Mapping[Condition, int]]] = [((), {})]


def positions_of(conditions: tuple[Condition, ...]) -> Mapping[Condition, int]:
    """Return the position of each condition of a data set; not to be changed."""
    known, positions = _LAST[0]
    if known is not conditions:
        positions = {condition: number for number, condition in enumerate(conditions)}
        _LAST[0] = conditions, positions
    return positions
