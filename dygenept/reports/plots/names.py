"""Names beside points: inside the axes, and never one upon another."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dygenept.reports.plots.style import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]
# Of a letter of DejaVu Sans, as a share of the size of the font.
LETTER, LINE = 0.62, 1.25
# Points between a point and its name, and how much farther away each further try is.
GAP, STEP, N_TRIES = 3.5, 6.0, 6


def name_points(
    axes: Axes, points: Sequence[tuple[float, float, str]], *, fontsize: float
) -> tuple[str, ...]:
    """Write the names of points, each as near to its point as there is room.

    Args:
        axes: Axes whose limits and other contents are settled.
        points: Place and name of each, the most important first.
        fontsize: In points.

    Returns:
        The names for which there was no room.
    """
    made = axes.get_figure(root=True)
    assert made is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        made.draw_without_rendering()
    scale = made.dpi / 72.0
    frame = axes.get_window_extent()
    inside = (frame.x0, frame.y0, frame.x1, frame.y1)
    places = [tuple(axes.transData.transform((x, y))) for x, y, _ in points]
    taken: list[Box] = [
        (across - 2 * scale, up - 2 * scale, across + 2 * scale, up + 2 * scale)
        for across, up in places
    ]
    left_out = []
    for (x, y, name), (across, up) in zip(points, places, strict=True):
        size = (LETTER * fontsize * len(name) * scale, LINE * fontsize * scale)
        found = next(
            (
                (away, box)
                for away, box in _tries((across, up), size, scale)
                if _lies_in(box, inside) and not any(_meet(box, other) for other in taken)
            ),
            None,
        )
        if found is None:
            left_out.append(name)
            continue
        away, box = found
        taken.append(box)
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        axes.annotate(
            name,
            (x, y),
            xytext=((middle[0] - across) / scale, (middle[1] - up) / scale),
            textcoords="offset points",
            fontsize=fontsize,
            ha="center",
            va="center",
            arrowprops={"arrowstyle": "-", "lw": 0.3, "color": GREY} if away else None,
        ).set_in_layout(False)
    return tuple(left_out)


def _tries(
    point: tuple[float, float], size: tuple[float, float], scale: float
) -> Iterator[tuple[int, Box]]:
    """Yield boxes around a point, the nearest first: to the right, to the left, above, below."""
    (across, up), (width, height) = point, size
    for away in range(N_TRIES):
        gap = (GAP + STEP * away) * scale
        for to_x, to_y in ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1)):
            middle = (
                across + to_x * (gap + width / 2),
                up + to_y * (gap + height / 2),
            )
            yield (
                away,
                (
                    middle[0] - width / 2,
                    middle[1] - height / 2,
                    middle[0] + width / 2,
                    middle[1] + height / 2,
                ),
            )


def _lies_in(box: Box, frame: Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
