"""Recorded or published figures beside those computed today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dygenept_cli import console
from dygenept_cli.views.listing import listing, show_table

if TYPE_CHECKING:
    from dygenept.runs.reproduce import Reproduction
    from dygenept.runs.rerun import Rerun


def show_rerun(found: Rerun) -> None:
    """Print each metric as recorded and as computed again, and what has changed since."""
    recorded = found.recorded
    columns = ("metric", "recorded", "again", "largest difference", "verdict")
    title = f"{recorded.model} on fold {recorded.fold + 1} of {recorded.dataset.name}"
    table = listing(title, columns, right=columns[1:])
    for item in found.metrics:
        table.add_row(
            item.metric,
            _figure(item.recorded, ".6f"),
            _figure(item.again, ".6f"),
            _figure(item.largest, ".1e"),
            "agrees" if item.agrees else "differs",
        )
    show_table(table)
    for text in found.changed:
        console.note(f"note: {text}")


def show_reproduction(found: Reproduction) -> None:
    """Print each published figure beside ours."""
    from dygenept.leaderboard.published import figure

    columns = ("data set", "metric", "published", "ours", "difference", "allowed", "verdict")
    table = listing(f"{found.study}: published figures and ours", columns, right=columns[2:])
    for item in found.comparisons:
        table.add_row(
            item.quoted.dataset,
            item.quoted.metric,
            figure(item.quoted),
            _figure(item.ours, ".4f"),
            _figure(item.difference, "+.4f"),
            f"{item.allowed:.4f}",
            "matches" if item.matches else "does not match",
        )
    show_table(table)
    console.note("allowed: the published error plus half of its last digit; ours: mean over folds")


def _figure(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
