"""How strong each perturbation is: energy distance to control cells, with a permutation test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.data.batches import MIN_CONTROLS
from dygenept.types import (
    DoubleArray,
    FloatArray,
    IntArray,
    PerturbationData,
    Progress,
    no_report,
)

if TYPE_CHECKING:
    from scipy import sparse

CellRows = npt.NDArray[np.intp]

N_COMPONENTS = 50
# Cells of a condition, controls of a cell type, and controls that components are fitted on.
MAX_OWN, MAX_CONTROLS, MAX_FITTED = 200, 400, 2000


@dataclass(frozen=True, slots=True)
class Strength:
    """Energy distance of each condition to the control cells of its cell type.

    Attributes:
        distances: 2E‖X−Y‖ − E‖X−X′‖ − E‖Y−Y′‖, NaN for a condition with one cell, (n_conditions,).
        p_values: Share of permutations with at least that distance; NaN without a test.
        q_values: These, adjusted by Benjamini and Hochberg; NaN without a test.
    """

    distances: DoubleArray
    p_values: DoubleArray
    q_values: DoubleArray


def strength(
    data: PerturbationData,
    *,
    permutations: int,
    seed: int,
    report: Callable[[Progress], None] = no_report,
) -> Strength:
    """Compare the cells of each condition with control cells of its cell type.

    At most 200 cells of the condition are compared with 400 controls (half of them, of fewer than
    800), drawn with the seed, in the first principal components of other control cells. In
    components of their own the controls would lie further apart than any other cells do, and every
    condition would seem to differ from them.

    Where controls are matched by batch, cells are moved by how far their batch's controls lie from
    all controls of the cell type, as they are for means. These are the other control cells too, so
    that which of the compared cells are controls has no say in it: the test stays exact.

    The test shuffles which of the cells are controls; where controls are matched by batch, among
    the cells of each batch alone, so that differences between batches are no effect. Source:
    scPerturb's E-test (Peidli et al. 2024), here with the distance itself instead of its square.
    """
    from scipy import stats

    rng = np.random.default_rng(seed)
    controls = [
        np.flatnonzero((data.condition_codes < 0) & (data.cell_type_codes == number))
        for number in range(len(data.cell_types))
    ]
    of_types = [_drawn(cells, min(MAX_CONTROLS, len(cells) // 2), rng) for cells in controls]
    left = np.setdiff1d(np.concatenate(controls), np.concatenate(of_types))
    project = _components(data.expression, left, rng)
    offsets = _batch_offsets(data, left, project)
    drawn = [project(data.expression[cells]) - offsets(cells) for cells in of_types]
    order = np.argsort(data.condition_codes, kind="stable")
    starts = np.searchsorted(data.condition_codes[order], np.arange(len(data.conditions) + 1))
    distances = np.full(len(data.conditions), np.nan)
    p_values = np.full(len(data.conditions), np.nan)
    for row, condition in enumerate(data.conditions):
        report(Progress("strength", row + 1, len(data.conditions)))
        cells = order[starts[row] : starts[row + 1]]
        kind = data.cell_types.index(condition.cell_type)
        if len(cells) < 2 or len(drawn[kind]) < 2:
            continue
        mine = _drawn(cells, MAX_OWN, rng)
        batches = None
        if data.batches is not None:
            batches = data.batches.codes[np.concatenate((mine, of_types[kind]))]
        distances[row], p_values[row] = energy_test(
            project(data.expression[mine]) - offsets(mine),
            drawn[kind],
            permutations,
            rng,
            batches=batches,
        )
    q_values = np.full(len(p_values), np.nan)
    tested = np.isfinite(p_values)
    if tested.any():
        q_values[tested] = stats.false_discovery_control(p_values[tested])
    return Strength(distances, p_values, q_values)


def energy_test(
    own: DoubleArray,
    others: DoubleArray,
    permutations: int,
    rng: np.random.Generator,
    *,
    batches: IntArray | None = None,
) -> tuple[float, float]:
    """Return the energy distance of two sets of points, and its p value.

    Args:
        own: Points, (n, D).
        others: Points, (m, D).
        permutations: Times that the points are shuffled; 0 for no test.
        rng: Draws the shuffles.
        batches: Batch of each point, the n first, (n + m,): points are shuffled within their batch.

    Returns:
        The distance; (1 + shuffles with at least that distance) / (1 + shuffles), NaN for no test.
    """
    from scipy.spatial.distance import cdist

    points = np.concatenate((own, others))
    between = cdist(points, points)
    n = len(own)
    label = np.zeros(len(points))
    label[:n] = 1.0
    labels = np.stack([label, *(_shuffled(label, batches, rng) for _ in range(permutations))])
    within = np.einsum("ij,ij->i", labels @ between, labels)
    towards = labels @ between.sum(axis=1)
    total, m = between.sum(), len(points) - n
    crossing, rest = towards - within, total - 2.0 * towards + within
    found = 2.0 * crossing / (n * m) - within / n**2 - rest / m**2
    if not permutations:
        return float(found[0]), float("nan")
    # Shuffles that only exchange equal points must count, whatever the rounding.
    reached = found[1:] >= found[0] - 1e-12 * max(1.0, abs(found[0]))
    return float(found[0]), float((1 + reached.sum()) / (1 + permutations))


def _shuffled(
    label: DoubleArray, batches: IntArray | None, rng: np.random.Generator
) -> DoubleArray:
    if batches is None:
        return rng.permutation(label)
    shuffled = np.empty_like(label)
    by_batch = np.argsort(batches, kind="stable")
    shuffled[by_batch] = label[np.lexsort((rng.random(len(label)), batches))]
    return shuffled


def _components(
    expression: sparse.csr_matrix, controls: CellRows, rng: np.random.Generator
) -> Callable[[sparse.csr_matrix], DoubleArray]:
    """Return the projection on the principal components of some control cells."""
    cells: FloatArray = expression[_drawn(controls, MAX_FITTED, rng)].toarray()
    mean = cells.mean(axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(cells - mean, full_matrices=False)
    # The axis beyond the rank is anything.
    basis = axes[: min(N_COMPONENTS, len(cells) - 1)].T
    shift = mean @ basis

    def project(block: sparse.csr_matrix) -> DoubleArray:
        placed: DoubleArray = np.asarray(block @ basis, dtype=np.float64) - shift
        return placed

    return project


def _batch_offsets(
    data: PerturbationData, controls: CellRows, project: Callable[[sparse.csr_matrix], DoubleArray]
) -> Callable[[CellRows], DoubleArray | float]:
    """Return how far the batch of each cell lies from all batches, in components.

    Args:
        data: The data set.
        controls: Control cells that are not compared with any.
        project: Places cells in the components.

    Returns:
        From cells to an array, (n, D): the mean of the controls of the cell's batch and type minus
        that of all controls of the type; 0 with fewer than ``MIN_CONTROLS`` of them, for a cell
        without a batch, and where controls are not matched.
    """
    if data.batches is None:
        return lambda cells: 0.0
    n_batches, codes = len(data.batches.names), data.batches.codes
    n_pairs = len(data.cell_types) * n_batches
    pairs = np.where(codes < 0, n_pairs, data.cell_type_codes * n_batches + codes)
    found: DoubleArray | None = None
    for number in range(len(data.cell_types)):
        own = controls[data.cell_type_codes[controls] == number]
        if not len(own):
            continue
        blocks = np.array_split(own, -(-len(own) // MAX_FITTED))
        placed = np.concatenate([project(data.expression[block]) for block in blocks])
        if found is None:
            found = np.zeros((n_pairs + 1, placed.shape[1]))
        for pair in np.unique(pairs[own]).tolist():
            is_mine = pairs[own] == pair
            if pair < n_pairs and is_mine.sum() >= MIN_CONTROLS:
                found[pair] = placed[is_mine].mean(axis=0) - placed.mean(axis=0)
    known = found
    return lambda cells: 0.0 if known is None else known[pairs[cells]]


def _drawn(cells: CellRows, most: int, rng: np.random.Generator) -> CellRows:
    return np.sort(rng.choice(cells, most, replace=False)) if len(cells) > most else cells
