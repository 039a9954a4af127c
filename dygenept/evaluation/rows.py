"""Row-wise reductions that metrics share: one value per condition, undefined cases named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from dygenept.machine.tables import empty_like, slices
from dygenept.types import BoolArray, DoubleArray, IntArray, MetricInputs, MetricValues

NO_DE_GENES = "no DE genes"
CONSTANT_PREDICTION = "constant prediction"
CONSTANT_TRUTH = "constant truth"
TOO_FEW_GENES = "fewer than two genes"

# Models return float32: a spread below its rounding is noise of the arithmetic, not a prediction.
ROUNDING = float(np.finfo(np.float32).eps)
BLOCK_ROWS = 16


def is_one_row(*arrays: DoubleArray) -> bool:
    """Tell whether arrays show one row over and over, as ``numpy.broadcast_to`` makes them.

    Controls of one cell type are laid out so, and predictions that are the same for all conditions.
    """
    return all(len(array) > 1 and array.strides[0] == 0 for array in arrays)


def row_by_row(compute: Callable[..., DoubleArray], *arrays: DoubleArray) -> DoubleArray:
    """Compute values of rows alone, (n, G) each: of one row, where all arrays show only one.

    Args:
        compute: Takes the arrays, or a first row of each; each row depends on itself alone.
        arrays: What it takes.
    """
    if not is_one_row(*arrays):
        return compute(*arrays)
    return np.broadcast_to(compute(*(array[:1] for array in arrays)), arrays[0].shape)


def difference(left: DoubleArray, right: DoubleArray) -> DoubleArray:
    """Return left - right, (n, G)."""
    return row_by_row(np.subtract, left, right)


def change(predicted: DoubleArray, control: DoubleArray) -> DoubleArray:
    """Return predicted - control, 0 where the two agree to float32 rounding.

    What was predicted in float32 must not be read as a change, whose sign or size would count.
    """
    return row_by_row(_change, predicted, np.broadcast_to(control, predicted.shape))


def _change(predicted: DoubleArray, control: DoubleArray) -> DoubleArray:
    changed = empty_like(predicted, predicted.shape, np.float64)
    # A block of rows stays in the processor's cache through all passes.
    for rows in slices(len(changed), BLOCK_ROWS):
        np.subtract(predicted[rows], control[rows], out=changed[rows])
        rounding = np.maximum(np.abs(predicted[rows]), np.abs(control[rows]))
        rounding *= ROUNDING
        changed[rows][~(np.abs(changed[rows]) > rounding)] = 0.0
    return changed


def predicted_change(inputs: MetricInputs) -> DoubleArray:
    """Return the ``change`` of each prediction from control, (n, G); read-only for all metrics."""
    return inputs.once("rows.change", lambda: change(inputs.predicted, inputs.control))


def gather_de(values: DoubleArray, de_indices: IntArray) -> DoubleArray:
    """Pick each row's DE genes.

    Args:
        values: (n, G).
        de_indices: Positions in G, (n, 20), padded with -1.

    Returns:
        (n, 20), float64, with zeros at the padding.
    """
    # Padding picks gene 0 and is overwritten, since -1 would pick the last gene.
    picked = np.take_along_axis(values, np.maximum(de_indices, 0), axis=1)  # (n, 20)
    gathered: DoubleArray = np.where(de_indices >= 0, picked, 0.0)
    return gathered


def count_true(mask: BoolArray) -> npt.NDArray[np.intp]:
    """Count what is true in each row, (n, T) to (n,): many times as fast as a sum over the axis."""
    return np.array([np.count_nonzero(row) for row in mask], dtype=np.intp)


def top_share(
    size: DoubleArray,
    is_wanted: BoolArray,
    may_count: BoolArray | None = None,
    *,
    ordered: DoubleArray | None = None,
) -> DoubleArray:
    """Return the share of the k wanted genes of each row that are among its k largest, (n,).

    A tie at the k-th place counts by share; without any wanted gene the share is 0.

    Args:
        size: What genes are ordered by, (n, G).
        is_wanted: (n, G).
        may_count: Genes that may count at all, (n, G); None for all.
        ordered: ``size`` with each row sorted, where it is known.
    """
    n_wanted = count_true(is_wanted)
    place = np.clip(size.shape[1] - n_wanted, 0, size.shape[1] - 1)
    cut = np.empty((len(size), 1))  # The k-th largest.
    for row, at in enumerate(place.tolist()):
        # Without a whole sort, of which one value is needed.
        cut[row] = np.partition(size[row], at)[at] if ordered is None else ordered[row, at]
    is_above, is_tied = size > cut, size == cut
    n_places = n_wanted - count_true(is_above)
    if may_count is not None:
        is_wanted = is_wanted & may_count
    hits = count_true(is_above & is_wanted).astype(np.float64)
    hits += count_true(is_tied & is_wanted) * (n_places / count_true(is_tied))
    shares: DoubleArray = hits / np.maximum(n_wanted, 1)
    return shares


def none_defined(inputs: MetricInputs, reason: str) -> MetricValues:
    """Return no value for any condition, for one reason."""
    n_conditions = len(inputs.conditions)
    return MetricValues(np.full(n_conditions, np.nan), dict.fromkeys(range(n_conditions), reason))


def masked_mean(values: DoubleArray, mask: BoolArray) -> MetricValues:
    """Average each row over its real entries.

    Args:
        values: (n, T).
        mask: True where an entry is real, (n, T).

    Returns:
        (n,), undefined where a row has no real entry.
    """
    counts = count_true(mask)
    totals = np.where(mask, values, 0.0).sum(axis=1)  # (n,)
    means = np.full(len(values), np.nan)
    np.divide(totals, counts, out=means, where=counts > 0)
    return MetricValues(means, {int(row): NO_DE_GENES for row in np.flatnonzero(counts == 0)})


def masked_pearson(
    predicted: DoubleArray,
    truth: DoubleArray,
    mask: BoolArray,
    *,
    predicted_scale: DoubleArray,
    truth_scale: DoubleArray,
) -> MetricValues:
    """Correlate each row's real entries.

    A side is constant where its range is within float32 rounding of the numbers from which it was
    computed: a control predicted in float32 must not earn a correlation by its rounding.

    Args:
        predicted: (n, T).
        truth: (n, T).
        mask: True where an entry is real, (n, T).
        predicted_scale: Largest absolute number behind each row of ``predicted``, (n,).
        truth_scale: The same for ``truth``, (n,).

    Returns:
        Pearson correlation in [-1, 1], (n,), undefined where a side is constant or fewer than
        two entries are real.
    """
    counts = count_true(mask)
    left, left_range = _centred(predicted, mask, counts)
    right, right_range = _centred(truth, mask, counts)
    flat_left = left_range <= ROUNDING * predicted_scale
    flat_right = right_range <= ROUNDING * truth_scale
    # Scaled by the range first, so that squares of tiny deltas do not underflow.
    left /= np.where(left_range > 0, left_range, 1.0)[:, None]
    right /= np.where(right_range > 0, right_range, 1.0)[:, None]
    shape = predicted.shape
    product = np.einsum("nt,nt->n", np.broadcast_to(left, shape), np.broadcast_to(right, shape))
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    defined = (counts > 1) & ~flat_left & ~flat_right
    values = np.full(len(predicted), np.nan)
    np.divide(product, norms, out=values, where=defined)
    # Rounding may leave 1 + 2e-16, which the metrics' declared range does not allow.
    values = np.clip(values, -1.0, 1.0)
    reasons: dict[int, str] = {}
    for row in np.flatnonzero(~defined).tolist():
        if counts[row] < 2:
            reasons[row] = TOO_FEW_GENES if counts[row] else NO_DE_GENES
        else:
            reasons[row] = CONSTANT_PREDICTION if flat_left[row] else CONSTANT_TRUTH
    return MetricValues(values, reasons)


def row_scale(*arrays: DoubleArray) -> DoubleArray:
    """Return the largest absolute value in each row of several (n, T) arrays, (n,)."""
    scale = np.zeros(len(arrays[0]))
    for array in arrays:
        rows = array[:1] if is_one_row(array) else array
        np.maximum(scale, rows.max(axis=1, initial=0.0), out=scale)
        np.maximum(scale, -rows.min(axis=1, initial=0.0), out=scale)
    return scale


def _centred(
    values: DoubleArray, mask: BoolArray, counts: npt.NDArray[np.intp]
) -> tuple[DoubleArray, DoubleArray]:
    if mask.shape[1] and mask.all():
        # Spares passes over all genes; of one row over and over, (1, T) and (1,).
        values = values[:1] if is_one_row(values) else values
        whole: DoubleArray = values - values.mean(axis=1, keepdims=True)
        return whole, values.max(axis=1) - values.min(axis=1)
    sums = np.where(mask, values, 0.0).sum(axis=1)
    means = sums / np.maximum(counts, 1)
    centred: DoubleArray = np.where(mask, values - means[:, None], 0.0)
    high = np.where(mask, values, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(mask, values, np.inf).min(axis=1, initial=np.inf)
    span = np.zeros(len(values))
    np.subtract(high, low, out=span, where=counts > 0)
    return centred, span
