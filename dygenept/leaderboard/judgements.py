"""What one metric says of each model: which are best, and what is shown of them.

A claim is made only where the data carry it: ``docs/inference.md`` says how often it is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.evaluation.aggregates import RANK_DIGITS
from dygenept.evaluation.comparison import ALPHA, PairedDifference, holm
from dygenept.leaderboard.metric_table import MetricTable
from dygenept.leaderboard.score_grid import ScoreGrid, Share

# What needs no model. The better one under a metric is its reference.
TRIVIAL = ("perturbed_mean", "control_mean", "gene_mean")
CEILING = "technical_duplicate"
TRUTH = "truth"
# The least share of the gap between reference and ceiling that counts as an advance.
MIN_GAP = 0.05
# With fewer perturbations no sign-flip test can show anything, and a tie for the best says nothing.
MIN_TO_CLAIM = 6
NO_CEILING = f"no {CEILING} here"
INVERTED = f"{CEILING} is no better than {TRIVIAL[0]}: noise exceeds signal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one metric says of one model.

    Attributes:
        is_best: True for the best competitor that is not trivial, unless it is not shown to beat
            the reference; False for several that tie on fewer than six perturbations.
        indistinguishable_from_best: True for a competitor in the confidence set of the best: no
            other one is shown to be better. Ceilings and floors compete with no one.
        beats_reference: True if a competitor is shown to be better than each of ``TRIVIAL`` (p,
            corrected over the models that the run declared, below 0.05) and closes at least
            ``min_gap`` of the gap between reference and ceiling, and does not merely repeat one of
            ``TRIVIAL``; None for these themselves, for ceilings and floors, and where there is no
            reference.
        reference: The better one of ``TRIVIAL``; None where neither has a result.
        p_value: Two-sided, of the difference from the reference; the larger one where both of
            ``TRIVIAL`` are there. None as for ``beats_reference``.
        p_corrected: Holm-corrected.
        gap_closed: 0 at the reference, 1 at technical_duplicate; None where the latter is not
            better beyond noise.
        gap_low: Lower end of its 95 % interval.
        gap_high: Upper end.
        gap_reason: Why there is no gap.
        min_gap: The share that was asked for.
        echo_of: The one of ``TRIVIAL`` that its errors repeat; see ``echoes``.
        normalised: 0 for perturbed_mean, 1 for technical_duplicate; None where one is missing, or
            the latter is no better.
        normalised_reason: Why it is None although both are there.
    """

    is_best: bool
    indistinguishable_from_best: bool
    beats_reference: bool | None = None
    reference: str | None = None
    p_value: float | None = None
    p_corrected: float | None = None
    gap_closed: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None
    gap_reason: str | None = None
    min_gap: float = MIN_GAP
    echo_of: str | None = None
    normalised: float | None = None
    normalised_reason: str | None = None


def judge_models(
    table: MetricTable,
    grid: ScoreGrid,
    pooled: Mapping[str, float | None],
    *,
    echo_of: Mapping[str, str] | None = None,
    min_gap: float = MIN_GAP,
) -> dict[str, Judgement]:
    """Judge every model of a metric.

    Args:
        table: The metric.
        grid: Its values.
        pooled: Each model's mean over all held-out perturbations.
        echo_of: The trivial prediction that a model repeats, for those that do.
        min_gap: The least share of the gap that a claim needs.
    """
    echo_of = echo_of or {}
    reference = _reference(grid.sign, pooled)
    shares, gap_reason = _shares(grid, reference)
    rivals = [model for model in table.competitors if model not in TRIVIAL]
    p_values, ahead = _against_trivial(table, grid, rivals)
    ahead -= echo_of.keys()
    corrected = _corrected(table, p_values)
    beats: dict[str, bool] = {}
    if reference is not None:
        closed = {model: of.share for model, of in shares.items()}
        if not closed:
            closed = _of_perfection(grid, pooled, reference)
        beats = {
            model: model in ahead and p_value < ALPHA and closed.get(model, 1.0) >= min_gap
            for model, p_value in corrected.items()
        }
    may_lead = rivals if reference is None else [name for name in rivals if name in beats]
    best = {name for name in _best(grid, may_lead, pooled) if beats.get(name, True)}
    in_set = {model for model, p in grid.best_p(table.competitors).items() if p >= ALPHA}
    # What repeats a trivial prediction is as near to the best as that is.
    in_set -= {model for model, trivial in echo_of.items() if trivial not in in_set}
    low, high = pooled.get(TRIVIAL[0]), pooled.get(CEILING)
    is_inverted = low is not None and high is not None and grid.sign * (high - low) <= 0
    return {
        model: Judgement(
            is_best=model in best,
            indistinguishable_from_best=model in best or (model in in_set and value is not None),
            beats_reference=beats.get(model),
            reference=reference,
            p_value=p_values.get(model),
            p_corrected=corrected.get(model),
            gap_closed=shares[model].share if model in shares else None,
            gap_low=shares[model].low if model in shares else None,
            gap_high=shares[model].high if model in shares else None,
            gap_reason=gap_reason,
            min_gap=min_gap,
            echo_of=echo_of.get(model),
            normalised=None if is_inverted else _normalised(value, low, high),
            normalised_reason=INVERTED if is_inverted else None,
        )
        for model, value in pooled.items()
    }


