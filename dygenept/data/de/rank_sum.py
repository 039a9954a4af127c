"""Mann-Whitney U tests of every gene and condition against control, on sparse cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dygenept.data.de.merged_ranks import (
    MOST_GROUPS,
    SortedControl,
    UnsignedArray,
    merged_statistics,
    tie_term,
)
from dygenept.data.memory import MERGED, SORTED
from dygenept.machine.tables import give_back_pages, zeros
from dygenept.machine.threads import n_threads
from dygenept.types import BoolArray, DoubleArray, IntArray, PerturbationData

if TYPE_CHECKING:
    from scipy import sparse

# Conditions that are tested together, and sets of them before their p values are taken.
TESTED = min(64, MOST_GROUPS)
TAKEN = 8
# Looking a value up takes as long as sorting it with so many values of control.
LOOKED_UP = 5


def rank_sum_p_values(data: PerturbationData) -> DoubleArray:
    """Test every gene of every condition against the control cells of its cell type.

    Where controls are matched by batch, the cells of each batch are ranked among its own controls,
    and the batches' statistics are added with van Elteren's weights, 1 / (cells + 1). Two-sided,
    by the normal approximation with tie and continuity correction; zeros, which are not stored, are
    one tie. A gene that is constant over both groups has p = 1.

    Returns:
        p, (n_conditions, G), float64; 1 throughout a condition whose cell type has no control.

    Source: Mann and Whitney 1947, van Elteren 1960 (batches); scipy
        ``mannwhitneyu(method="asymptotic")`` gives the same for one batch, as does pdex, with which
        cell-eval finds its significant genes.
    """
    p_values = zeros((len(data.conditions), data.n_genes), np.float64, folder=data.tables)
    p_values.fill(1.0)
    for code, row in _tested(data):
        p_values[code] = row
    return p_values


def significant_genes(data: PerturbationData, fdr: float) -> BoolArray:
    """Mark what ``significant`` marks of ``rank_sum_p_values``, without keeping p values of all.

    Returns:
        (n_conditions, G).
    """
    marked = zeros((len(data.conditions), data.n_genes), np.bool_, folder=data.tables)
    for code, row in _tested(data):
        marked[code] = significant(row[None], fdr)[0]
    return marked


def _tested(data: PerturbationData) -> Iterator[tuple[int, DoubleArray]]:
    """Yield p values of each condition, (G,), by its code; one without controls is left out."""
    from scipy import sparse

    order = np.argsort(data.condition_codes, kind="stable")
    starts = np.searchsorted(data.condition_codes[order], np.arange(len(data.conditions) + 1))
    ends = np.append(0, np.cumsum(np.diff(data.expression.indptr)[order], dtype=np.int64))
    n_values = ends[starts[1:]] - ends[starts[:-1]]
    # Cells in a file are there for want of memory: a condition at a time is tested.
    most = MERGED if sparse.issparse(data.expression) else 0
    for number, cell_type in enumerate(data.cell_types):
        is_control = (data.condition_codes < 0) & (data.cell_type_codes == number)
        if not is_control.any():
            continue
        control = sorted_control(data.expression[np.flatnonzero(is_control)])
        of_batches = _batch_controls(data, is_control)
        codes = [row for row, item in enumerate(data.conditions) if item.cell_type == cell_type]

        def test(
            together: Sequence[int],
            control: SortedControl = control,
            of_batches: Mapping[int, SortedControl] = of_batches,
        ) -> list[tuple[int, DoubleArray]]:
            cells = [order[starts[code] : starts[code + 1]] for code in together]
            if data.batches is None:
                found = _of_conditions(data, cells, control)
            else:
                rows = data.batches.rows
                found = [_of_batches(data, own, rows[own], (control, of_batches)) for own in cells]
            return list(zip(together, found, strict=True))

        sets = _sets(codes, n_values[codes].tolist(), most=most)
        # Sorting and searching release the interpreter lock.
        with ThreadPoolExecutor(n_threads()) as pool:
            # Some at a time: what is done and not yet taken is in memory.
            for first in range(0, len(sets), TAKEN):
                for tested in pool.map(test, sets[first : first + TAKEN]):
                    yield from tested
                give_back_pages()


def _sets(codes: Sequence[int], n_values: Sequence[int], *, most: int) -> list[list[int]]:
    """Cut conditions into sets of at most so many stored values, or of one condition."""
    sets: list[list[int]] = []
    total = 0
    for code, number in zip(codes, n_values, strict=True):
        total += number
        if not sets or total > most or len(sets[-1]) == TESTED:
            sets.append([])
            total = number
        sets[-1].append(code)
    return sets


def _of_conditions(
    data: PerturbationData, cells: Sequence[npt.NDArray[np.intp]], control: SortedControl
) -> list[DoubleArray]:
    """Test the cells of each of some conditions, (G,) each."""
    lengths = [len(own) for own in cells]
    together = np.concatenate(cells)
    expression = data.expression[together]
    if len(cells) == 1 or len(control.keys) > LOOKED_UP * expression.nnz:
        ends = np.cumsum(lengths).tolist()
        return [
            _p_values(expression[end - length : end], control)
            for end, length in zip(ends, lengths, strict=True)
        ]
    groups = np.repeat(np.arange(len(cells), dtype=np.int32), lengths)
    statistic, variance = merged_statistics(expression, groups, control)
    n_pairs = np.array(lengths, dtype=np.float64)[:, None] * control.n_cells
    return list(_normal_p_values(statistic, variance, n_pairs))


def _of_batches(
    data: PerturbationData,
    cells: npt.NDArray[np.intp],
    rows: IntArray,
    controls: tuple[SortedControl, Mapping[int, SortedControl]],
) -> DoubleArray:
    """Test the cells of a condition, each batch against its own control cells or else all, (G,)."""
    of_all, of_batches = controls
    strata = [
        (data.expression[cells[rows == row]], of_batches.get(row, of_all))
        for row in np.unique(rows).tolist()
    ]
    return _stratified_p_values(strata)


class ControlCellsTest:
    """Tests sets of cells against the same control cells, which are sorted once."""

    def __init__(self, control: sparse.csr_matrix) -> None:
        """Sort the control cells, (n, G), none below 0."""
        self._control = sorted_control(control)

    def p_values(self, cells: sparse.csr_matrix) -> DoubleArray:
        """Test every gene of some cells, (k, G), none below 0; see ``rank_sum_p_values``."""
        return _p_values(cells, self._control)

    @staticmethod
    def of_strata(
        strata: Sequence[tuple[sparse.csr_matrix, ControlCellsTest]],
    ) -> DoubleArray:
        """Test the cells of several batches together, each against control cells of its own."""
        return _stratified_p_values([(cells, test._control) for cells, test in strata])


def significant(p_values: DoubleArray, fdr: float) -> npt.NDArray[np.bool_]:
    """Mark the tests of each row whose Benjamini-Hochberg false discovery rate is below ``fdr``.

    Args:
        p_values: (n, G).
        fdr: Rate, exclusive.

    Returns:
        (n, G).
    """
    n_tests = p_values.shape[1]
    ordered = np.sort(p_values, axis=1)
    passes = ordered * n_tests < fdr * np.arange(1, n_tests + 1)
    n_passed = np.where(passes.any(axis=1), n_tests - passes[:, ::-1].argmax(axis=1), 0)
    # The largest p that passes carries all smaller ones with it.
    cut = np.where(
        n_passed > 0,
        np.take_along_axis(ordered, np.maximum(n_passed - 1, 0)[:, None], axis=1)[:, 0],
        -1.0,
    )
    return p_values <= cut[:, None]


def _keys(cells: sparse.csr_matrix, first_gene: int = 0) -> UnsignedArray:
    """Join gene and value into one number that sorts by gene, then by value.

    The bits of a positive float32 sort as the number does. ``first_gene`` is that of the first
    column.
    """
    keys: UnsignedArray = (cells.indices.astype(np.uint64) + np.uint64(first_gene)) << np.uint64(32)
    keys |= cells.data.astype(np.float32).view(np.uint32)
    return keys


def sorted_control(cells: sparse.csr_matrix) -> SortedControl:
    """Sort control cells, (n, G), none below 0, within each gene."""
    n_cells, n_genes = cells.shape
    keys, counts, ties = _counted_keys(cells)
    edges = np.arange(n_genes + 1, dtype=np.uint64) << np.uint64(32)
    starts = np.searchsorted(keys, edges)
    total: npt.NDArray[np.signedinteger[Any]] = np.zeros(
        len(counts) + 1, dtype=np.int32 if cells.nnz < 2**31 else np.int64
    )
    np.cumsum(counts, out=total[1:])
    return SortedControl(
        n_cells=n_cells,
        keys=keys,
        counts=counts,
        below=total,
        starts=starts,
        n_stored=np.diff(total[starts]).astype(np.float64),
        ties=ties,
    )


def _counted_keys(cells: sparse.csr_matrix) -> tuple[UnsignedArray, IntArray, DoubleArray]:
    """Return the distinct keys of cells, sorted, how often each occurs, and the ties of each gene.

    Genes are taken some at a time, since sorting needs several times the memory of the result.
    """
    all_keys: list[UnsignedArray] = []
    all_counts: list[IntArray] = []
    ties = np.zeros(cells.shape[1])
    for first, last, part in _runs_of_genes(cells):
        keys, counts = np.unique(_keys(part, first), return_counts=True)
        genes = (keys >> np.uint64(32)).astype(np.intp) - first
        weights = counts.astype(np.float64)
        ties[first:last] = np.bincount(genes, tie_term(weights), last - first)
        all_keys.append(keys)
        all_counts.append(counts.astype(np.int32))
    if len(all_keys) == 1:
        return all_keys[0], all_counts[0], ties
    return np.concatenate(all_keys), np.concatenate(all_counts), ties


def _runs_of_genes(cells: sparse.csr_matrix) -> Iterator[tuple[int, int, sparse.csr_matrix]]:
    """Yield runs of about ``SORTED`` stored values: first gene, last but one, and the cells there.

    Genes that hold more are a run of their own.
    """
    n_genes = cells.shape[1]
    if cells.nnz <= SORTED:
        yield 0, n_genes, cells
        return
    ends = np.cumsum(np.bincount(cells.indices, minlength=n_genes))
    first = 0
    while first < n_genes:
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + SORTED, side="right")))
        yield first, last, cells[:, first:last]
        first = last


def _p_values(cells: sparse.csr_matrix, control: SortedControl) -> DoubleArray:
    return _normal_p_values(*_statistic(cells, control))


def _normal_p_values(
    statistic: DoubleArray, variance: DoubleArray, n_pairs: DoubleArray | float
) -> DoubleArray:
    from scipy.special import ndtr

    distance = np.maximum(statistic, n_pairs - statistic) - 0.5 * n_pairs - 0.5
    p_values = np.ones(statistic.shape)
    varies = variance > 0
    p_values[varies] = np.minimum(2.0 * ndtr(-distance[varies] / np.sqrt(variance[varies])), 1.0)
    return p_values


def _batch_controls(data: PerturbationData, is_control: BoolArray) -> dict[int, SortedControl]:
    """Sort the control cells of each batch that is matched, by its row of offsets."""
    if data.batches is None:
        return {}
    perturbed = set(data.batches.rows[data.condition_codes >= 0].tolist()) - {-1}
    rows = data.batches.rows
    return {
        row: sorted_control(data.expression[np.flatnonzero(is_control & (rows == row))])
        for row in sorted(perturbed & set(rows[is_control].tolist()))
    }


def _stratified_p_values(strata: Sequence[tuple[sparse.csr_matrix, SortedControl]]) -> DoubleArray:
    """Add the statistics of strata, each centred and weighted; one alone gives ``_p_values``."""
    from scipy.special import ndtr

    total, variance, step = np.zeros(1), np.zeros(1), np.inf
    for cells, control in strata:
        statistic, own, n_pairs = _statistic(cells, control)
        weight = 1.0 / (cells.shape[0] + control.n_cells + 1.0)
        total = total + weight * (statistic - 0.5 * n_pairs)
        variance = variance + weight**2 * np.maximum(own, 0.0)
        step = min(step, weight)
    p_values = np.ones(len(total))
    varies = variance > 0
    # The continuity correction is half of the smallest step of the sum.
    distance = np.abs(total[varies]) - 0.5 * step
    p_values[varies] = np.minimum(2.0 * ndtr(-distance / np.sqrt(variance[varies])), 1.0)
    return p_values


def _statistic(
    cells: sparse.csr_matrix, control: SortedControl
) -> tuple[DoubleArray, DoubleArray, float]:
    """Return U of every gene, its variance under no difference, and the number of pairs."""
    n_cells, n_genes = cells.shape
    statistic, variance = np.empty(n_genes), np.empty(n_genes)
    for first, last, part in _runs_of_genes(cells):
        statistic[first:last], variance[first:last] = _statistic_of_run(part, control, first)
    return statistic, variance, float(n_cells) * control.n_cells


def _statistic_of_run(
    cells: sparse.csr_matrix, control: SortedControl, first: int
) -> tuple[DoubleArray, DoubleArray]:
    """Return U and its variance of a run of genes, of which ``first`` is the first."""
    n_cells, n_genes = cells.shape
    run = np.s_[first : first + n_genes]
    keys, counts = np.unique(_keys(cells, first), return_counts=True)
    own = counts.astype(np.float64)
    genes = (keys >> np.uint64(32)).astype(np.intp) - first
    place = np.searchsorted(control.keys, keys)
    clipped = np.minimum(place, max(len(control.keys) - 1, 0))
    is_shared = (
        control.keys[clipped] == keys if len(control.keys) else np.zeros(len(keys), dtype=np.bool_)
    )
    equal = np.where(is_shared, control.counts[clipped], 0.0) if len(control.keys) else own * 0.0
    smaller = control.below[place] - control.below[control.starts[run][genes]]
    zeros_control = control.n_cells - control.n_stored[run]
    zeros_own = n_cells - np.bincount(genes, weights=own, minlength=n_genes)
    wins = own * (zeros_control[genes] + smaller + 0.5 * equal)
    statistic: DoubleArray = np.bincount(genes, weights=wins, minlength=n_genes).astype(np.float64)
    statistic += 0.5 * zeros_own * zeros_control
    added = tie_term(own + equal) - tie_term(equal)
    zeros = zeros_own + zeros_control
    ties = control.ties[run] + np.bincount(genes, added, n_genes) + tie_term(zeros)
    n_pairs, n_all = float(n_cells) * control.n_cells, float(n_cells + control.n_cells)
    variance = n_pairs / 12.0 * ((n_all + 1.0) - ties / (n_all * (n_all - 1.0)))
    return statistic, variance
