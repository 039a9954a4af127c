"""Leaderboards of parts of the held-out perturbations: what they have in common is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from dygenept.errors import ConfigError, ResultsError, nearest
from dygenept.leaderboard.judgements import MIN_GAP
from dygenept.leaderboard.metric_table import Unit
from dygenept.leaderboard.rows import LeaderboardRow, kept_rows, leaderboard_rows
from dygenept.leaderboard.saturation import REGIMES, regimes, saturation
from dygenept.results.record_index import IndexedRecords
from dygenept.results.records import RunRecord

REGIME = "regime"
# Parts that only cells tell apart.
OF_CELLS = frozenset(("effect", "de_genes", REGIME))
NO_DE_GENES = "no DE genes"
EFFECTS = ("small effect", "medium effect", "large effect")
# In the order of difficulty; names of other protocols follow, sorted.
SUBGROUPS = (
    "unseen_single",
    "seen_single",
    "combo_seen0",
    "combo_seen1",
    "combo_seen2",
    "seen_perturbation",
)


def grouped_rows(
    records: Sequence[RunRecord], by: str, *, min_gap: float = MIN_GAP, metric: str | None = None
) -> tuple[LeaderboardRow, ...]:
    """Derive the rows of one leaderboard for each part of its held-out perturbations.

    Args:
        records: Records of one group, one per model and fold.
        by: ``subgroup`` (what training has seen of the genes), ``effect`` (terciles of the root
            mean square of the true delta, over all held-out perturbations of the leaderboard),
            ``de_genes`` (the number of significant DE genes: none, and the rest cut at its
            median), ``regime`` (how much of the range a simple model covers), or ``cell_type``.
        min_gap: The least share of the gap to the ceiling that a claim needs.
        metric: The metric that regimes are cut by; within them no claim is made, since scores
            choose what is in them.

    Raises:
        ConfigError: If ``by`` is something else.
        ResultsError: If an earlier version wrote the records, without effect sizes.
    """
    known = (*GROUPINGS, REGIME)
    if by not in known:
        raise ConfigError(f"unknown grouping {by!r}; {nearest(by, known)}")
    if by in OF_CELLS and records[0].dataset.kind == "effects":
        raise ResultsError(
            f"{records[0].dataset.name} is a table of effects, which has no cells to take parts by "
            f"{by} from; its parts are {', '.join(sorted(set(GROUPINGS) - OF_CELLS))}"
        )
    if isinstance(records, IndexedRecords):
        make = partial(grouped_rows, by=by, min_gap=min_gap, metric=metric)
        of = f" of {metric}" if by == REGIME else ""
        return kept_rows(records, f"rows by {by}{of}, least gap {min_gap}", make)
    if by == REGIME:
        group_of = regimes(saturation(records, metric or ""))
    else:
        group_of = GROUPINGS[by](records)
    rows: list[LeaderboardRow] = []
    for group in _ordered(set(group_of.values())):

        def keep(unit: Unit, group: str = group) -> bool:
            return group_of.get(unit) == group

        found = leaderboard_rows(records, keep=keep, group=group, min_gap=min_gap)
        rows.extend(map(_unclaimed, found) if by == REGIME else found)
    return tuple(rows)


def _unclaimed(row: LeaderboardRow) -> LeaderboardRow:
    judgement = replace(
        row.judgement,
        is_best=False,
        indistinguishable_from_best=False,
        beats_reference=None,
        p_value=None,
        p_corrected=None,
        n_family=None,
    )
    return replace(row, judgement=judgement)


def _units(records: Sequence[RunRecord]) -> dict[Unit, RunRecord]:
    return {
        Unit(record.fold, value.perturbation, value.cell_type): record
        for record in records
        for metric in record.metrics
        for value in metric.values
    }


def _by_subgroup(records: Sequence[RunRecord]) -> Mapping[Unit, str]:
    names: dict[tuple[int, str], str] = {}
    for record in records:
        for name, labels in record.subgroups.items():
            names.update(dict.fromkeys(((record.fold, label) for label in labels), name))
    return {
        unit: names[unit.fold, unit.perturbation]
        for unit in _units(records)
        if (unit.fold, unit.perturbation) in names
    }


def _by_effect(records: Sequence[RunRecord]) -> Mapping[Unit, str]:
    sizes: dict[Unit, float] = {}
    for record in records:
        for cell_type, effects in record.effects.items():
            for label, size in effects.items():
                sizes[Unit(record.fold, label, cell_type)] = size
    missing = _units(records).keys() - sizes.keys()
    if missing:
        raise ResultsError(
            f"{len(missing)} held-out perturbation(s) of {records[0].dataset.name} have no effect "
            "size: an earlier version wrote their records; run the bench again with --no-resume"
        )
    cuts = np.quantile(list(sizes.values()), [1 / 3, 2 / 3])
    places = np.searchsorted(cuts, list(sizes.values()), side="left")
    return {unit: EFFECTS[place] for unit, place in zip(sizes, places.tolist(), strict=True)}


def _by_de_genes(records: Sequence[RunRecord]) -> Mapping[Unit, str]:
    counts: dict[Unit, int] = {}
    for record in records:
        for cell_type, of in record.n_de_genes.items():
            for label, count in of.items():
                counts[Unit(record.fold, label, cell_type)] = count
    missing = _units(records).keys() - counts.keys()
    if missing:
        raise ResultsError(
            f"of {len(missing)} held-out perturbation(s) of {records[0].dataset.name} the number "
            "of DE genes is not recorded; run the bench again with --no-resume and with a metric "
            "that tests genes, such as de_overlap"
        )
    some = [count for count in counts.values() if count]
    cut = int(np.median(some)) if some else 0
    names = (NO_DE_GENES, f"1 to {cut} DE genes", f"over {cut} DE genes")
    return {unit: names[(count > 0) + (count > cut)] for unit, count in counts.items()}


def _by_cell_type(records: Sequence[RunRecord]) -> Mapping[Unit, str]:
    return {unit: unit.cell_type for unit in _units(records)}


def _ordered(groups: set[str]) -> list[str]:
    known = [name for name in (*EFFECTS, NO_DE_GENES, *SUBGROUPS, *REGIMES) if name in groups]
    return [*known, *sorted(groups - set(known))]


GROUPINGS: Mapping[str, Callable[[Sequence[RunRecord]], Mapping[Unit, str]]] = {
    "subgroup": _by_subgroup,
    "effect": _by_effect,
    "de_genes": _by_de_genes,
    "cell_type": _by_cell_type,
}
