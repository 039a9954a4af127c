"""What one metric says of each model: which are best, and what cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dygenept.evaluation.comparison import ALPHA, PairedDifference, holm
from dygenept.leaderboard.metric_table import MetricTable

REFERENCE = "perturbed_mean"
CEILING = "technical_duplicate"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one metric says of one model.

    Attributes:
        is_best: True for the best competitor.
        indistinguishable_from_best: True for a competitor that a paired bootstrap over the same
            perturbations cannot tell from the best one (Holm-corrected p of 0.05 or more), and for
            the best one itself. Ceilings and floors compete with no one.
        beats_perturbed_mean: True if a competitor is better than perturbed_mean and a paired
            bootstrap tells them apart (Holm-corrected p below 0.05); None for perturbed_mean
            itself, for ceilings and floors, and where perturbed_mean has no result.
        normalised: 0 for perturbed_mean, 1 for technical_duplicate; None where one is missing.
    """

    is_best: bool
    indistinguishable_from_best: bool
    beats_perturbed_mean: bool | None
    normalised: float | None


def judge_models(
    table: MetricTable, pooled: Mapping[str, float | None], ranks: Mapping[str, int]
) -> dict[str, Judgement]:
    """Judge every model of a metric.

    Args:
        table: The values.
        pooled: Each model's mean over all held-out perturbations.
        ranks: Each model's rank, 1 best.
    """
    competitors = table.competitors
    best_rank = min((ranks[model] for model in competitors), default=0)
    best = sorted(model for model in competitors if ranks[model] == best_rank)
    near = set(best)
    if best:
        others = [model for model in competitors if model not in near]
        to_best = differences_from(table, best[0], others)
        near |= {model for model, (_, p_value) in to_best.items() if p_value >= ALPHA}
    beats: dict[str, bool] = {}
    if REFERENCE in table.values:
        rivals = [model for model in competitors if model != REFERENCE]
        beats = {
            model: table.is_better(difference) and p_value < ALPHA
            for model, (difference, p_value) in differences_from(table, REFERENCE, rivals).items()
        }
    return {
        model: Judgement(
            is_best=model in best,
            indistinguishable_from_best=model in near,
            beats_perturbed_mean=beats.get(model),
            normalised=_normalised(value, pooled.get(REFERENCE), pooled.get(CEILING)),
        )
        for model, value in pooled.items()
    }


def differences_from(
    table: MetricTable, reference: str, models: list[str]
) -> dict[str, tuple[PairedDifference, float]]:
    """Compare models with one reference, corrected over the models.

    Returns:
        By model: its difference (model minus reference) and the Holm-corrected p value; a model
        that shares no perturbation with the reference is left out.
    """
    found = {
        model: difference
        for model in models
        if (difference := table.compare(model, reference, n_models=len(models))) is not None
    }
    corrected = holm([difference.p_value for difference in found.values()])
    return {
        model: (difference, p_value)
        for (model, difference), p_value in zip(found.items(), corrected, strict=True)
    }


def _normalised(value: float | None, low: float | None, high: float | None) -> float | None:
    if value is None or low is None or high is None or high == low:
        return None
    return (value - low) / (high - low)
