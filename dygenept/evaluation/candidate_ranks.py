"""Where the right perturbation ranks among all of its cell type that any fold holds out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dygenept.evaluation.manhattan import Manhattan
from dygenept.machine.tables import (
    empty_like,
    filled,
    in_file,
    row_parts,
    rows_of,
    squared_lengths,
)
from dygenept.types import Candidates, Condition, DoubleArray, MetricInputs

ONE_CONDITION = "one held-out perturbation in its cell type"
# Distances that agree to this share of the right one's are ties; rounding must not rank.
TIE = 1e-9
# So many values of a row are looked at before whole rows are compared.
KEY_VALUES = 16
# What takes more memory than this is computed anew each time: 6,700 conditions of 5,000 genes.
MOST_BYTES = 1 << 28
# Distances of so many candidates from each other are kept: 32 MB.
MOST_AMONG = 1 << 11
# Candidates whose distances are computed together, all others' being known or to come.
BLOCK_ROWS = 64

Positions = npt.NDArray[np.intp]


class Truths:
    """True means of the candidates of one cell type, and what distances need of them.

    A run has the same candidates for all its models and folds, so this is computed once.

    Attributes:
        values: True means, (m, G).
        columns: Row of each candidate.
    """

    def __init__(self, values: DoubleArray, conditions: Sequence[Condition]) -> None:
        """Name the candidates, m; nothing is computed yet."""
        self.values = values
        self.columns = {condition: column for column, condition in enumerate(conditions)}
        self._delta: tuple[DoubleArray, DoubleArray, DoubleArray] | None = None
        self._squares: tuple[DoubleArray, DoubleArray] | None = None
        self._among: dict[tuple[str, int], DoubleArray] = {}
        self._gathered: tuple[dict[int, int], DoubleArray] | None = None

    def of_genes(self, genes: Sequence[int], targets: Callable[[], Sequence[int]]) -> DoubleArray:
        """Return the true means of some genes, (m, k).

        Args:
            genes: Positions of k genes.
            targets: All genes that will be asked for; these are taken out of the table once, gene
                by gene, since a column of it is a value on each of its pages.
        """
        if self._gathered is None:
            wanted = sorted(set(targets()))
            kept = empty_like(self.values, (len(wanted), len(self.values)), np.float64)
            for part in row_parts(*self.values.shape):
                kept[:, part] = self.values[part][:, wanted].T
            self._gathered = {gene: row for row, gene in enumerate(wanted)}, kept
        rows, kept = self._gathered
        return np.ascontiguousarray(kept[[rows[gene] for gene in genes]].T)

    def delta(self, control: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Return the change of each candidate from control, (m, G), and its squared length, (m,).

        Args:
            control: (G,).
        """
        if self._delta is not None and np.array_equal(self._delta[0], control):
            return self._delta[1:]
        values = filled(self.values, self.values.shape, lambda part: self.values[part] - control)
        squares = squared_lengths(values)
        self._squares = control, squares
        if self.values.nbytes <= MOST_BYTES or in_file(self.values):
            self._delta = control, values, squares
        return values, squares

    def delta_squares(self, control: DoubleArray) -> DoubleArray:
        """Return the squared length of each candidate's change from control, (m,).

        These are kept where the changes themselves take too much memory.
        """
        if self._squares is None or not np.array_equal(self._squares[0], control):
            self.delta(control)
        assert self._squares is not None
        return self._squares[1]

    def distances(
        self,
        kind: str,
        predicted: DoubleArray,
        compute: Callable[[DoubleArray], DoubleArray],
        *,
        either_way: Callable[[DoubleArray, Positions], DoubleArray] | None = None,
    ) -> DoubleArray:
        """Return what ``compute`` makes of predictions, each different one computed once.

        Some baselines predict the same for all, and controls predict the truth of a candidate: of
        these the distances are kept.

        Args:
            kind: Names what is computed; the same name, the same ``compute``.
            predicted: (n, G).
            compute: From (k, G) to (k, m), row by row.
            either_way: The same to some candidates, from (k, G) and j positions to (k, j), where a
                distance is the same from either side: two candidates are then compared once.

        Returns:
            (n, m), an array of the caller's own.
        """
        found = empty_like(self.values, (len(predicted), len(self.values)), np.float64)
        if are_alike(predicted):
            found[:] = compute(predicted[:1])
            return found
        columns = self._columns_of(predicted).tolist()
        if either_way is not None:
            self._keep_among(kind, columns, either_way)
        is_new = np.array([(kind, column) not in self._among for column in columns])
        if is_new.all():
            found = compute(predicted)
        elif is_new.any():
            found[is_new] = compute(rows_of(predicted, is_new))
        for row, column in enumerate(columns):
            if column < 0:
                continue
            if is_new[row]:
                self._among[kind, column] = found[row].copy()
            else:
                found[row] = self._among[kind, column]
        return found

    @cached_property
    def manhattan(self) -> Manhattan:
        """L1 distances to the candidates."""
        return Manhattan(self.values)

    def _keep_among(
        self,
        kind: str,
        columns: Sequence[int],
        compute: Callable[[DoubleArray, Positions], DoubleArray],
    ) -> None:
        """Compute distances of some candidates, and keep them; -1 is none."""
        new = sorted(
            {column for column in columns if column >= 0 and (kind, column) not in self._among}
        )
        for first in range(0, len(new), BLOCK_ROWS):
            rows = new[first : first + BLOCK_ROWS]
            # Another thread may add to these meanwhile.
            known = sorted(column for of, column in list(self._among) if of == kind)
            found = np.empty((len(rows), len(self.values)))
            if known:
                found[:, known] = np.array([self._among[kind, column][rows] for column in known]).T
            others = np.setdiff1d(np.arange(len(self.values)), known, assume_unique=True)
            found[:, others] = compute(self.values[rows], others)
            self._among |= {(kind, column): found[row].copy() for row, column in enumerate(rows)}

    def _columns_of(self, predicted: DoubleArray) -> Positions:
        """Return which candidate's truth each prediction is, bit for bit; -1 for none, (n,)."""
        if len(self.values) > MOST_AMONG:
            return np.full(len(predicted), -1, dtype=np.intp)
        columns = np.array([self._keys.get(key, -1) for key in _keys_of(predicted)], dtype=np.intp)
        for row in np.flatnonzero(columns >= 0).tolist():
            if not np.array_equal(predicted[row], self.values[columns[row]]):
                columns[row] = -1
        return columns

    @cached_property
    def _keys(self) -> dict[bytes, int]:
        return {key: column for column, key in enumerate(_keys_of(self.values))}


