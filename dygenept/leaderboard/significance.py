"""How models stand to each other under one metric: what can be told apart, and what not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dygenept.evaluation.comparison import ALPHA, PairedDifference, holm
from dygenept.leaderboard.metric_table import MetricTable

REFERENCE = "perturbed_mean"
CEILING = "technical_duplicate"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one model stands under one metric.

    Attributes:
        is_best: True for the best competitor.
        indistinguishable_from_best: True for a competitor that a paired bootstrap over the same
            perturbations cannot tell from the best one (Holm-corrected p of 0.05 or more); for
            the best itself too. Ceilings and floors compete with no one.
        beats_perturbed_mean: True if a competitor is better than perturbed_mean and a paired
            bootstrap tells them apart (Holm-corrected p below 0.05); None for perturbed_mean
            itself, for ceilings and floors, and where perturbed_mean is not there.
        normalised: 0 for perturbed_mean, 1 for technical_duplicate; None where one is missing.
    """

    is_best: bool
    indistinguishable_from_best: bool
    beats_perturbed_mean: bool | None
    normalised: float | None


def standings(
    table: MetricTable, pooled: Mapping[str, float | None], ranks: Mapping[str, int]
) -> dict[str, Standing]:
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
        to_best = against(table, best[0], [model for model in competitors if model not in near])
        near |= {model for model, (_, p_value) in to_best.items() if p_value >= ALPHA}
    beats: dict[str, bool] = {}
    if REFERENCE in table.values:
        rivals = [model for model in competitors if model != REFERENCE]
        beats = {
            model: table.is_better(comparison) and p_value < ALPHA
            for model, (comparison, p_value) in against(table, REFERENCE, rivals).items()
        }
    return {
        model: Standing(
            is_best=model in best,
            indistinguishable_from_best=model in near,
            beats_perturbed_mean=beats.get(model),
            normalised=_normalised(value, pooled.get(REFERENCE), pooled.get(CEILING)),
        )
        for model, value in pooled.items()
    }


def against(
    table: MetricTable, reference: str, models: list[str]
) -> dict[str, tuple[PairedDifference, float]]:
    """Compare models with one reference, corrected over the models.

    Returns:
        By model: the comparison (model minus reference) and its Holm-corrected p value; a model
        that shares no perturbation with the reference is left out.
    """
    found = {
        model: comparison
        for model in models
        if (comparison := table.compare(model, reference, n_models=len(models))) is not None
    }
    corrected = holm([comparison.p_value for comparison in found.values()])
    return {
        model: (comparison, p_value)
        for (model, comparison), p_value in zip(found.items(), corrected, strict=True)
    }


def _normalised(value: float | None, low: float | None, high: float | None) -> float | None:
    if value is None or low is None or high is None or high == low:
        return None
    return (value - low) / (high - low)
