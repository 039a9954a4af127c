"""Negative-binomial counts of cells, drawn block by block straight into CSR.

The mean count of gene g in cell c of group q (a condition in a cell state) is
``library[c] · mean[q, g] · exp(axis[c] · loading[g])``. One uniform number per cell and gene
decides the count by inversion: most are zero after one comparison, and the rest climb the
distribution together. Decisions are taken in float64, so that the last digit of a machine's
exp and log changes no count.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from dygenept.types import DoubleArray, FloatArray, IntArray

if TYPE_CHECKING:
    from scipy import sparse

Entry = TypeVar("Entry", bound=np.generic)

LOG_MEAN_CENTRE, LOG_MEAN_SPREAD = -3.4, 1.9
MAX_MEAN = 40.0
SIZE_RANGE = (0.1, 10.0)
N_SIZES = 8
LIBRARY_SPREAD = 0.35
STATE_GENE_SHARE, STATE_SHIFT_SPREAD = 0.15, 0.6
AXIS_GENE_SHARE, AXIS_SPREAD = 0.10, 0.35

BLOCK_CELLS = 512
NORMALIZE_CELLS = 16_384
# Values sit on a grid that float32 represents exactly, far coarser than the error of a logarithm.
VALUE_GRID = 2.0**16


@dataclass(frozen=True, slots=True)
class CountModel:
    """How an unperturbed cell is expressed.

    Attributes:
        log_mean: Natural log of the mean count of each gene in the first state, (G,).
        sizes: Negative-binomial sizes (1 / dispersion) that occur, (n_sizes,).
        size_codes: Index into ``sizes`` of each gene, (G,).
        state_shift: Log-fold change of each state against the first, (S, G).
        loading: Log-fold change along a continuous axis of unit variance, (G,).
    """

    log_mean: DoubleArray
    sizes: DoubleArray
    size_codes: IntArray
    state_shift: DoubleArray
    loading: DoubleArray


@dataclass(frozen=True, slots=True)
class CellPlan:
    """What every cell is, before its counts are drawn.

    Attributes:
        group_codes: Row of the group means that the cell follows, (N,).
        library: Size factor around 1, (N,).
        axis: Place on the continuous axis, (N,).
    """

    group_codes: IntArray
    library: DoubleArray
    axis: DoubleArray


def draw_count_model(n_genes: int, *, n_states: int, rng: np.random.Generator) -> CountModel:
    """Draw means, dispersions and cell states.

    Mean counts follow the quantiles of one log-normal, whatever the number of genes: a small
    stand-in is as sparse as a large one.
    """
    from scipy.special import ndtri

    quantiles = (np.arange(n_genes) + 0.5) / n_genes
    log_mean = np.minimum(LOG_MEAN_CENTRE + LOG_MEAN_SPREAD * ndtri(quantiles), np.log(MAX_MEAN))
    in_state = rng.random((n_states, n_genes)) < STATE_GENE_SHARE
    state_shift = np.where(in_state, rng.normal(0.0, STATE_SHIFT_SPREAD, in_state.shape), 0.0)
    state_shift[0] = 0.0
    on_axis = rng.random(n_genes) < AXIS_GENE_SHARE
    return CountModel(
        log_mean=rng.permutation(log_mean),
        sizes=np.geomspace(*SIZE_RANGE, N_SIZES),
        size_codes=rng.integers(0, N_SIZES, size=n_genes, dtype=np.int32),
        state_shift=state_shift,
        loading=np.where(on_axis, rng.normal(0.0, AXIS_SPREAD, n_genes), 0.0),
    )


def draw_cells(group_codes: IntArray, *, rng: np.random.Generator) -> CellPlan:
    """Draw the library size and the place on the axis of every cell."""
    n_cells = len(group_codes)
    return CellPlan(
        group_codes=group_codes,
        library=np.exp(rng.normal(0.0, LIBRARY_SPREAD, n_cells)),
        axis=rng.normal(0.0, 1.0, n_cells),
    )


def draw_expression(
    model: CountModel,
    group_means: FloatArray,
    plan: CellPlan,
    *,
    seed: np.random.SeedSequence,
    report: Callable[[int, int], None],
) -> sparse.csr_matrix:
    """Draw counts, scale each cell to the median total and take log1p.

    Blocks have their own generators, so the result does not depend on the number of threads.

    Args:
        model: Dispersions and axis loadings.
        group_means: Mean count of each group at library size 1, (n_groups, G).
        plan: The cells.
        seed: Parent of the blocks' generators.
        report: Called with the cells done and the cells in all.

    Returns:
        CSR, (N, G), float32, int32 indices, sorted; a cell without a count is an empty row.
    """
    from scipy import sparse

    n_cells, n_genes = len(plan.group_codes), group_means.shape[1]
    starts = range(0, n_cells, BLOCK_CELLS)
    seeds = seed.spawn(len(starts))
    size = model.sizes[model.size_codes]
    loaded = np.flatnonzero(model.loading)
    row_sizes = np.zeros(n_cells, dtype=np.int64)
    totals = np.zeros(n_cells)

    def block(number: int) -> tuple[IntArray, FloatArray]:
        cells = slice(starts[number], starts[number] + BLOCK_CELLS)
        mean = group_means[plan.group_codes[cells]] * plan.library[cells, None]
        mean[:, loaded] *= np.exp(plan.axis[cells, None] * model.loading[loaded])
        rows, genes, counts = _draw_counts(mean, size, rng=np.random.default_rng(seeds[number]))
        row_sizes[cells] = np.bincount(rows, minlength=len(mean))
        totals[cells] = np.bincount(rows, weights=counts, minlength=len(mean))
        return genes, counts

    indices, data = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
    n_stored = n_done = 0
    for genes, counts in _in_order(block, len(starts)):
        n_done = min(n_done + BLOCK_CELLS, n_cells)
        filled = slice(n_stored, n_stored + len(genes))
        n_stored = filled.stop
        if n_stored > len(data):
            # Cells come in random order, so the first block tells the size of all; memory that
            # is reserved and never written costs nothing.
            capacity = int(1.1 * n_stored * n_cells / n_done) + n_stored
            indices, data = _grown(indices, capacity), _grown(data, capacity)
        indices[filled], data[filled] = genes, counts
        report(n_done, n_cells)
    indices, data = indices[:n_stored], data[:n_stored]
    indptr = np.concatenate([[0], np.cumsum(row_sizes)])
    _normalize(data, indptr, totals)
    matrix = sparse.csr_matrix((n_cells, n_genes), dtype=np.float32)
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr.astype(np.int32)
    matrix.has_sorted_indices = True
    return matrix


def _grown(array: npt.NDArray[Entry], capacity: int) -> npt.NDArray[Entry]:
    """Return a longer array that begins with this one."""
    longer = np.empty(capacity, dtype=array.dtype)
    longer[: len(array)] = array
    return longer


def _in_order(
    work: Callable[[int], tuple[IntArray, FloatArray]], n_items: int
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Run numbered work on a few threads and yield the results in order."""
    n_threads = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(n_threads) as pool:
        running: deque[Future[tuple[IntArray, FloatArray]]] = deque()
        for number in range(n_items):
            running.append(pool.submit(work, number))
            if len(running) > 2 * n_threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _draw_counts(
    mean: DoubleArray, size: DoubleArray, *, rng: np.random.Generator
) -> tuple[npt.NDArray[np.intp], IntArray, FloatArray]:
    """Draw one block of negative-binomial counts.

    Args:
        mean: Mean counts, (n, G).
        size: Negative-binomial size of each gene, (G,).
        rng: Source of draws.

    Returns:
        Row, gene and count of every count above zero, in row order.
    """
    n_genes = mean.shape[1]
    zero = np.log1p(mean / size)
    zero *= -size
    np.exp(zero, out=zero)
    uniform = rng.random(mean.shape)
    flat = np.flatnonzero(uniform > zero)
    rows, genes = np.divmod(flat, n_genes)
    counts = np.ones(len(flat), dtype=np.float32)
    where = np.arange(len(flat))
    uniform, mass = uniform.ravel()[flat], zero.ravel()[flat]
    below = mass.copy()
    gene_size, gene_mean = size[genes], mean.ravel()[flat]
    odds = gene_mean / (gene_mean + gene_size)
    count = 0
    while len(where):
        mass *= odds * (gene_size + count) / (count + 1)
        below += mass
        count += 1
        counts[where] = count
        # Past the mode, a mass that no longer moves the sum means the tail is exhausted.
        climbing = (uniform > below) & ((mass > 1e-18) | (count < gene_mean))
        keep = np.flatnonzero(climbing)
        where, uniform, mass, below = where[keep], uniform[keep], mass[keep], below[keep]
        gene_size, gene_mean, odds = gene_size[keep], gene_mean[keep], odds[keep]
    return rows, genes.astype(np.int32), counts


def _normalize(data: FloatArray, indptr: npt.NDArray[np.int64], totals: DoubleArray) -> None:
    """Scale each cell's counts to the median total and take log1p, in place."""
    factors = np.median(totals[totals > 0]) / np.maximum(totals, 1.0)
    for start in range(0, len(totals), NORMALIZE_CELLS):
        stop = min(start + NORMALIZE_CELLS, len(totals))
        part = slice(indptr[start], indptr[stop])
        values = data[part] * np.repeat(factors[start:stop], np.diff(indptr[start : stop + 1]))
        data[part] = np.rint(np.log1p(values) * VALUE_GRID) / VALUE_GRID
