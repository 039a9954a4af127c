"""How much of the way from a trivial prediction to the ceiling a simple model already goes.

Of each held-out perturbation: (best simple model - reference) / (ceiling - reference), in [0, 1].
At least 0.8 is *solved*, at most 0.2 *resistant*, the rest *contested*; where the ceiling is no
better than the reference there is nothing to win, only *noise*.
Source: OpenReview U5Gq071xcI, on baselines that saturate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dygenept.errors import ResultsError
from dygenept.evaluation.aggregates import aggregate
from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.mean_intervals import mean_intervals
from dygenept.leaderboard.calibration import CEILINGS
from dygenept.leaderboard.columns import JsonDocument
from dygenept.leaderboard.judgements import best_trivial
from dygenept.leaderboard.metric_table import MetricTable, Unit, metric_tables
from dygenept.machine.threads import one_blas_thread
from dygenept.results.records import RunRecord

# Registered names, with or without knowledge of their own (`ridge_go`).
SIMPLE = ("matching_mean", "additive", "linear", "linear_loo", "ridge", "knn", "gp")
SOLVED, RESISTANT = 0.8, 0.2
REGIMES = ("solved", "contested", "resistant", "noise")


@dataclass(frozen=True, slots=True)
class Saturation:
    """One held-out perturbation.

    Attributes:
        fold: Fold, from 0.
        perturbation: Its label.
        cell_type: Its cell type.
        model: The simple model that is best on it.
        share: How much of the range that covers, in [0, 1]; None where there is no range.
        regime: One of ``REGIMES``.
    """

    fold: int
    perturbation: str
    cell_type: str
    model: str
    share: float | None
    regime: str

    def document(self) -> JsonDocument:
        """Return it for JSON, the fold counted from 1."""
        return {**asdict(self), "fold": self.fold + 1}


@one_blas_thread()
def saturation(records: Sequence[RunRecord], metric: str) -> tuple[Saturation, ...]:
    """Return the saturation of every held-out perturbation under one metric.

    Perturbations on which a trivial prediction, a ceiling or every simple model has no value are
    left out.

    Raises:
        ResultsError: If the board lacks a simple model, a trivial prediction or a ceiling.
    """
    simple = {
        record.model
        for record in records
        if record.role == "baseline" and record.base_model.removesuffix("_go") in SIMPLE
    }
    (table,) = [of for of in metric_tables(records) if of.metric == metric]
    sign = 1 if table.higher_is_better else -1
    pooled = {
        model: aggregate(table.folds(model), neutral=table.neutral, interval=(None, None)).pooled
        for model in table.values
    }
    reference = best_trivial(sign, pooled)
    ceiling = next((name for name in CEILINGS if pooled.get(name) is not None), None)
    named = [model for model in table.values if model in simple]
    if reference is None or ceiling is None or not named:
        raise ResultsError(
            f"no saturation of {metric}: it needs perturbed_mean or control_mean, "
            f"{' or '.join(CEILINGS)}, and a simple model ({', '.join(SIMPLE)}); run "
            "`dygenept bench` with these as --model"
        )
    found = []
    for unit in sorted(table.values[reference]):
        start, top = (_value(table, model, unit, sign) for model in (reference, ceiling))
        of = {model: _value(table, model, unit, sign) for model in named}
        known = {model: value for model, value in of.items() if value is not None}
        if start is None or top is None or not known:
            continue
        best = max(known, key=lambda model: known[model])
        share = None if top <= start else min(max((known[best] - start) / (top - start), 0.0), 1.0)
        found.append(Saturation(*unit, model=best, share=share, regime=_regime(share)))
    return tuple(found)


def saturation_note(of: Sequence[Saturation], metric: str) -> str:
    """Say how much simple models cover on average, and of how many perturbations that is said."""
    counts = {regime: sum(item.regime == regime for item in of) for regime in REGIMES}
    sizes = ", ".join(f"{count} {regime}" for regime, count in counts.items())
    kept = [item for item in of if item.share is not None]
    if not kept:
        return f"regimes by {metric}: {sizes}"
    shares = np.asarray([[item.share] for item in kept], dtype=np.float64)
    clusters = Clusters.of([item.perturbation for item in kept], [item.cell_type for item in kept])
    made = mean_intervals(shares, clusters)
    low, high = max(made.low[0], 0.0), min(made.high[0], 1.0)
    ends = "" if made.reason else f" [{low:.2f}, {high:.2f}]"
    return (
        f"regimes by {metric}: {sizes}; the best simple model of each perturbation covers "
        f"{made.means[0]:.2f}{ends} of its range on average; regimes are cut by scores of this "
        "board, so no claim is made within them"
    )


def regimes(of: Sequence[Saturation]) -> Mapping[Unit, str]:
    """Return the regime of each held-out perturbation."""
    return {Unit(item.fold, item.perturbation, item.cell_type): item.regime for item in of}


def _value(table: MetricTable, model: str, unit: Unit, sign: int) -> float | None:
    value = table.values[model].get(unit, None)
    if value is None and unit in table.values[model]:
        value = table.neutral
    return None if value is None else sign * value


def _regime(share: float | None) -> str:
    if share is None:
        return "noise"
    return "solved" if share >= SOLVED else "resistant" if share <= RESISTANT else "contested"
