"""What a board found, in one or two sentences: what a reader should see first."""

from __future__ import annotations

from collections.abc import Sequence

from dygenept.leaderboard.boards import Board
from dygenept.leaderboard.calibration import CEILINGS
from dygenept.leaderboard.columns import leading_first, number
from dygenept.leaderboard.judgements import TRIVIAL
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.machine.plain_text import printable

APART = ("ceiling", "floor")
# More names than this are counted, not listed.
MOST_NAMED = 4


def finding(board: Board[LeaderboardRow]) -> str:
    """Say which model is best under the first metric, and what stands beside that claim.

    Returns:
        Plain text; empty where no model has a value.
    """
    metric = leading_first(board.overall.rows, fixed=board.fixed_lead)[0]
    rows = [
        row
        for row in board.overall.rows
        if row.metric == metric and row.total.pooled is not None and row.role not in APART
    ]
    models = [row for row in rows if row.model not in TRIVIAL]
    if not models:
        return ""
    best = next((row for row in models if row.is_best), None)
    if best is None:
        said = f"By {printable(metric)}, no model is shown to be the best."
    else:
        near = [row for row in rows if row.judgement.indistinguishable_from_best and row != best]
        said = f"Best by {printable(metric)}: {printable(best.model)}, {_value(best)}"
        said += f"; {_names(near)} cannot be told from it." if near else "."
    if models[0].calibrated is False:
        said += " This metric is not calibrated on this data set."
    is_judged = any(row.judgement.beats_reference is not None for row in models)
    if is_judged and not any(row.judgement.beats_reference for row in models):
        said += " No model is shown to beat trivial predictions."
    return f"{said} {_ends(board, metric)}".strip()


def _ends(board: Board[LeaderboardRow], metric: str) -> str:
    """Name where the scale begins and ends: the trivial reference, and the ceiling."""
    of = {row.model: row for row in board.overall.rows if row.metric == metric}
    reference = next(iter(of.values())).judgement.reference
    ceiling = next((name for name in CEILINGS if name in of), None)
    ends = (("trivial reference", reference), ("ceiling", ceiling))
    parts = [
        f"{what} {printable(name)} {number(of[name].total.pooled)}"
        for what, name in ends
        if name in of and of[name].total.pooled is not None
    ]
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _value(row: LeaderboardRow) -> str:
    low, high = row.total.ci_low, row.total.ci_high
    ends = "" if low is None or high is None else f" [{number(low)}, {number(high)}]"
    return number(row.total.pooled) + ends


def _names(rows: Sequence[LeaderboardRow]) -> str:
    names = [printable(row.model) for row in rows]
    if len(names) > MOST_NAMED:
        return f"{len(names)} others"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
