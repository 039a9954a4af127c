"""Line charts of the study's shares, as SVG that needs no library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, KEY = 640, 310, 50, 30, 50, 200
COLOURS = ("#1b6ca8", "#c8553d", "#2e8b57", "#8a5a9e", "#b8860b", "#555555")


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart with evenly spaced places on the x axis.

    Attributes:
        title: What is shown.
        places: Labels of the x axis.
        axis: What these are.
        low: Lower end of the y axis.
        high: Upper end.
        lines: Values by name, one per place.
        limits: Values at which a dashed line is drawn.
    """

    title: str
    places: Sequence[str]
    low: float
    high: float
    lines: Mapping[str, Sequence[float]]
    limits: Sequence[float] = ()
    axis: str = "held-out perturbations"

    def svg(self) -> str:
        """Return the chart as a document."""
        right = WIDTH - KEY
        parts = [_text(LEFT, 18, self.title, size=14)]
        for step in range(5):
            value = self.low + (self.high - self.low) * step / 4
            y = self._y(value)
            parts.append(_line(LEFT, y, right, y, "#dddddd"))
            parts.append(_text(LEFT - 6, y + 4, f"{value:.2f}", anchor="end"))
        for value in self.limits:
            y = self._y(value)
            parts.append(_line(LEFT, y, right, y, "#888888", dash="4 3"))
        for place, label in enumerate(self.places):
            parts.append(_text(self._x(place), HEIGHT - BOTTOM + 18, label, anchor="middle"))
        middle = self._x((len(self.places) - 1) / 2)
        parts.append(_text(middle, HEIGHT - 6, self.axis, anchor="middle"))
        for number, (name, values) in enumerate(self.lines.items()):
            colour = COLOURS[number % len(COLOURS)]
            points = [(self._x(place), self._y(value)) for place, value in enumerate(values)]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
            # A hollow point lies beyond the axis.
            fills = [colour if self.low <= value <= self.high else "#ffffff" for value in values]
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{fill}" stroke="{colour}"/>'
                for (x, y), fill in zip(points, fills, strict=True)
            ]
            parts.append(_text(right + 12, TOP + 16 * number + 10, name, colour=colour))
        body = "\n".join(parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'font-family="sans-serif" font-size="12">\n<rect width="{WIDTH}" height="{HEIGHT}" '
            f'fill="#ffffff"/>\n{body}\n</svg>\n'
        )

    def _x(self, place: float) -> float:
        return LEFT + 20 + (WIDTH - KEY - LEFT - 40) * place / max(1, len(self.places) - 1)

    def _y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dash: str = "none") -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'stroke-dasharray="{dash}"/>'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222222", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" '
        f'font-size="{size}">{escape(text)}</text>'
    )
