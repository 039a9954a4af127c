"""The page of a prepared screen: one HTML file that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from dygenept.data.batches import MIN_CONTROLS
from dygenept.data.prepare.documents import Manifest, Screen, ScreenBatch, ScreenCondition
from dygenept.leaderboard.boards import SIMULATED
from dygenept.leaderboard.columns import number
from dygenept.reports.page import render_template
from dygenept.types import in_cell_type

N_BARS = 24
N_LISTED = 12
ALPHA = 0.05
# Of a histogram's drawing.
LEFT, WIDTH, TOP, HEIGHT = 40.0, 480.0, 8.0, 100.0
Counted = Literal["n_cells", "energy_distance", "split_half_r"]
Listed = Literal["perturbation", "cell_type", "n_cells", "change", "energy_distance", "q"]
_ABOUT: Mapping[Counted, tuple[str, str]] = {
    "n_cells": (
        "Cells per perturbation",
        "More cells make a perturbation's mean sharper; they do not add perturbations.",
    ),
    "energy_distance": (
        "Strength: energy distance to control",
        "Between the cells of a perturbation and control cells, in 50 principal components of "
        "other control cells. Chance alone makes it larger than 0, the more so with fewer cells; "
        "the test says what is more than chance.",
    ),
    "split_half_r": (
        "Reliability: correlation of two halves' changes",
        "Of two changes that share no cell, neither perturbed nor control; near 0 where a change "
        "is noise. No model can be expected to predict what does not repeat itself.",
    ),
}
_LISTED: tuple[Listed, ...] = (
    "perturbation",
    "cell_type",
    "n_cells",
    "change",
    "energy_distance",
    "q",
)
_HEADS = {"n_cells": "cells", "change": "size of change", "q": "q (false discovery rate)"}


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram as an SVG of ``LEFT + WIDTH`` units.

    Attributes:
        title: What is counted.
        about: What it says.
        summary: Range, median and number of conditions.
        bars: Left end, top, height and title of each bar that is not empty.
        ticks: Place and text of each tick of the value.
        most: The number of conditions in the tallest bar.
    """

    title: str
    about: str
    summary: str
    bars: tuple[tuple[float, float, float, str], ...]
    ticks: tuple[tuple[float, str], ...]
    most: int


def screen_page(manifest: Manifest, screen: Screen, date: str) -> str:
    """Return the page.

    Args:
        manifest: What a preparation did.
        screen: What ``describe_screen`` gives.
        date: Day on which it is made.
    """
    conditions = screen["conditions"]
    return render_template(
        "screen.html",
        {
            "name": screen["name"],
            "simulated": SIMULATED if screen["simulated"] else "",
            "date": date,
            "facts": _facts(manifest, screen, conditions),
            "histograms": [
                found
                for key in _ABOUT
                if (found := _histogram(conditions, key, screen)) is not None
            ],
            "frame": {"left": LEFT, "width": WIDTH, "top": TOP, "height": HEIGHT, "bars": N_BARS},
            "strongest": _strongest(conditions),
            "targets": _targets(manifest),
            "batches": _batches(screen["batches"]),
            "notes": manifest["notes"],
            "source": manifest["source"]["sha256"],
        },
    )


def _facts(
    manifest: Manifest, screen: Screen, conditions: Sequence[ScreenCondition]
) -> list[tuple[str, str]]:
    parts = (("cells", manifest["cells"]), ("genes", manifest["genes"]))
    return [
        *((f"{name} kept", f"{part['kept']:,} of {part['in']:,}") for name, part in parts),
        ("perturbations", f"{len({of['perturbation'] for of in conditions}):,}"),
        *(
            (f"control cells{in_cell_type(kind)}", f"{n:,}")
            for kind, n in screen["controls"].items()
        ),
        *(
            (f"left out: {reason.replace('_', ' ')}", f"{n:,}")
            for reason, n in manifest["left_out"].items()
            if n
        ),
    ]


