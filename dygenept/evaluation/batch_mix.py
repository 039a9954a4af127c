"""Cells of a condition in the mix of batches that its control cells have.

A model whose cells name no batch makes them of the control cells as they are, which lie in the
batches in proportions of their own. A perturbation's cells may lie in other proportions, and beside
the predicted ones the difference would count as an error. So as many of its cells as needed change
batch: the excess of a batch goes to batches with too few, as ``rank_moves`` says. Where proportions
agree, no cell is touched. Where they ask for parts of cells, it is drawn which batches get one
more: rounded to the nearest, a hundred cells would always lie in the hundred largest of more
batches.
"""

from __future__ import annotations

import numpy as np

from dygenept.types import DoubleArray, IntArray, PerturbationData


def control_shares(data: PerturbationData) -> tuple[DoubleArray, ...]:
    """Share of each row of ``batches.offsets`` among the controls of each condition's cell type.

    Returns:
        (n_rows,) per condition; empty where controls are not matched by batch. Conditions of one
        cell type share an array.
    """
    if data.batches is None:
        return ()
    of_types = []
    for number in range(len(data.cell_types)):
        is_own = (data.condition_codes < 0) & (data.cell_type_codes == number)
        counts = np.bincount(data.batches.rows[is_own], minlength=len(data.batches.offsets))
        of_types.append(counts / max(int(counts.sum()), 1))
    row = {cell_type: number for number, cell_type in enumerate(data.cell_types)}
    return tuple(of_types[row[condition.cell_type]] for condition in data.conditions)


def mixed_rows(rows: IntArray, shares: DoubleArray, rng: np.random.Generator) -> IntArray:
    """Give cells other batches, so that these have the wanted shares; no more than needed change.

    Args:
        rows: Row of offsets of each cell, (k,); -1 for a cell that is compared with all controls,
            which keeps it.
        shares: Wanted share of each row, (n_rows,); all 0 leaves every cell where it is.
        rng: Draws which batches get one cell more where shares are no whole cells, which cells of a
            batch change, and which goes where.

    Returns:
        (k,). On average over draws each batch has its share, and in each draw less than one cell
        more or less.
    """
    mixed = rows.copy()
    placed = np.flatnonzero(rows >= 0)
    if not len(placed) or not shares.any():
        return mixed
    wanted = _quotas(len(placed), shares, rng)
    placed = placed[rng.permutation(len(placed))]
    place = rows[placed]
    # The first ones of each batch, in an order that was drawn, stay as far as it has room.
    by_batch = np.argsort(place, kind="stable")
    counts = np.bincount(place, minlength=len(shares))
    rank = np.empty(len(placed), dtype=np.intp)
    rank[by_batch] = np.arange(len(placed)) - np.repeat(np.cumsum(counts) - counts, counts)
    leaves = placed[rank >= wanted[place]]
    free = np.repeat(np.arange(len(shares)), np.maximum(wanted - counts, 0))
    mixed[leaves] = rng.permutation(free)
    return mixed


def _quotas(n: int, shares: DoubleArray, rng: np.random.Generator) -> IntArray:
    """Divide n cells by shares, each rounded up or down by a systematic sample."""
    order = rng.permutation(len(shares))
    ends = np.cumsum(shares[order])
    # The last end is n whatever rounding says, so that all cells are dealt.
    ends = np.append(ends[:-1] * (n / ends[-1]), n)
    quotas = np.empty(len(shares), dtype=np.int32)
    quotas[order] = np.diff(np.floor(ends + rng.random()), prepend=0)
    return quotas
