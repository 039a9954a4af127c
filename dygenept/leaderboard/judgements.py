"""What one metric says of each model: which are best, and what is shown of them.

A claim is made only where the data carry it: ``docs/inference.md`` says how often it is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from dygenept.evaluation.aggregates import RANK_DIGITS
from dygenept.evaluation.comparison import ALPHA, PairedDifference, holm
from dygenept.leaderboard.metric_table import MetricTable
from dygenept.leaderboard.score_grid import ScoreGrid, Share

# What needs no model. The better one under a metric is its reference.
TRIVIAL = ("perturbed_mean", "control_mean", "gene_mean")
# What an assembled model must add to: the closed-form recipe by itself.
LINEAR = "linear_loo"
CEILING = "technical_duplicate"
TRUTH = "truth"
# The least share of the gap between reference and ceiling that counts as an advance.
MIN_GAP = 0.05
# No prediction closes this share of the way to no error at all.
ALL_BUT = 0.99
# With fewer perturbations no sign-flip test can show anything, and a tie for the best says nothing.
MIN_TO_CLAIM = 6
NO_CEILING = f"no {CEILING} here"
INVERTED = "{} is no better than " + f"{TRIVIAL[0]}: noise exceeds signal"


@dataclass(frozen=True, slots=True)
class Normalised:
    """A score on the way from perturbed_mean (0) to a ceiling (1).

    Attributes:
        value: None where either has no value, or the ceiling is no better.
        reason: Why there is no scale.
    """

    value: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Lead:
    """By how much a model is better than another, over what both have; below 0 where it is worse.

    Attributes:
        mean: In the metric's units.
        low: Lower end of its 95 % interval; None for fewer than three perturbations.
        high: Upper end.
    """

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one metric says of one model.

    Attributes:
        is_best: True for the best competitor that is not trivial, whether or not the metric is
            calibrated, which ``LeaderboardRow.is_best`` asks for; unless it is not shown to beat
            the reference; False for several that tie on fewer than six perturbations, and where it
            competes with nobody.
        indistinguishable_from_best: True for a competitor in the confidence set of the best: no
            other one is shown to be better. Ceilings and floors compete with no one, and the
            trivial predictions are left out where a model is shown to beat them.
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
        n_family: Models over which ``p_corrected`` is corrected.
        above_ceiling: True of a submission that is better than technical_duplicate beyond noise, or
            whose errors are next to none: it may have seen what is held out. None for others.
        normalised: 0 for perturbed_mean, 1 for technical_duplicate; None where one is missing, or
            the latter is no better.
        normalised_reason: Why it is None although both are there.
        normalised_by: The same by each ceiling that is there, truth aside.
        over_linear: Of an assembled model, its lead over ``LINEAR``; None for others, and where
            that has no result.
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
    n_family: int | None = None
    above_ceiling: bool | None = None
    normalised: float | None = None
    normalised_reason: str | None = None
    normalised_by: Mapping[str, Normalised] = field(default_factory=dict)
    over_linear: Lead | None = None


def judge_models(
    table: MetricTable,
    grid: ScoreGrid,
    pooled: Mapping[str, float | None],
    *,
    echo_of: Mapping[str, str] | None = None,
    min_gap: float = MIN_GAP,
    barred: frozenset[str] = frozenset(),
) -> dict[str, Judgement]:
    """Judge every model of a metric.

    Args:
        table: The metric.
        grid: Its values.
        pooled: Each model's mean over all held-out perturbations.
        echo_of: The trivial prediction that a model repeats, for those that do.
        min_gap: The least share of the gap that a claim needs.
        barred: Submissions that cannot be predictions; they are not judged.
    """
    echo_of = echo_of or {}
    reference = best_trivial(grid.sign, pooled)
    shares, gap_reason = _shares(grid, reference)
    competitors = [model for model in table.competitors if model not in barred]
    rivals = [model for model in competitors if model not in TRIVIAL]
    p_values, ahead = _against_trivial(table, grid, rivals)
    ahead -= echo_of.keys() | table.one_for_all
    corrected = _corrected(table, p_values)
    beats: dict[str, bool] = {}
    if reference is not None:
        closed = {model: of.share for model, of in shares.items()}
        if not closed:
            untied = {
                model: None if value is None else value + grid.sign * table.untied.get(model, 0.0)
                for model, value in pooled.items()
            }
            closed = of_perfection(grid, untied, reference)
        beats = {
            model: model in ahead and p_value < ALPHA and closed.get(model, 1.0) >= min_gap
            for model, p_value in corrected.items()
        }
    may_lead = rivals if reference is None else [name for name in rivals if name in beats]
    leading = _best(grid, may_lead, pooled, n_perturbations=table.n_to_claim_by)
    best = {name for name in leading if beats.get(name, True)}
    in_set = {model for model, p in grid.best_p(competitors).items() if p >= ALPHA}
    # What a model on the board is shown to beat is not the best, however wide the set is.
    in_set -= set(TRIVIAL) if any(beats.values()) else set()
    # What repeats a trivial prediction is as near to the best as that is.
    in_set -= {model for model, trivial in echo_of.items() if trivial not in in_set}
    in_set -= table.one_for_all
    if sum(pooled.get(name) is not None for name in competitors) < 2:
        # Nothing is best of one.
        best, in_set = set(), set()
    ceilings = [name for name, role in table.roles.items() if role == "ceiling" and name != TRUTH]
    normalised = {
        model: {ceiling: _normalised(model, ceiling, pooled, grid.sign) for ceiling in ceilings}
        for model in pooled
    }
    none, inverted = Normalised(None), INVERTED.format(CEILING)
    no_scale = Normalised(None, inverted)
    leads = _over_linear(table, grid)
    above = _above_ceiling(table, grid, pooled, reference=reference, has_gap=bool(shares))
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
            normalised=normalised[model].get(CEILING, none).value,
            normalised_reason=inverted if normalised[model].get(CEILING) == no_scale else None,
            normalised_by=normalised[model],
            n_family=len(_family(table, model, p_values)) if model in p_values else None,
            above_ceiling=above.get(model),
            over_linear=leads.get(model),
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


def best_trivial(sign: int, pooled: Mapping[str, float | None]) -> str | None:
    """Return the better one of ``TRIVIAL``; None where neither has a value."""
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


def of_perfection(
    grid: ScoreGrid, pooled: Mapping[str, float | None], reference: str
) -> dict[str, float]:
    """Return shares of the way to a perfect score, for want of a ceiling; none where unknown."""
    perfect, start = pooled.get(TRUTH), pooled[reference]
    if perfect is None:
        perfect = grid.perfect
    if start is None or grid.sign * (perfect - start) <= 0:
        return {}
    known = {model: value for model, value in pooled.items() if value is not None}
    return {model: (value - start) / (perfect - start) for model, value in known.items()}


def _over_linear(table: MetricTable, grid: ScoreGrid) -> dict[str, Lead]:
    """Return the lead of every assembled model over the linear one."""
    models = [name for name, role in table.roles.items() if role == "model"]
    if LINEAR not in table.values or not models:
        return {}
    leads = {}
    for model, found in grid.compare(models, LINEAR).items():
        low, high = found.ci_low, found.ci_high
        if grid.sign < 0:
            low, high = (None if end is None else -end for end in (high, low))
        leads[model] = Lead(grid.sign * found.difference, low, high)
    return leads


def _above_ceiling(
    table: MetricTable,
    grid: ScoreGrid,
    pooled: Mapping[str, float | None],
    *,
    reference: str | None,
    has_gap: bool,
) -> dict[str, bool]:
    """Say of each submission whether it is too good to be a prediction."""
    submitted = [model for model in table.competitors if table.roles[model] == "submitted"]
    if not submitted:
        return {}
    beating: set[str] = set()
    if has_gap:
        compared = grid.compare(submitted, CEILING)
        beating = {
            model
            for model, found in compared.items()
            if found.p_value < ALPHA and table.is_better(found)
        }
    # A rank may be perfect; an error is not. Where noise exceeds signal, no ceiling tells.
    closed = {} if reference is None or grid.sign > 0 else of_perfection(grid, pooled, reference)
    return {model: model in beating or closed.get(model, 0.0) > ALL_BUT for model in submitted}


def _best(
    grid: ScoreGrid,
    rivals: Sequence[str],
    pooled: Mapping[str, float | None],
    *,
    n_perturbations: int,
) -> set[str]:
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
    if len(best) > 1 and n_perturbations < MIN_TO_CLAIM:
        return set()
    return best


def _normalised(
    model: str, ceiling: str, pooled: Mapping[str, float | None], sign: int
) -> Normalised:
    value, low, high = pooled[model], pooled.get(TRIVIAL[0]), pooled.get(ceiling)
    if low is None or high is None:
        missing = ceiling if high is None else TRIVIAL[0]
        return Normalised(None, f"{missing} has no value here")
    if sign * (high - low) <= 0:
        return Normalised(None, INVERTED.format(ceiling))
    # Plus 0: a share of minus zero would be shown with its sign.
    return Normalised(None if value is None else (value - low) / (high - low) + 0.0)