def _strength(conditions: Sequence[ScreenCondition], screen: Screen) -> str:
    tested = [of["q"] for of in conditions if of["q"] is not None]
    if not tested:
        return ""
    n_shuffles = screen["permutations"]
    return (
        f"{sum(q < ALPHA for q in tested):,} of {len(tested):,} differ from control at a false "
        f"discovery rate of 5 % ({n_shuffles:,} permutations, so that no p is below "
        f"{number(1 / (n_shuffles + 1))})."
    )


def _strongest(conditions: Sequence[ScreenCondition]) -> dict[str, object]:
    found = [of for of in conditions if of["energy_distance"] is not None]
    found.sort(key=lambda of: -(of["energy_distance"] or 0.0))
    return {
        "heads": [_HEADS.get(name, name.replace("_", " ")) for name in _LISTED],
        "rows": [[_shown(of[name]) for name in _LISTED] for of in found[:N_LISTED]],
    }


def _targets(manifest: Manifest) -> list[str]:
    targets = manifest["targets"]
    if targets is None:
        return []
    n, alpha = targets["n_perturbations"], targets["alpha"]
    if not n:
        return ["Not checked: no single perturbation's target is among the genes."]
    moved, significant = (
        round((share or 0.0) * n)
        for share in (targets["share_as_expected"], targets["share_significant"])
    )
    modality = manifest["options"].get("modality")
    said = [
        f"{modality}: of {n:,} single perturbations whose target is among the genes, the target "
        f"goes {targets['expected']} in {moved:,} ({moved / n:.0%}), significantly in "
        f"{significant:,} (one-sided Welch's t-test, p < {alpha}, not corrected)."
    ]
    if modality == "CRISPR knock-out":
        said.append("A knock-out breaks the protein; its mRNA need not fall.")
    return said


def _batches(batches: Sequence[ScreenBatch]) -> dict[str, object]:
    if not batches:
        return {}
    shares = [of["share_of_conditions"] for of in batches]
    few = sum(of["n_controls"] < MIN_CONTROLS for of in batches)
    said = (
        f"{len(batches):,} batches; a batch has a median of {median(shares):.0%} of the "
        f"conditions; {few:,} have fewer than {MIN_CONTROLS} control cells."
    )
    return {
        "said": said,
        "heads": ["batch", "cells", "control cells", "share of conditions"],
        "rows": [
            [f"{value:.0%}" if isinstance(value, float) else _shown(value) for value in of.values()]
            for of in batches[:N_LISTED]
        ],
        "n_more": max(0, len(batches) - N_LISTED),
    }


def _histogram(rows: Sequence[ScreenCondition], key: Counted, screen: Screen) -> Histogram | None:
    values = [float(value) for of in rows if (value := of[key]) is not None]
    if not values:
        return None
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts = [0] * N_BARS
    for value in values:
        counts[min(int((value - low) / (high - low) * N_BARS), N_BARS - 1)] += 1
    step, most = WIDTH / N_BARS, max(counts)
    edges = [low + (high - low) * place / N_BARS for place in range(N_BARS + 1)]
    bars = tuple(
        (
            round(LEFT + step * place, 1),
            round(TOP + HEIGHT * (1 - n / most), 1),
            round(HEIGHT * n / most, 1),
            f"{n:,} between {_shown(edges[place])} and {_shown(edges[place + 1])}",
        )
        for place, n in enumerate(counts)
        if n
    )
    ticks = tuple(
        (round(LEFT + WIDTH * (at - low) / (high - low), 1), f"{at:,.6g}".replace("-", "−"))
        for at in _ticks(low, high)
    )
    title, about = _ABOUT[key]
    undefined = len(rows) - len(values)
    summary = (
        f"{_shown(min(values))} to {_shown(max(values))}, median {_shown(float(median(values)))}, "
        f"{len(values):,} conditions" + (f"; undefined for {undefined:,}" if undefined else "")
    )
    if key == "energy_distance" and (tested := _strength(rows, screen)):
        summary += f". {tested}"
    return Histogram(title, about, summary, bars, ticks, most)


def _ticks(low: float, high: float) -> list[float]:
    """Return round values within a range, three to seven of them."""
    raw = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if value == round(value) and abs(value) >= 1 else number(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
