"""Whether submitted values are on the scale that they are read on, judged by the control cells.

What a perturbation changes is small beside the differences between genes. So predicted expression
lies near the mean of the control cells, and whichever reading of the values lies nearest to it is
the one that was meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from dygenept.data.reading.expression import MAX_LOG_VALUE
from dygenept.errors import DataError
from dygenept.types import DoubleArray

# Another reading must lie so much nearer to the controls (in mean squares) before it is named.
MUCH_NEARER = 4.0
BY_A_HAIR = 0.1
LEAST_SPREAD = 1e-4
ONE_FOR_ALL = (
    "predictions of a fold hardly differ between perturbations: they count as one for all, and "
    "earn no mark"
)
CHANGES, EXPRESSION = "changes from control", "expression"
_MENDS: Mapping[str, str] = MappingProxyType(
    {
        CHANGES: "pass --delta",
        EXPRESSION: "leave --delta out",
        "counts without a logarithm": "write numpy.log1p(values)",
        "log2(1 + x)": "write values * numpy.log(2)",
        "log1p taken twice": "write numpy.expm1(values)",
    }
)
_READINGS: Mapping[str, Callable[[DoubleArray, DoubleArray], DoubleArray]] = MappingProxyType(
    {
        EXPRESSION: lambda values, control: values,
        CHANGES: lambda values, control: values + control,
        "counts without a logarithm": lambda values, control: np.log1p(np.maximum(values, 0)),
        "log2(1 + x)": lambda values, control: values * np.log(2),
        "log1p taken twice": lambda values, control: np.expm1(np.minimum(values, MAX_LOG_VALUE)),
    }
)


def scale_notes(
    values: DoubleArray, control: DoubleArray, *, is_delta: bool, path: Path
) -> tuple[str, ...]:
    """Say where submitted values look as if they were on another scale than they are read on.

    Args:
        values: Submitted values, (n, m); NaN where not given.
        control: Mean log1p expression of control cells, (m,).
        is_delta: They are read as changes from control.
        path: The file, for errors.

    Returns:
        One phrase per suspicion, with the flag or the line that mends it.

    Raises:
        DataError: If they are read as expression and too large to be on the log1p scale.
    """
    given = values[np.isfinite(values)]
    if not given.size:
        return ()
    if not is_delta and given.max() > MAX_LOG_VALUE:
        raise DataError(
            f"{path} has values up to {given.max():g}, so these are counts, not mean log1p "
            "expression; write numpy.log1p of counts on the scale of the data set (or pass --delta "
            "if they are changes)"
        )
    return (
        *_constants(values),
        *(_nearest_reading(values, control, is_delta=is_delta) or _negative(given, is_delta)),
    )


def is_one_for_all(values: DoubleArray, truth: DoubleArray, groups: Sequence[str]) -> bool:
    """Tell whether predictions hardly depend on the perturbation, whatever they are.

    A model that knows as little as a hundredth of what tells perturbations apart gains 2 % of the
    squared error by it: less than any claim needs.

    Args:
        values: Submitted values, (n, m); NaN where not given.
        truth: True means, (n, m).
        groups: What may differ in general, such as the cell type of each row, (n,).
    """
    own, real = _spread(values, groups), _spread(truth, groups)
    return own is not None and real is not None and own < LEAST_SPREAD * real


def _spread(values: DoubleArray, groups: Sequence[str]) -> float | None:
    """Return the mean squared distance from the mean of each group; None without two of a kind."""
    squares = []
    for group in set(groups):
        rows = values[[place for place, of in enumerate(groups) if of == group]]
        if len(rows) > 1:
            # A gene that none of them has stays NaN.
            given = np.isfinite(rows).sum(axis=0)
            means = np.where(given > 0, np.nansum(rows, axis=0) / np.maximum(given, 1), np.nan)
            squares.append(((rows - means) ** 2).ravel())
    found = np.concatenate(squares) if squares else np.empty(0)
    found = found[np.isfinite(found)]
    return float(found.mean()) if found.size else None


def _constants(values: DoubleArray) -> tuple[str, ...]:
    n_rows, n_genes = values.shape
    if n_genes > 1 and bool((np.ptp(values, axis=1) == 0).all()):
        shown = "" if np.ptp(values) else f", {values.flat[0]:g},"
        return (
            f"one value{shown} is predicted for all genes: if it means no change, pass --delta "
            "with 0",
        )
    if n_rows > 1 and bool((np.ptp(values, axis=0) == 0).all()):
        return (f"all {n_rows} perturbations have the same prediction, a constant",)
    return ()


def _negative(given: DoubleArray, is_delta: bool) -> tuple[str, ...]:
    """Name expression that cannot be; a linear model may go below 0 by a hair."""
    if is_delta or given.min() > -BY_A_HAIR:
        return ()
    share = float((given < 0).mean())
    return (
        f"values go down to {given.min():.3g} ({share:.0%} are below 0), which no mean log1p "
        "expression does: if these are changes from control, pass --delta; if they were centred or "
        "scaled, undo that",
    )


def _nearest_reading(
    values: DoubleArray, control: DoubleArray, *, is_delta: bool
) -> tuple[str, ...]:
    read_as = CHANGES if is_delta else EXPRESSION
    others: tuple[str, ...] = (EXPRESSION,)
    if not is_delta:
        # No expression is below 0, whatever its scale, and no count: only changes are.
        is_negative = float(np.nanmin(values)) < -BY_A_HAIR
        others = (CHANGES,) if is_negative else tuple(of for of in _READINGS if of != EXPRESSION)
    squares = {
        name: (_READINGS[name](values, control) - control) ** 2 for name in (read_as, *others)
    }
    distance = {name: float(np.nanmean(of)) for name, of in squares.items()}
    nearest = min(others, key=lambda name: distance[name])
    if distance[nearest] * MUCH_NEARER < distance[read_as]:
        return (
            f"the scale of the values is that of {nearest}, not of {read_as} (mean squared "
            f"distance from the control cells {distance[nearest]:.3g} against "
            f"{distance[read_as]:.3g}): {_MENDS[nearest]}",
        )
    # Some rows alone may be on another scale than the rest.
    by_row = {name: np.nansum(of, axis=1) for name, of in squares.items()}
    n_rows = {name: int((by_row[name] * MUCH_NEARER < by_row[read_as]).sum()) for name in others}
    worst = max(others, key=lambda name: n_rows[name])
    if not n_rows[worst]:
        return ()
    return (
        f"the scale of {n_rows[worst]} of {len(values)} predictions is that of {worst}, not of "
        f"{read_as}: {_MENDS[worst]} for all of them or none",
    )
