"""Seeded samples of the cells behind each condition, for metrics that look at cells.

Where controls are matched by batch, the samples are the same cells, and each is moved by how far
its batch's controls lie from all controls, as cells are for means. So a condition's cells have the
mean that models are scored against, and one sample of controls serves all conditions of a cell
type. Sparse cells stay sparse: what is subtracted enters distances and projections by its products
with them, of which there is one per cell and batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.data.de.merged_ranks import SortedControl
from dygenept.data.de.rank_sum import sorted_control
from dygenept.evaluation.batch_mix import control_shares, mixed_rows
from dygenept.evaluation.rank_moves import moved_by_rank
from dygenept.machine.tables import squared_lengths, zeros
from dygenept.types import (
    CellBatches,
    CellDistances,
    DoubleArray,
    FloatArray,
    IntArray,
    PerturbationData,
    Pseudobulk,
    Rows,
)

if TYPE_CHECKING:
    from scipy import sparse

    from dygenept.types.cells import CellMatrix

MAX_CELLS = 100
# Below this share of stored values, products of sparse cells are faster than those of dense ones.
SPARSE_SHARE = 1 / 32
# With more batches (of a cell type each) the products of all of them would take too much memory.
MOST_BATCHES = 500


class _Offsets:
    """What is subtracted from the cells of each batch, and its products, computed once."""

    def __init__(self, batches: CellBatches) -> None:
        self.batches = batches
        self._products: tuple[DoubleArray, DoubleArray] | None = None

    @property
    def suits_sparse(self) -> bool:
        """True if there are few enough batches for products of all of them."""
        return len(self.batches.offsets) <= MOST_BATCHES

    def products(self) -> tuple[DoubleArray, DoubleArray]:
        """Return offsets gene by gene, (G, n_rows), and their inner products, (n_rows, n_rows).

        A last row of zeros is that of cells that stay, whose row is -1.
        """
        if self._products is None:
            offsets = self.batches.offsets
            by_gene = np.zeros((offsets.shape[1], len(offsets) + 1))
            by_gene[:, :-1] = offsets.T
            self._products = by_gene, by_gene.T @ by_gene
        return self._products

    def project(self, rows: IntArray, direction: DoubleArray) -> DoubleArray:
        """Return the inner product of what is subtracted with a direction, (n,)."""
        used, places = np.unique(rows, return_inverse=True)
        if 2 * len(used) < len(self.batches.offsets):
            return np.asarray((self.of(used) @ direction)[places])
        # Offsets of all batches, which need not be copied; the last is that of the row -1.
        return np.append(self.batches.offsets @ direction, 0.0)[rows]

    def of(self, rows: IntArray) -> DoubleArray:
        """Return what is subtracted from cells with these rows, (n, G)."""
        found = self.batches.offsets[rows]
        found[rows < 0] = 0.0
        return found


@dataclass(frozen=True, slots=True)
class _Moves:
    """What is subtracted from some cells: the offsets of these rows, (n,); -1 for nothing."""

    offsets: _Offsets
    rows: IntArray


class _Cells:
    """Some cells, and what distances need of them."""

    def __init__(self, stored: sparse.csr_matrix, moves: _Moves | None = None) -> None:
        """Take cells, (n, G); they are made dense unless nearly all of them is zero.

        Args:
            stored: The cells as they are.
            moves: What is subtracted from each; None for nothing.
        """
        is_sparse = stored.nnz < SPARSE_SHARE * stored.shape[0] * stored.shape[1]
        is_sparse = is_sparse and (moves is None or moves.offsets.suits_sparse)
        self._stored = stored.astype(np.float64) if is_sparse else None
        self._moves = moves
        self._dense = None if is_sparse else _dense(stored, moves)
        self._with_offsets: DoubleArray | None = None
        if self._dense is not None:
            self._squares = squared_lengths(self._dense)
            return
        exact = stored.astype(np.float64)
        self._squares = np.asarray(exact.power(2).sum(axis=1)).ravel()
        if moves is not None:
            by_gene, among = moves.offsets.products()
            # Inner product of each cell as it is with what is subtracted in each batch.
            self._with_offsets = exact @ by_gene  # (n, n_rows + 1)
            self._squares -= 2.0 * self._with_offsets[np.arange(len(moves.rows)), moves.rows]
            self._squares += among[moves.rows, moves.rows]

    def squared_distances(self, other: _Cells) -> DoubleArray:
        """Squared Euclidean distance of each cell to each of the others, (n, m)."""
        found: DoubleArray
        if self._stored is not None and other._stored is not None:
            found = (self._stored @ other._stored.T).toarray()
            mine, theirs = self._moves, other._moves
            if mine is not None and theirs is not None:
                assert self._with_offsets is not None
                assert other._with_offsets is not None
                # Inner products of moved cells, from those of the cells as they are.
                found -= self._with_offsets[:, theirs.rows]
                found -= other._with_offsets[:, mine.rows].T
                found += mine.offsets.products()[1][np.ix_(mine.rows, theirs.rows)]
        else:
            found = self._whole() @ other._whole().T
        found *= -2.0
        found += self._squares[:, None] + other._squares
        # Cancellation may leave a tiny negative square where two cells are equal.
        return np.maximum(found, 0.0, out=found)

    def _whole(self) -> DoubleArray:
        if self._dense is not None:
            return self._dense
        return _dense(self._stored, self._moves)


@dataclass(frozen=True, slots=True)
class _Store:
    """The cells of a whole data set, shared by all samples of it.

    Attributes:
        expression: CSR, (N, G).
        control_rows: Sampled control cells of each condition.
        real_rows: Sampled cells of each condition.
        means: Mean of all cells of each condition, (n_conditions, G).
        squared: Where squared distances are kept in a file, (n_conditions, ``MAX_CELLS``,
            ``MAX_CELLS``); None keeps them in memory, at most 40 kB each.
        distances: What is computed already, by condition.
        controls: Control cells and the mean distance of two of them, by the sampled rows, which
            all conditions of a cell type share.
        offsets: Where controls are matched by batch: what is subtracted from each cell.
        shares: There, the share of each row of offsets among the controls of each condition's cell
            type, (n_rows,).
        seed: Decides which cells ``real_mixed`` moves.
        sorted_controls: There, the control cells of each row of offsets that was asked for.
    """

    expression: CellMatrix
    control_rows: tuple[npt.NDArray[np.intp], ...]
    real_rows: tuple[npt.NDArray[np.intp], ...]
    means: DoubleArray
    squared: FloatArray | None = None
    distances: dict[int, CellDistances] = field(default_factory=dict)
    controls: dict[bytes, tuple[_Cells, float]] = field(default_factory=dict)
    offsets: _Offsets | None = None
    shares: tuple[DoubleArray, ...] = ()
    seed: int = 0
    sorted_controls: _SortedControls | None = None

    def moves(self, cells: npt.NDArray[np.intp]) -> _Moves | None:
        """What is subtracted from these cells; None for nothing."""
        if self.offsets is None:
            return None
        return _Moves(self.offsets, self.offsets.batches.rows[cells])

    def dense(self, cells: npt.NDArray[np.intp]) -> DoubleArray:
        """Return these cells without batch effects, (n, G)."""
        return _dense(self.expression[cells], self.moves(cells))


class _SortedControls:
    """The control cells of each row of offsets, sorted when they are first asked for."""

    def __init__(self, data: PerturbationData) -> None:
        self._data = data
        self._known: dict[int, SortedControl] = {}

    def of(self, row: int) -> SortedControl:
        if row not in self._known:
            assert self._data.batches is not None
            is_own = (self._data.condition_codes < 0) & (self._data.batches.rows == row)
            self._known[row] = sorted_control(self._data.expression[np.flatnonzero(is_own)])
        return self._known[row]


class CellSamples:
    """At most ``MAX_CELLS`` cells of each condition, and as many controls of its cell type.

    Dense cells exist for one condition at a time. Distances that no model changes are kept.
    """

    def __init__(self, store: _Store, positions: npt.NDArray[np.intp]) -> None:
        self._store = store
        self._positions = positions

    def control(self, row: int) -> DoubleArray:
        """Sampled control cells of the condition's cell type, without batch effects, (m, G)."""
        return self._store.dense(self._store.control_rows[self._at(row)])

    def real(self, row: int) -> DoubleArray:
        """Sampled cells of the condition, without batch effects, (k, G)."""
        return self._store.dense(self._store.real_rows[self._at(row)])

    def real_mixed(self, row: int) -> DoubleArray:
        """Sampled cells of the condition, as many in each batch as controls would be, (k, G).

        Cells of batches that have too many are moved to others, as ``rank_moves`` says; the rest
        stay as they are. Without matched batches it is ``real``.
        """
        position, store = self._at(row), self._store
        found, own = self.measured(row), self.batches(row)
        if own is not None and store.sorted_controls is not None:
            rng = np.random.default_rng([store.seed, 2, position])
            others = mixed_rows(own, store.shares[position], rng)
            ways = np.stack((own, others), axis=1)
            for source, target in np.unique(ways[own != others], axis=0).tolist():
                moved = np.flatnonzero((own == source) & (others == target))
                controls = store.sorted_controls.of(source), store.sorted_controls.of(target)
                found[moved] = moved_by_rank(found[moved], *controls, rng)
        return found

    def measured(self, row: int) -> DoubleArray:
        """Sampled cells of the condition as they are, batch effects included, (k, G)."""
        return _dense(self._store.expression[self._store.real_rows[self._at(row)]])

    def batches(self, row: int) -> IntArray | None:
        """Row of offsets of each sampled cell, (k,), -1 for none; None without matched batches."""
        moves = self._store.moves(self._store.real_rows[self._at(row)])
        return None if moves is None else moves.rows

    def mean(self, row: int) -> DoubleArray:
        """Mean of all cells of the condition, (G,)."""
        mean: DoubleArray = self._store.means[self._at(row)]
        return mean

    def distances(self, row: int) -> CellDistances:
        """Distances among these cells, computed once for all models."""
        position = self._at(row)
        if position not in self._store.distances:
            control, within_control = self._controls(position)
            cells = self._store.real_rows[position]
            real = _Cells(self._store.expression[cells], self._store.moves(cells))
            squared = control.squared_distances(real).astype(np.float32)
            kept = self._store.squared
            if kept is not None:
                kept[position, : squared.shape[0], : squared.shape[1]] = squared
                squared = kept[position, : squared.shape[0], : squared.shape[1]]
            self._store.distances[position] = CellDistances(
                squared=squared,
                within_control=within_control,
                within_real=_mean_distance(real),
            )
        return self._store.distances[position]

    def project(self, row: int, direction: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Inner product of each control cell and each real cell with a direction, (m,), (k,)."""
        position, store = self._at(row), self._store
        cells = store.control_rows[position], store.real_rows[position]
        control, real = (store.expression[own] @ direction for own in cells)
        if store.offsets is not None:
            rows = [store.offsets.batches.rows[own] for own in cells]
            moved = store.offsets.project(np.concatenate(rows), direction)
            control -= moved[: len(rows[0])]
            real -= moved[len(rows[0]) :]
        return control, real

    def take(self, rows: Rows) -> CellSamples:
        """Return the samples of some conditions, in this order."""
        return CellSamples(self._store, self._positions[np.asarray(rows)])

    def _controls(self, position: int) -> tuple[_Cells, float]:
        rows, known = self._store.control_rows[position], self._store.controls
        key = rows.tobytes()
        if key not in known:
            control = _Cells(self._store.expression[rows], self._store.moves(rows))
            known[key] = control, _mean_distance(control)
        return known[key]

    def _at(self, row: int) -> int:
        return int(self._positions[row])


def cell_samples(
    data: PerturbationData, pseudobulk: Pseudobulk, *, seed: int, max_cells: int = MAX_CELLS
) -> CellSamples:
    """Draw cells of each condition and control cells of each cell type, without replacement.

    Args:
        data: The data set.
        pseudobulk: Its means.
        seed: Seed of the draws; the same samples serve every model.
        max_cells: Most cells of a condition, and most control cells of a cell type.

    Returns:
        One row per condition of ``data``.
    """
    # Sorted by condition once: control cells (code -1) come first, then one run per condition.
    order = np.argsort(data.condition_codes, kind="stable")  # (N,)
    starts = np.searchsorted(data.condition_codes[order], np.arange(len(data.conditions) + 1))
    # Two generators, so that more controls do not change which perturbed cells are drawn.
    rng = np.random.default_rng([seed, 0])
    controls = {
        cell_type: _drawn(
            np.flatnonzero((data.condition_codes < 0) & (data.cell_type_codes == number)),
            max_cells,
            rng,
        )
        for number, cell_type in enumerate(data.cell_types)
    }
    rng = np.random.default_rng([seed, 1])
    store = _Store(
        expression=data.expression,
        control_rows=tuple(controls[condition.cell_type] for condition in data.conditions),
        real_rows=tuple(
            _drawn(order[first:last], max_cells, rng) for first, last in pairwise(starts)
        ),
        means=pseudobulk.means,
        squared=None
        if data.tables is None
        else zeros((len(data.conditions), max_cells, max_cells), np.float32, folder=data.tables),
        offsets=None if data.batches is None else _Offsets(data.batches),
        shares=control_shares(data),
        seed=seed,
        sorted_controls=None if data.batches is None else _SortedControls(data),
    )
    return CellSamples(store, np.arange(len(data.conditions)))


def samples_of(
    expression: sparse.csr_matrix,
    *,
    control_rows: tuple[npt.NDArray[np.intp], ...],
    real_rows: tuple[npt.NDArray[np.intp], ...],
    means: DoubleArray,
) -> CellSamples:
    """Make samples of given cells, one row per condition.

    Args:
        expression: CSR, (N, G), log1p scale.
        control_rows: Rows of each condition's control cells.
        real_rows: Rows of each condition's own cells.
        means: Mean of all cells of each condition, (n, G).
    """
    store = _Store(expression, control_rows, real_rows, means)
    return CellSamples(store, np.arange(len(real_rows)))


def _drawn(
    cells: npt.NDArray[np.intp], max_cells: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    if len(cells) <= max_cells:
        return cells
    return np.sort(rng.choice(cells, size=max_cells, replace=False))


def _mean_distance(cells: _Cells) -> float:
    return float(np.sqrt(cells.squared_distances(cells)).mean())


def _dense(cells: sparse.csr_matrix, moves: _Moves | None = None) -> DoubleArray:
    dense: DoubleArray = cells.toarray().astype(np.float64)
    if moves is not None:
        dense -= moves.offsets.of(moves.rows)
    return dense