@dataclass(frozen=True, slots=True)
class Rivals:
    """The predictions of one cell type, and the candidates among which each is to find its own.

    Attributes:
        rows: Positions of the predictions, (n,).
        truths: True means of the candidates, m.
        own: Position of each prediction's own candidate, (n,).
    """

    rows: npt.NDArray[np.intp]
    truths: Truths
    own: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the own candidate of each prediction comes.

    Attributes:
        farther: Candidates that are farther than the own one, ties counted half, (n,); NaN where
            there is no other.
        others: Candidates other than the own one, (n,).
        reasons: Why a prediction has no rank, by position.
    """

    farther: DoubleArray
    others: DoubleArray
    reasons: Mapping[int, str]


def rivals(inputs: MetricInputs) -> tuple[Rivals, ...]:
    """Return the predictions of each cell type and their candidates, cell types in order."""

    def find() -> tuple[Rivals, ...]:
        candidates = inputs.candidates or Candidates(inputs.conditions, inputs.truth)
        by_type = candidates.once("neighbours.by_type", lambda: _by_type(candidates))
        types = np.asarray([condition.cell_type for condition in inputs.conditions])
        found = []
        for cell_type in sorted(set(types.tolist())):
            rows = np.flatnonzero(types == cell_type)
            truths = by_type[cell_type]
            own = [truths.columns[inputs.conditions[row]] for row in rows.tolist()]
            found.append(Rivals(rows, truths, np.array(own, dtype=np.intp)))
        return tuple(found)

    return inputs.once("neighbours.rivals", find)


def places(inputs: MetricInputs, distances: Callable[[Rivals], DoubleArray]) -> Places:
    """Count candidates that are farther from a prediction than its own one is.

    The candidates of a condition are all conditions of its cell type that any fold holds out. A
    tie counts half, so that the order of rows decides nothing.

    Args:
        inputs: Predictions and candidates.
        distances: Returns the distance of each prediction (row) to each candidate (column) of one
            cell type, (n, m).
    """
    farther = np.full(len(inputs.conditions), np.nan)
    others = np.zeros(len(inputs.conditions))
    reasons: dict[int, str] = {}
    for among in rivals(inputs):
        rows, own = among.rows, among.own
        if len(among.truths.columns) == 1:
            reasons.update(dict.fromkeys(rows.tolist(), ONE_CONDITION))
            continue
        whole = distances(among)  # (n, m): predictions by candidates
        for part in row_parts(*whole.shape):
            found = whole[part]
            of_own = np.take_along_axis(found, own[part, None], axis=1)
            margin = TIE * np.abs(found).max(axis=1, keepdims=True)
            is_tied = np.abs(found - of_own) <= margin
            is_farther = (found > of_own) & ~is_tied
            # The own candidate is always tied with itself, and must not count.
            farther[rows[part]] = is_farther.sum(axis=1) + 0.5 * (is_tied.sum(axis=1) - 1)
        others[rows] = len(among.truths.columns) - 1
    return Places(farther, others, reasons)


def are_alike(rows: DoubleArray) -> bool:
    """Tell whether all rows have the same values; the last one tells nearly always."""
    return np.array_equal(rows[0], rows[-1]) and all(
        bool((rows[part] == rows[0]).all()) for part in row_parts(*rows.shape)
    )


def of_rivals(table: DoubleArray, among: Rivals) -> DoubleArray:
    """Return the rows of the predictions of one cell type, (n, G); not to be changed."""
    # Positions ascend: so many are all.
    return table if len(among.rows) == len(table) else rows_of(table, among.rows)


def squared_distances(left: DoubleArray, right: DoubleArray) -> DoubleArray:
    """Squared Euclidean distance of each row to each row, (n, G) and (m, G) to (n, m)."""
    left_squares, right_squares = squared_lengths(left)[:, None], squared_lengths(right)
    found = products(left, right)
    for part in row_parts(*found.shape):
        squares = left_squares[part] + right_squares
        squares -= 2.0 * found[part]
        # Cancellation may leave a tiny negative square where two rows are equal.
        np.maximum(squares, 0.0, out=found[part])
    return found


def products(left: DoubleArray, right: DoubleArray) -> DoubleArray:
    """Inner product of each row with each row, (n, G) and (m, G) to (n, m)."""
    found = empty_like(right, (len(left), len(right)), np.float64)
    return np.matmul(left, right.T, out=found)


def _by_type(candidates: Candidates) -> dict[str, Truths]:
    types = np.asarray([condition.cell_type for condition in candidates.conditions])
    found: dict[str, Truths] = {}
    for cell_type in sorted(set(types.tolist())):
        rows = np.flatnonzero(types == cell_type)
        is_all = len(rows) == len(types)
        found[cell_type] = Truths(
            candidates.truth if is_all else rows_of(candidates.truth, rows),
            [candidates.conditions[row] for row in rows.tolist()],
        )
    return found


def _keys_of(rows: DoubleArray) -> list[bytes]:
    """Return some values of each row, which tell nearly all rows apart."""
    some = rows[:, :: max(1, rows.shape[1] // KEY_VALUES)]
    return [row.tobytes() for row in some]
