"""The same benchmark with several seeds: mean and spread of each model's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from dygenept.evaluation.aggregates import competition_ranks
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
    ranks = competition_ranks(list(means.values()), higher_is_better=is_higher)
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
    return sorted(rows, key=lambda row: (row.rank, row.model))
