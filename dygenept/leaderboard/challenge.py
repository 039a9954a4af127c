"""The score of the Virtual Cell Challenge 2025: three metrics, scaled by the mean baseline.

Source: cell-eval 0.8.2 (Arc Institute), ``score_agg_metrics`` on its profile ``vcc``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dygenept.leaderboard.judgements import TRIVIAL
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.machine.plain_text import brief

# The metric's best value decides its scale: 1, or 0 where less is better.
BEST: Mapping[str, float] = {"des": 1.0, "perturbation_discrimination": 1.0, "mae": 0.0}
BASELINE = TRIVIAL[0]


def from_baseline(value: float | None, base: float | None, best: float) -> float:
    """Scale a mean score: 0 is the baseline's or worse, 1 is perfect.

    A score that is missing, or a baseline that is perfect, counts as 0.
    """
    if value is None or base is None or base == best:
        return 0.0
    return max(0.0, (value - base) / (best - base))


def challenge_scores(rows: Sequence[LeaderboardRow]) -> dict[str, float]:
    """Return the mean of the three scaled metrics by model, the best first.

    Args:
        rows: Rows over all held-out perturbations.

    Returns:
        Empty where a metric is not on the board, or ``perturbed_mean`` is not.
    """
    pooled: dict[str, dict[str, float | None]] = {name: {} for name in BEST}
    for row in rows:
        if row.metric in pooled:
            pooled[row.metric][row.model] = row.total.pooled
    if any(BASELINE not in of for of in pooled.values()):
        return {}
    models = set.intersection(*(set(of) for of in pooled.values()))
    scores = {
        model: sum(
            from_baseline(of[model], of[BASELINE], BEST[name]) for name, of in pooled.items()
        )
        / len(BEST)
        for model in models
    }
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def challenge_note(rows: Sequence[LeaderboardRow]) -> str:
    """Name the score of each model in one sentence; empty where there is none."""
    scores = challenge_scores(rows)
    if not scores:
        return ""
    shown = ", ".join(f"{model} {brief(score)}" for model, score in scores.items())
    return f"Virtual Cell Challenge score ({', '.join(BEST)}, scaled by {BASELINE}): {shown}"
