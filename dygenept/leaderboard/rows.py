"""Leaderboards, derived from records: values over folds, intervals and ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dygenept.evaluation.aggregates import aggregate, competition_ranks
from dygenept.leaderboard.metric_table import MetricTable, Unit, metric_tables
from dygenept.leaderboard.significance import standings
from dygenept.results.records import RunRecord


@dataclass(frozen=True, slots=True)
class BoardKey:
    """What must agree before two results may stand in one leaderboard."""

    dataset: str
    dataset_sha256: str
    is_simulated: bool
    suite: str
    split_sha256: str
    de_list: str


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """One model under one metric.

    Attributes:
        model: Shown name.
        role: ``model``, ``baseline``, ``ceiling`` or ``floor``.
        metric: Metric name.
        higher_is_better: The metric's direction.
        mean: Mean over folds of the fold's mean over held-out perturbations.
        std: Standard deviation over folds; None for one fold.
        stderr: Standard error over folds; None for one fold.
        pooled: Mean over all held-out perturbations of all folds.
        ci_low: Lower end of the 95 % bootstrap interval of ``pooled``.
        ci_high: Upper end.
        n_folds: Folds with a result.
        n_perturbations: Held-out perturbations scored.
        n_undefined: How many of them were undefined and counted as the neutral value.
        rank: 1 is best by ``pooled``; equal values share the better rank.
        is_best: True for the best competitor (ceilings and floors compete with no one).
        indistinguishable_from_best: See ``Standing``; so for the next two.
        beats_perturbed_mean: None where the question does not arise.
        normalised: 0 for perturbed_mean, 1 for technical_duplicate.
        group: The part of the held-out perturbations that the row is about; None for all.
    """

    model: str
    role: str
    metric: str
    higher_is_better: bool
    mean: float | None
    std: float | None
    stderr: float | None
    pooled: float | None
    ci_low: float | None
    ci_high: float | None
    n_folds: int
    n_perturbations: int
    n_undefined: int
    rank: int
    is_best: bool
    indistinguishable_from_best: bool
    beats_perturbed_mean: bool | None
    normalised: float | None
    group: str | None = None

    def document(self) -> dict[str, object]:
        """Return the row as ``bench --json`` prints it; ``group`` only where there is one."""
        grouped = {} if self.group is None else {"group": self.group}
        return {
            "model": self.model,
            "metric": self.metric,
            "mean": self.mean,
            "std": self.std,
            "stderr": self.stderr,
            "pooled": self.pooled,
            "ci_low": self.ci_low,
            "ci_high": self.ci_high,
            "n_folds": self.n_folds,
            "n_perturbations": self.n_perturbations,
            "n_undefined": self.n_undefined,
            "rank": self.rank,
            "role": self.role,
            "higher_is_better": self.higher_is_better,
            "is_best": self.is_best,
            "indistinguishable_from_best": self.indistinguishable_from_best,
            "beats_perturbed_mean": self.beats_perturbed_mean,
            "normalised": self.normalised,
            **grouped,
        }


def group_records(records: Iterable[RunRecord]) -> dict[BoardKey, tuple[RunRecord, ...]]:
    """Sort records into leaderboards; simulated and real data never share one.

    Where two records hold the same model and fold, the later one counts.
    """
    groups: dict[BoardKey, dict[tuple[str, int], RunRecord]] = {}
    for record in sorted(records, key=lambda item: (item.created, item.key)):
        key = BoardKey(
            dataset=record.dataset.name,
            dataset_sha256=record.dataset.sha256,
            is_simulated=record.dataset.simulated,
            suite=record.suite,
            split_sha256=record.split.sha256,
            de_list=record.de_list,
        )
        groups.setdefault(key, {})[(record.model, record.fold)] = record
    return {key: tuple(members.values()) for key, members in groups.items()}


def leaderboard_rows(
    records: Sequence[RunRecord],
    *,
    keep: Callable[[Unit], bool] | None = None,
    group: str | None = None,
) -> tuple[LeaderboardRow, ...]:
    """Derive the rows of one leaderboard, by metric and then by rank.

    Args:
        records: Records of one group, one a model and fold.
        keep: Keeps some held-out perturbations alone; None keeps all.
        group: What to call them.
    """
    tables = metric_tables(records, keep=keep)
    return tuple(row for table in tables for row in _metric_rows(table, group))


def _metric_rows(table: MetricTable, group: str | None) -> list[LeaderboardRow]:
    totals = {model: aggregate(table.folds(model), neutral=table.neutral) for model in table.values}
    pooled = {model: total.pooled for model, total in totals.items()}
    ranks = _ranks(pooled, higher_is_better=table.higher_is_better)
    standing = standings(table, pooled, ranks)
    rows = [
        LeaderboardRow(
            model=model,
            role=table.roles[model],
            metric=table.metric,
            higher_is_better=table.higher_is_better,
            mean=total.mean,
            std=total.std,
            stderr=total.stderr,
            pooled=total.pooled,
            ci_low=total.ci_low,
            ci_high=total.ci_high,
            n_folds=total.n_folds,
            n_perturbations=total.n_perturbations,
            n_undefined=total.n_undefined,
            rank=ranks[model],
            is_best=standing[model].is_best,
            indistinguishable_from_best=standing[model].indistinguishable_from_best,
            beats_perturbed_mean=standing[model].beats_perturbed_mean,
            normalised=standing[model].normalised,
            group=group,
        )
        for model, total in totals.items()
    ]
    return sorted(rows, key=lambda row: (row.rank, row.model))


def _ranks(values: Mapping[str, float | None], *, higher_is_better: bool) -> dict[str, int]:
    models = list(values)
    ranks = competition_ranks(
        [values[model] for model in models], higher_is_better=higher_is_better
    )
    return dict(zip(models, ranks, strict=True))
