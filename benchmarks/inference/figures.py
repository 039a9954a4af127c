"""Line charts of the study's shares, in the style of the project's plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dygenept.reports.plots.style import COLOURS, GREY, MARKERS, PAGE, drawn, figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        """Return the chart as a document; the same chart gives the same document."""
        return drawn(line_chart(self), ".svg").decode()


@styled
def line_chart(chart: Chart) -> Figure:
    """Draw a chart; what lies beyond the y axis is drawn hollow at its edge."""
    made, axes = figure(2.6, width=PAGE * 0.75)
    for value in chart.limits:
        axes.axhline(value, color=GREY, lw=0.7, ls="--")
    for number, (name, values) in enumerate(chart.lines.items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        shown = [min(max(value, chart.low), chart.high) for value in values]
        axes.plot(shown, color=colour, lw=1.0, label=name)
        for place, (value, at) in enumerate(zip(values, shown, strict=True)):
            face = colour if value == at else "white"
            axes.plot([place], [at], marker, color=colour, mfc=face, ms=3.6, clip_on=False)
    axes.set_xticks(range(len(chart.places)), chart.places)
    margin = 0.02 * (chart.high - chart.low)
    axes.set_ylim(chart.low - margin, chart.high + margin)
    axes.set_xlabel(chart.axis)
    axes.set_ylabel("share")
    axes.set_title(chart.title)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return made
