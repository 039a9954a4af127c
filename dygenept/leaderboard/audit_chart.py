"""The dynamic ranges of metrics as an SVG chart that needs no library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from dygenept.leaderboard.metric_audit import AuditRow
from dygenept.machine.plain_text import printable
from dygenept.results.records import DatasetRecord

LEFT, RIGHT, TOP, STEP = 240, 620, 60, 22
COLOURS = {True: "#1b6ca8", False: "#b0b0b0", None: "#b0b0b0"}


def audit_svg(dataset: DatasetRecord, rows: Sequence[AuditRow]) -> str:
    """Draw each metric's range with its interval, the largest first; grey where not calibrated.

    Args:
        dataset: The data set.
        rows: Its metrics; those without a range are listed without a point.
    """
    ordered = sorted(rows, key=lambda row: -(row.dynamic_range or -2.0))
    bottom = TOP + STEP * len(ordered)
    label = "SIMULATED DATA · " if dataset.simulated else ""
    parts = [
        _text(12, 22, f"{label}{printable(dataset.name)}: dynamic range of each metric", size=15),
        _text(12, 40, "0: the ceiling is no better than the mean or the controls; 1: perfect"),
    ]
    for value in (-1.0, -0.5, 0.0, 0.5, 1.0):
        colour = "#444444" if value == 0 else "#dddddd"
        parts.append(_line(_x(value), TOP - 8, _x(value), bottom - 8, colour))
        parts.append(_text(_x(value), bottom + 10, f"{value:g}", anchor="middle"))
    for place, row in enumerate(ordered):
        y, colour = TOP + STEP * place + 4, COLOURS[row.calibrated]
        name = f"{printable(row.metric)} {'↑' if row.higher_is_better else '↓'}"
        parts.append(_text(LEFT - 10, y + 4, name, anchor="end", colour=colour))
        low, high = row.dynamic_range_low, row.dynamic_range_high
        if low is not None and high is not None:
            parts.append(_line(_x(low), y, _x(high), y, colour))
        if row.dynamic_range is not None:
            parts.append(
                f'<circle cx="{_x(row.dynamic_range):.1f}" cy="{y}" r="4" fill="{colour}"/>'
            )
    body = "\n".join(parts)
    width, height = RIGHT + 30, bottom + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="{width}" height="{height}" '
        f'fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _x(value: float) -> float:
    return LEFT + (RIGHT - LEFT) * (min(max(value, -1.0), 1.0) + 1.0) / 2.0


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        'stroke-width="1.5"/>'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222222", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
        f'font-size="{size}">{escape(text)}</text>'
    )