def corrected_differences(
    grid: ScoreGrid, reference: str, models: Sequence[str]
) -> dict[str, tuple[PairedDifference, float]]:
    """Compare models with one of them, corrected over the models.

    Returns:
        By model: its difference (model minus reference) and the Holm-corrected p value; a model
        that shares no perturbation with the reference is left out.
    """
    found = grid.compare(models, reference)
    corrected = holm([difference.p_value for difference in found.values()])
    return {
        model: (difference, p_value)
        for (model, difference), p_value in zip(found.items(), corrected, strict=True)
    }


def _reference(sign: int, pooled: Mapping[str, float | None]) -> str | None:
    known = {name: value for name in TRIVIAL if (value := pooled.get(name)) is not None}
    return max(known, key=lambda name: sign * known[name], default=None)


def _against_trivial(
    table: MetricTable, grid: ScoreGrid, rivals: Sequence[str]
) -> tuple[dict[str, float], set[str]]:
    """Compare models with the trivial predictions.

    Returns:
        By model, the larger p value; and the models that are better than all trivial predictions.
    """
    p_values: dict[str, float] = {}
    behind: set[str] = set()
    # The draws are those of the family: entries of others must not change a p value.
    by_size: dict[int, list[str]] = {}
    for model in rivals:
        by_size.setdefault(len(_family(table, model, rivals)), []).append(model)
    for reference in TRIVIAL:
        for size, models in by_size.items() if reference in table.values else ():
            for model, found in grid.compare(models, reference, n_models=size).items():
                p_values[model] = max(p_values.get(model, 0.0), found.p_value)
                behind |= set() if table.is_better(found) else {model}
    return p_values, p_values.keys() - behind


def _family(table: MetricTable, model: str, rivals: Iterable[str]) -> list[str]:
    """Return the rivals over which a model's claims are corrected, itself among them."""
    declared = table.families.get(model)
    if declared is None:
        # Results of versions that declared no family are one.
        return [name for name in rivals if name not in table.families]
    return [name for name in rivals if name in declared]


def _corrected(table: MetricTable, p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct each model's p value over its family, as far as that has results."""
    corrected = {}
    for model in p_values:
        of = _family(table, model, p_values)
        found = dict(zip(of, holm([p_values[name] for name in of]), strict=True))
        corrected[model] = found[model]
    return corrected


def _shares(grid: ScoreGrid, reference: str | None) -> tuple[Mapping[str, Share], str | None]:
    if reference is None:
        return {}, None
    if CEILING not in grid.models:
        return {}, NO_CEILING
    return grid.gap(reference, CEILING)


def _of_perfection(
    grid: ScoreGrid, pooled: Mapping[str, float | None], reference: str
) -> dict[str, float]:
    """Return shares of the way to a perfect score, for want of a ceiling; none where unknown."""
    perfect, start = pooled.get(TRUTH), pooled[reference]
    if perfect is None:
        perfect = grid.upper if grid.sign > 0 else grid.lower
    if not np.isfinite(perfect):
        perfect = 1.0 if grid.sign > 0 else 0.0
    if start is None or grid.sign * (perfect - start) <= 0:
        return {}
    known = {model: value for model, value in pooled.items() if value is not None}
    return {model: (value - start) / (perfect - start) for model, value in known.items()}


def _best(grid: ScoreGrid, rivals: Sequence[str], pooled: Mapping[str, float | None]) -> set[str]:
    """Return the best of some models: several where they tie on enough perturbations."""
    digits = {
        name: grid.sign * float(f"{value:.{RANK_DIGITS}g}")
        for name in rivals
        if (value := pooled[name]) is not None
    }
    # A model without some of the folds has had another, perhaps easier, task.
    whole = grid.with_every_row(tuple(digits))
    known = {name: digits[name] for name in whole or digits}
    best = {name for name, value in known.items() if value == max(known.values())}
    if len(best) > 1 and len(set(grid.perturbations)) < MIN_TO_CLAIM:
        return set()
    return best


def _normalised(value: float | None, low: float | None, high: float | None) -> float | None:
    if value is None or low is None or high is None:
        return None
    return (value - low) / (high - low)
