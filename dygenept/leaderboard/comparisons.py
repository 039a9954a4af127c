"""Models against models: paired differences on one leaderboard, and mean ranks over several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

import numpy as np

from dygenept.errors import ConfigError, nearest
from dygenept.evaluation.aggregates import RANK_DIGITS
from dygenept.evaluation.comparison import ALPHA
from dygenept.leaderboard.across_seeds import over_seeds, seed_groups
from dygenept.leaderboard.columns import JsonDocument
from dygenept.leaderboard.judgements import corrected_differences
from dygenept.leaderboard.metric_table import COMPETITORS, metric_tables
from dygenept.leaderboard.rows import LeaderboardRow, board_rows, leaderboard_rows
from dygenept.leaderboard.score_grid import ScoreGrid
from dygenept.machine.threads import one_blas_thread
from dygenept.results.records import RunRecord


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One model against another under one metric.

    Attributes:
        metric: Metric name.
        higher_is_better: The metric's direction.
        model: The first model.
        other: The model it is compared with.
        difference: Mean of ``model`` minus ``other`` over the perturbations that both have.
        ci_low: Lower end of the 95 % interval, paired; None for fewer than three perturbations.
        ci_high: Upper end.
        p_value: Two-sided, of the interval and of a sign-flip test (the larger one).
        p_holm: Corrected over the models that ``model`` is compared with.
        n_perturbations: Perturbations that both have.
        better: The better model where ``p_holm`` is below 0.05; None where they cannot be told
            apart.
    """

    metric: str
    higher_is_better: bool
    model: str
    other: str
    difference: float
    ci_low: float | None
    ci_high: float | None
    p_value: float
    p_holm: float
    n_perturbations: int
    better: str | None

    def document(self) -> JsonDocument:
        """Return the row for JSON."""
        return asdict(self)


@one_blas_thread()
def compare_models(
    records: Sequence[RunRecord], models: Sequence[str], *, metrics: Sequence[str] = ()
) -> tuple[ComparisonRow, ...]:
    """Compare the first model with each of the others.

    Args:
        records: Records of one group, one per model and fold.
        models: Two or more shown names.
        metrics: Metrics to compare under; empty takes all.

    Raises:
        ConfigError: If fewer than two models are given, or one has no result here.
    """
    present = sorted({record.model for record in records})
    for name in models:
        if name not in present:
            raise ConfigError(f"no result of model {name!r}; {nearest(name, present)}")
    first, *others = dict.fromkeys(models)
    if not others:
        raise ConfigError("name two different models to compare, such as: ridge perturbed_mean")
    rows: list[ComparisonRow] = []
    for table in metric_tables(records):
        if metrics and table.metric not in metrics:
            continue
        if first not in table.values:
            continue
        scored = [name for name in others if name in table.values]
        differences = corrected_differences(ScoreGrid.of(table), first, scored)
        for other, (found, p_holm) in differences.items():
            # ``found`` is other minus first; a reader of `compare A B` expects A minus B.
            is_other = table.is_better(found)
            rows.append(
                ComparisonRow(
                    metric=table.metric,
                    higher_is_better=table.higher_is_better,
                    model=first,
                    other=other,
                    difference=0.0 - found.difference,
                    ci_low=_turned(found.ci_high),
                    ci_high=_turned(found.ci_low),
                    p_value=found.p_value,
                    p_holm=p_holm,
                    n_perturbations=found.n_perturbations,
                    better=None if p_holm >= ALPHA else other if is_other else first,
                )
            )
    return tuple(rows)


def _turned(value: float | None) -> float | None:
    return None if value is None else 0.0 - value


@dataclass(frozen=True, slots=True)
class RankRow:
    """One model over several metrics and data sets.

    Attributes:
        model: Shown name.
        role: ``model``, ``baseline`` or ``submitted``.
        mean_rank: Mean of its ranks among the competitors, 1 best; ties share the middle rank.
        n_ranked: Pairs of leaderboard and metric that it has a rank in.
        n_possible: Such pairs in all.
        n_best: In how many it is the best.
        n_near_best: In how many it is the best or cannot be told from it.
        n_not_beating: In how many it is not shown to beat the trivial predictions.
        n_judged: In how many it can be judged so.
    """

    model: str
    role: str
    mean_rank: float
    n_ranked: int
    n_possible: int
    n_best: int
    n_near_best: int
    n_not_beating: int
    n_judged: int

    def document(self) -> JsonDocument:
        """Return the row for JSON."""
        return asdict(self)


def rank_models(
    boards: Sequence[Sequence[RunRecord]], *, metrics: Sequence[str] = ()
) -> tuple[RankRow, ...]:
    """Average each competitor's rank over leaderboards and metrics.

    Leaderboards that differ only in their seed count as one, with the mean of each value: their
    perturbations are the same.

    Models that are ranked everywhere come first: a mean over fewer, perhaps easier, boards does
    not compare with one over all.

    Args:
        boards: Records of each leaderboard, all simulated or all real.
        metrics: Metrics to rank under; empty takes all.
    """
    ranks: dict[str, list[float]] = {}
    seen: dict[str, list[LeaderboardRow]] = {}
    n_possible = 0
    for group in seed_groups(boards):
        for rows in _by_metric(_rows_of(group), metrics):
            competitors = [
                row for row in rows if row.role in COMPETITORS and row.total.pooled is not None
            ]
            if not competitors:
                continue
            n_possible += 1
            for row, rank in zip(competitors, _middle_ranks(competitors), strict=True):
                ranks.setdefault(row.model, []).append(rank)
                seen.setdefault(row.model, []).append(row)
    found = [
        RankRow(
            model=model,
            role=rows[0].role,
            mean_rank=fmean(ranks[model]),
            n_ranked=len(rows),
            n_possible=n_possible,
            n_best=sum(row.is_best for row in rows),
            n_near_best=sum(row.judgement.indistinguishable_from_best for row in rows),
            n_not_beating=sum(row.judgement.beats_reference is False for row in rows),
            n_judged=sum(row.judgement.beats_reference is not None for row in rows),
        )
        for model, rows in seen.items()
    ]
    return tuple(
        sorted(found, key=lambda row: (row.n_ranked < n_possible, row.mean_rank, row.model))
    )


def _rows_of(seeds: Sequence[Sequence[RunRecord]]) -> tuple[LeaderboardRow, ...]:
    if len(seeds) == 1:
        return leaderboard_rows(seeds[0])
    return board_rows(over_seeds(seeds), n_split_folds=seeds[0][0].split.n_folds)


def _by_metric(
    rows: Sequence[LeaderboardRow], metrics: Sequence[str]
) -> list[list[LeaderboardRow]]:
    found: dict[str, list[LeaderboardRow]] = {}
    for row in rows:
        if not metrics or row.metric in metrics:
            found.setdefault(row.metric, []).append(row)
    return list(found.values())


def _middle_ranks(rows: Sequence[LeaderboardRow]) -> list[float]:
    sign = -1.0 if rows[0].higher_is_better else 1.0
    values = np.asarray([sign * float(f"{row.total.pooled:.{RANK_DIGITS}g}") for row in rows])
    below = (values[None, :] < values[:, None]).sum(axis=1)
    tied = (values[None, :] == values[:, None]).sum(axis=1)
    middle: list[float] = (below + (tied + 1) / 2.0).tolist()
    return middle
