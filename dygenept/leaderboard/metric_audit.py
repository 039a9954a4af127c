"""What a metric is worth on a data set: its range, what it agrees with, and what can game it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from types import MappingProxyType

import numpy as np

from dygenept.evaluation.comparison import ALPHA
from dygenept.leaderboard.columns import JsonDocument
from dygenept.leaderboard.judgements import MIN_GAP, TRIVIAL, TRUTH
from dygenept.leaderboard.metric_table import COMPETITORS, metric_tables
from dygenept.leaderboard.rows import LeaderboardRow, leaderboard_rows
from dygenept.leaderboard.score_grid import ScoreGrid
from dygenept.machine.threads import one_blas_thread
from dygenept.results.records import RunRecord

EPSILON, DOUBLED = "mean + 0.001 (truth - mean)", "control + 2 (truth - control)"
SCALED: Mapping[str, float] = MappingProxyType(
    {f"control + {factor:g} (model - control)": factor for factor in (0.5, 2.0, 5.0)}
)
CONSTANTS = ("0 for all genes", "one value for all genes")
SHUFFLED, RANDOM = "shuffled", "random_train"
# A metric that gives the right answer in a thousandth of its size this share cannot see size.
BLIND = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two metrics rank models, from -1 to 1; None where one of them has no ranks."""

    spearman: float | None
    kendall: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One metric on one data set.

    Scores are on a scale of 0 for the better trivial prediction and 1 for a perfect score; None
    where there is no way between them.

    Attributes:
        metric: Metric name.
        higher_is_better: Its direction.
        calibrated: Whether it can tell a good prediction from a trivial one; None where unknown.
        reason: Why.
        dynamic_range: Its dynamic range fraction.
        dynamic_range_low: Lower end of its 95 % interval.
        dynamic_range_high: Upper end.
        reference: The better trivial prediction.
        ceiling: What the range is measured by.
        n_perturbations: Over how many perturbations.
        chance: What a guess gets.
        shuffled: Score of the truth with its labels permuted.
        random_train: Score of a random train perturbation.
        epsilon: Score of the right answer in a thousandth of its size.
        doubled: Score of the right answer in twice its size.
        base_model: The model that is scaled.
        base: Score of this model.
        scaling: The most that it gains by being scaled.
        constant: Score of the better constant.
        weaknesses: What of this earns at least 5 % of the way, beyond noise.
        agreement: With every other metric.
        median_spearman: Median agreement with the others.
    """

    metric: str
    higher_is_better: bool
    calibrated: bool | None
    reason: str
    dynamic_range: float | None
    dynamic_range_low: float | None
    dynamic_range_high: float | None
    reference: str | None
    ceiling: str | None
    n_perturbations: int
    chance: float | None
    shuffled: float | None
    random_train: float | None
    epsilon: float | None
    doubled: float | None
    base_model: str
    base: float | None
    scaling: float | None
    constant: float | None
    weaknesses: tuple[str, ...]
    agreement: Mapping[str, Agreement]
    median_spearman: float | None

    def document(self) -> JsonDocument:
        """Return the row for JSON."""
        return asdict(self)


def base_model(records: Sequence[RunRecord]) -> str:
    """Return the competitor that ranks best on average over the metrics, trivial ones left out."""
    ranks: dict[str, list[int]] = {}
    for row in leaderboard_rows(records):
        is_rival = row.role in COMPETITORS and row.model not in (*TRIVIAL, RANDOM)
        if is_rival and row.rank is not None:
            ranks.setdefault(row.model, []).append(row.rank)
    return min(sorted(ranks), key=lambda name: float(np.mean(ranks[name])))


@one_blas_thread()
def audit(
    records: Sequence[RunRecord], attacked: Sequence[RunRecord], base: str
) -> tuple[AuditRow, ...]:
    """Audit every metric, in the order of the records.

    Args:
        records: Records of the references, ceilings and simple models of one data set.
        attacked: Records of the attacks.
        base: The model that was scaled.
    """
    by_metric: dict[str, dict[str, LeaderboardRow]] = {}
    for row in leaderboard_rows(records):
        by_metric.setdefault(row.metric, {})[row.model] = row
    pooled = {(row.metric, row.model): row.total.pooled for row in leaderboard_rows(attacked)}
    grids = {table.metric: ScoreGrid.of(table) for table in metric_tables((*records, *attacked))}
    values = {name: _oriented(rows) for name, rows in by_metric.items()}
    found = []
    for name, rows in by_metric.items():
        known = {model: row.total.pooled for model, row in rows.items()}
        known |= {model: value for (metric, model), value in pooled.items() if metric == name}
        agreement = {other: _agreement(values[name], values[other]) for other in values}
        del agreement[name]
        found.append(_row(next(iter(rows.values())), known, base, grids[name], agreement))
    return tuple(found)


def _row(
    any_row: LeaderboardRow,
    known: Mapping[str, float | None],
    base: str,
    grid: ScoreGrid,
    agreement: Mapping[str, Agreement],
) -> AuditRow:
    calibration = any_row.calibration
    start = known.get(calibration.reference or "")
    perfect = known.get(TRUTH)

    def share(model: str) -> float | None:
        value = known.get(model)
        if value is None or start is None or perfect is None or perfect == start:
            return None
        return (value - start) / (perfect - start)

    def best(names: Iterable[str]) -> str:
        return max(names, key=lambda name: -np.inf if (of := share(name)) is None else of)

    def earns(model: str, over: str | None) -> bool:
        """True if a model is better than another one by enough, beyond noise."""
        lead, start = share(model), share(over or "")
        if over is None or lead is None or start is None or lead - start < MIN_GAP:
            return False
        return all(of.p_value < ALPHA for of in grid.compare([model], over).values())

    own, scaled, constant = share(base), best(SCALED), best(CONSTANTS)
    gain = share(scaled)
    epsilon = share(EPSILON)
    reference = calibration.reference
    earned = {
        "blind to size": epsilon is not None and epsilon >= BLIND,
        "gains by scaling": earns(scaled, base),
        "rewards a constant": earns(constant, reference),
        "rewards shuffled truth": earns(SHUFFLED, reference),
        "rewards a random perturbation": earns(RANDOM, reference),
    }
    spearman = [of.spearman for of in agreement.values() if of.spearman is not None]
    return AuditRow(
        metric=any_row.metric,
        higher_is_better=any_row.higher_is_better,
        calibrated=calibration.is_calibrated,
        reason=calibration.reason,
        dynamic_range=calibration.fraction,
        dynamic_range_low=calibration.low,
        dynamic_range_high=calibration.high,
        reference=calibration.reference,
        ceiling=calibration.ceiling,
        n_perturbations=calibration.n_perturbations,
        chance=any_row.chance,
        shuffled=share(SHUFFLED),
        random_train=share(RANDOM),
        epsilon=epsilon,
        doubled=share(DOUBLED),
        base_model=base,
        base=own,
        scaling=None if gain is None or own is None else gain - own,
        constant=share(constant),
        weaknesses=tuple(name for name, is_earned in earned.items() if is_earned),
        agreement=agreement,
        median_spearman=median(spearman) if spearman else None,
    )


def _oriented(rows: Mapping[str, LeaderboardRow]) -> dict[str, float]:
    """Return each competitor's value, more being better."""
    return {
        model: value if row.higher_is_better else -value
        for model, row in rows.items()
        if row.role in COMPETITORS and (value := row.total.pooled) is not None
    }


def _agreement(first: Mapping[str, float], second: Mapping[str, float]) -> Agreement:
    from scipy import stats

    shared = [model for model in first if model in second]
    # Rounding must not rank models that predict the same.
    pairs = [np.asarray([float(f"{of[model]:.12g}") for model in shared]) for of in (first, second)]
    if len(shared) < 3 or any(np.ptp(of) == 0 for of in pairs):
        return Agreement(None, None)
    return Agreement(
        float(stats.spearmanr(*pairs).statistic), float(stats.kendalltau(*pairs).statistic)
    )
