"""The same benchmark with several seeds: mean and spread of each model's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from dygenept.evaluation.aggregates import competition_ranks
from dygenept.leaderboard.rows import LeaderboardRow, leaderboard_rows
from dygenept.results.records import RunRecord


@dataclass(frozen=True, slots=True)
class SeedRow:
    """One model under one metric over several seeds.

    Attributes:
        model: Shown name.
        role: ``model``, ``baseline``, ``ceiling`` or ``floor``.
        metric: Metric name.
        higher_is_better: The metric's direction.
        mean: Mean over seeds of ``pooled``.
        std: Standard deviation over seeds (ddof 1); None for one seed.
        low: Smallest value of a seed.
        high: Largest value of a seed.
        by_seed: ``pooled`` of each seed; None where nothing is defined.
        rank: 1 is best by ``mean``.
    """

    model: str
    role: str
    metric: str
    higher_is_better: bool
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    by_seed: Mapping[int, float | None]
    rank: int

    def document(self) -> dict[str, object]:
        """Return the row for JSON."""
        return {
            "model": self.model,
            "metric": self.metric,
            "mean": self.mean,
            "std": self.std,
            "low": self.low,
            "high": self.high,
            "n_seeds": len(self.by_seed),
            "by_seed": {str(seed): value for seed, value in self.by_seed.items()},
            "rank": self.rank,
            "role": self.role,
            "higher_is_better": self.higher_is_better,
        }


def seed_groups(
    boards: Sequence[Sequence[RunRecord]],
) -> tuple[tuple[Sequence[RunRecord], ...], ...]:
    """Put leaderboards together that differ in their seed alone, seeds in order."""
    groups: dict[tuple[object, ...], list[Sequence[RunRecord]]] = {}
    for records in boards:
        first = records[0]
        key = (
            first.dataset.sha256,
            first.dataset.simulated,
            first.suite,
            first.split.name,
            first.split.version,
            first.split.n_folds,
            first.de_list,
        )
        groups.setdefault(key, []).append(records)
    return tuple(tuple(sorted(of, key=lambda item: item[0].seed)) for of in groups.values())


def seed_rows(group: Sequence[Sequence[RunRecord]]) -> tuple[SeedRow, ...]:
    """Derive mean and spread over the leaderboards of one group, by metric and then by rank."""
    found: dict[str, dict[str, dict[int, LeaderboardRow]]] = {}
    for records in group:
        for row in leaderboard_rows(records):
            found.setdefault(row.metric, {}).setdefault(row.model, {})[records[0].seed] = row
    rows: list[SeedRow] = []
    for metric, models in found.items():
        values = {
            model: [row.pooled for row in of.values() if row.pooled is not None]
            for model, of in models.items()
        }
        means = {model: fmean(of) if of else None for model, of in values.items()}
        is_higher = next(iter(next(iter(models.values())).values())).higher_is_better
        ranks = competition_ranks(list(means.values()), higher_is_better=is_higher)
        rows += sorted(
            (
                SeedRow(
                    model=model,
                    role=next(iter(of.values())).role,
                    metric=metric,
                    higher_is_better=is_higher,
                    mean=means[model],
                    std=stdev(values[model]) if len(values[model]) > 1 else None,
                    low=min(values[model], default=None),
                    high=max(values[model], default=None),
                    by_seed={seed: row.pooled for seed, row in of.items()},
                    rank=rank,
                )
                for (model, of), rank in zip(models.items(), ranks, strict=True)
            ),
            key=lambda row: (row.rank, row.model),
        )
    return tuple(rows)
