"""The same benchmark with several seeds: mean and spread of each model's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from dygenept.evaluation.aggregates import competition_ranks
from dygenept.evaluation.two_way import UNKNOWN
from dygenept.leaderboard.columns import (
    DATA,
    PAPER,
    BoardRow,
    Cell,
    Column,
    JsonDocument,
    Layout,
    number,
)
from dygenept.leaderboard.metric_table import MetricTable, Unit, metric_tables
from dygenept.leaderboard.rows import LeaderboardRow, leaderboard_rows
from dygenept.results.records import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRow(BoardRow):
    """One model under one metric over several seeds, ranked by ``mean``.

    Attributes:
        mean: Mean over seeds of ``pooled``.
        std: Standard deviation over seeds (ddof 1); None for one seed.
        low: Smallest value of a seed.
        high: Largest value of a seed.
        by_seed: ``pooled`` of each seed; None where nothing is defined.
    """

    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    by_seed: Mapping[int, float | None]

    def document(self) -> JsonDocument:
        """Return the row for JSON."""
        return SEEDS.document(self)


def _cell(row: SeedRow) -> Cell:
    spread = "" if row.std is None else f" ± {number(row.std)}"
    return Cell(f"{number(row.mean)}{spread} ({len(row.by_seed)})")


# The one list of the columns of a board over seeds. JSON's names are a contract.
SEEDS: Layout[SeedRow] = Layout(
    columns=(
        Column("rank", lambda row: row.rank, place="start"),
        Column("model", lambda row: row.model, place="key", is_text=True),
        Column("role", lambda row: row.role, DATA | PAPER, is_text=True),
        Column("metric", lambda row: row.metric, DATA | PAPER, is_text=True),
        Column("higher_is_better", lambda row: row.higher_is_better, frozenset(("json",))),
        Column("mean", lambda row: row.mean, DATA | PAPER),
        Column("std", lambda row: row.std, DATA | PAPER),
        Column("low", lambda row: row.low, DATA | PAPER),
        Column("high", lambda row: row.high, DATA | PAPER),
        Column("n_seeds", lambda row: len(row.by_seed), DATA | PAPER),
        Column(
            "by_seed",
            lambda row: {str(seed): value for seed, value in row.by_seed.items()},
            frozenset(("json",)),
        ),
    ),
    cell=_cell,
    caption="mean ± standard deviation over seeds of the pooled value (number of seeds)",
)


def seed_groups(
    boards: Sequence[Sequence[RunRecord]],
) -> tuple[tuple[Sequence[RunRecord], ...], ...]:
    """Put leaderboards together that differ only in their seed, in the order of seeds."""
    groups: dict[tuple[object, ...], list[Sequence[RunRecord]]] = {}
    for records in boards:
        first = records[0]
        key = (
            first.dataset.name,
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


def over_seeds(boards: Sequence[Sequence[RunRecord]]) -> tuple[MetricTable, ...]:
    """Lay leaderboards of one group out as one: every value is its mean over the seeds.

    Seeds hold the same perturbations out, in other folds: they are not further evidence. On tables
    of effects the mean in resamples is that of the first seed; of a model that this seed lacks it
    is unknown, and nothing is claimed.
    """
    merged = []
    for same in _by_metric([metric_tables(records) for records in boards]):
        values: dict[str, dict[Unit, list[float]]] = {}
        for table in same:
            for model, of in table.values.items():
                for unit, value in of.items():
                    found = values.setdefault(model, {}).setdefault(unit._replace(fold=0), [])
                    filled = table.neutral if value is None else value
                    found.extend(() if filled is None else (filled,))
        resampled = same[0].resampled
        if any(table.resampled for table in same):
            resampled = {model: resampled.get(model, UNKNOWN) for model in values}
        merged.append(
            replace(
                same[0],
                resampled=resampled,
                untied=_mean_gains(same),
                unknown_ties=frozenset().union(*(table.unknown_ties for table in same)),
                one_for_all=frozenset().union(*(table.one_for_all for table in same)),
                roles={model: role for table in same for model, role in table.roles.items()},
                values={
                    model: {unit: fmean(of) if of else None for unit, of in units.items()}
                    for model, units in values.items()
                },
                doubts={model: of for table in same for model, of in table.doubts.items()},
                families={
                    model: frozenset().union(*(table.families.get(model, ()) for table in same))
                    for table in same
                    for model in table.families
                },
            )
        )
    return tuple(merged)


def _mean_gains(tables: Sequence[MetricTable]) -> Mapping[str, float]:
    """Return what each model's mean would gain without ties, over the seeds that it has."""
    models = {model for table in tables for model in table.values}
    gains = {
        model: fmean(table.untied.get(model, 0.0) for table in tables if model in table.values)
        for model in models
    }
    return {model: gain for model, gain in gains.items() if gain > 0}


def _by_metric(tables: Sequence[Sequence[MetricTable]]) -> list[list[MetricTable]]:
    found: dict[str, list[MetricTable]] = {}
    for of_seed in tables:
        for table in of_seed:
            found.setdefault(table.metric, []).append(table)
    return list(found.values())


def seed_rows(group: Sequence[Sequence[RunRecord]]) -> tuple[SeedRow, ...]:
    """Derive mean and spread over the leaderboards of one group, by metric and then by rank."""
    found: dict[str, dict[str, dict[int, LeaderboardRow]]] = {}
    for records in group:
        for row in leaderboard_rows(records):
            found.setdefault(row.metric, {}).setdefault(row.model, {})[records[0].seed] = row
    return tuple(row for models in found.values() for row in _metric_rows(models))


def _metric_rows(models: Mapping[str, Mapping[int, LeaderboardRow]]) -> list[SeedRow]:
    by_seed = {
        model: {seed: row.total.pooled for seed, row in rows.items()}
        for model, rows in models.items()
    }
    values = {
        model: [value for value in of.values() if value is not None]
        for model, of in by_seed.items()
    }
    means = {model: fmean(of) if of else None for model, of in values.items()}
    first = {model: next(iter(rows.values())) for model, rows in models.items()}
    is_higher = next(iter(first.values())).higher_is_better
    ranks: Sequence[int | None] = competition_ranks(
        list(means.values()), higher_is_better=is_higher
    )
    if all(mean is None for mean in means.values()):
        ranks = [None] * len(means)
    rows = [
        SeedRow(
            model=model,
            role=first[model].role,
            metric=first[model].metric,
            higher_is_better=is_higher,
            rank=rank,
            mean=means[model],
            std=stdev(values[model]) if len(values[model]) > 1 else None,
            low=min(values[model], default=None),
            high=max(values[model], default=None),
            by_seed=by_seed[model],
        )
        for model, rank in zip(models, ranks, strict=True)
    ]
    return sorted(rows, key=lambda row: (row.rank or 0, row.model))
