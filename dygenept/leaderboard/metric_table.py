"""The values of one metric on one leaderboard: every model, fold and held-out perturbation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal, NamedTuple

from dygenept.evaluation.comparison import PairedDifference
from dygenept.evaluation.two_way import UNKNOWN, Fold, TwoWay, joined
from dygenept.results.records import MetricRecord, RunRecord, ValueRecord

COMPETITORS = ("model", "baseline", "submitted")


class Unit(NamedTuple):
    """One held-out perturbation of one fold: what is resampled and paired."""

    fold: int
    perturbation: str
    cell_type: str


@dataclass(frozen=True, slots=True)
class MetricTable:
    """One metric.

    Attributes:
        metric: Its name.
        higher_is_better: Its direction.
        neutral: What an undefined value counts as; None leaves it out. None also where no model
            has a defined value: the data cannot tell, and nothing ties with anything.
        roles: Role of each model.
        values: Value of each unit by model; None where undefined.
        lower: Its smallest possible value; None where unbounded or not recorded.
        upper: Its largest.
        chance: What a guess gets on average over the held-out perturbations; None where it has no
            such level, or none is recorded.
        n_cells: By ceiling, the cells behind each of its predictions.
        families: By model, the models that a run declared together with it, or that one submitter
            handed in; empty where no run declared any.
        doubts: By submission, what looks wrong or was filled in.
        resampled: By model, its mean in resamples of genes and of held-out perturbations, where
            the data set is a table of effects; empty elsewhere.
        one_for_all: Submissions that hardly depend on the perturbation.
        unit: What has one value each: held-out perturbations, or genes over these.
        held_out: The held-out perturbations that genes are scored over; empty where each value is a
            perturbation's, and where records do not name them.
        untied: By model, what its mean would gain were its tied predictions ordered at random;
            those without are left out.
        unknown_ties: Models whose records, of an earlier version, do not say what ties cost them
            here while some record of the metric says what they cost somewhere; nothing is claimed
            of them or against them.
    """

    metric: str
    higher_is_better: bool
    neutral: float | None
    roles: Mapping[str, str]
    values: Mapping[str, Mapping[Unit, float | None]]
    lower: float | None = None
    upper: float | None = None
    chance: float | None = None
    n_cells: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    families: Mapping[str, frozenset[str]] = field(default_factory=dict)
    doubts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    resampled: Mapping[str, TwoWay] = field(default_factory=dict)
    one_for_all: frozenset[str] = frozenset()
    unit: Literal["perturbation", "gene"] = "perturbation"
    held_out: frozenset[str] = frozenset()
    untied: Mapping[str, float] = field(default_factory=dict)
    unknown_ties: frozenset[str] = frozenset()

    @property
    def competitors(self) -> tuple[str, ...]:
        """Models that are not ceilings or floors."""
        return tuple(model for model, role in self.roles.items() if role in COMPETITORS)

    def n_perturbations(self, model: str) -> int | None:
        """Count the different perturbations behind a model's values; None where nobody says."""
        if self.unit == "perturbation":
            return len({unit.perturbation for unit in self.values[model]})
        if self.held_out:
            return len(self.held_out)
        return self.resampled[model].n_perturbations or None if model in self.resampled else None

    def n_genes(self, model: str) -> int | None:
        """Count the different genes that have a value; None where perturbations have one."""
        if self.unit == "perturbation":
            return None
        return len({unit.perturbation for unit in self.values[model]})

    @property
    def n_to_claim_by(self) -> int:
        """How many perturbations a claim rests on, or genes where these are fewer."""
        counts = [
            count
            for model in self.values
            for count in (self.n_perturbations(model), self.n_genes(model))
            if count is not None
        ]
        if self.unit == "perturbation":
            return len({unit.perturbation for of in self.values.values() for unit in of})
        return min(counts, default=0)

    def folds(self, model: str) -> list[list[float | None]]:
        """Return a model's values fold by fold."""
        folds: dict[int, list[float | None]] = {}
        for unit, value in self.values[model].items():
            folds.setdefault(unit.fold, []).append(value)
        return [folds[fold] for fold in sorted(folds)]

    def is_better(self, found: PairedDifference) -> bool:
        """True if the first of two compared models has the better mean."""
        return (found.difference > 0) == self.higher_is_better and found.difference != 0


def metric_tables(
    records: Sequence[RunRecord], *, keep: Callable[[Unit], bool] | None = None
) -> tuple[MetricTable, ...]:
    """Lay out the records of one leaderboard, metric by metric.

    Args:
        records: Records of one group, one per model and fold.
        keep: Keeps only some units; None keeps all. A model that has no unit left is left out.
    """
    metrics = {metric.name: metric for record in records for metric in record.metrics}
    ordered = sorted(records, key=lambda item: item.fold)
    families = _families(records)
    doubts = {of.model: of.submission.doubts for of in records if of.submission is not None}
    tables = []
    for name, metric in metrics.items():
        untied, unknown_ties = _ties(ordered, name, keep)
        values: dict[str, dict[Unit, float | None]] = {}
        roles: dict[str, str] = {}
        n_cells: dict[str, list[int]] = {}
        for record in ordered:
            found = next((entry for entry in record.metrics if entry.name == name), None)
            fold, of_fold = record.fold, () if found is None else found.values
            kept = {Unit(fold, of.perturbation, of.cell_type): of.value for of in of_fold}
            if keep is not None:
                kept = {unit: value for unit, value in kept.items() if keep(unit)}
            if not kept:
                continue
            roles[record.model] = record.role
            values.setdefault(record.model, {}).update(kept)
            for unit in kept if record.cells else ():
                if number := record.cells.get(unit.cell_type, {}).get(unit.perturbation):
                    n_cells.setdefault(record.model, []).append(number)
        levels = _levels(ordered, name, keep)
        n_levels = sum(size for _, size in levels)
        is_defined = any(item is not None for of in values.values() for item in of.values())
        tables.append(
            MetricTable(
                metric=name,
                higher_is_better=metric.higher_is_better,
                neutral=metric.neutral if is_defined else None,
                roles=roles,
                values=values,
                lower=metric.lower,
                upper=metric.upper,
                chance=sum(level * size for level, size in levels) / n_levels if levels else None,
                n_cells={model: tuple(numbers) for model, numbers in n_cells.items()},
                families=families,
                doubts=doubts,
                resampled=_resampled(ordered, name, keep),
                one_for_all=frozenset(
                    of.model for of in ordered if of.submission and of.submission.one_for_all
                ),
                unit=metric.unit,
                held_out=_held_out(ordered, keep) if metric.unit == "gene" else frozenset(),
                untied=untied,
                unknown_ties=unknown_ties,
            )
        )
    return tuple(tables)


def _resampled(
    records: Sequence[RunRecord], metric: str, keep: Callable[[Unit], bool] | None
) -> Mapping[str, TwoWay]:
    """Return each model's mean over the units of all folds in resamples; of a table of effects.

    Known of all units and of those of a cell type; of other parts nothing is, nor of what earlier
    versions recorded.
    """
    folds: dict[str, list[Fold]] = {}
    for record in records:
        if record.dataset.kind != "effects":
            continue
        for entry in record.metrics:
            found = _of_fold(entry, record, keep) if entry.name == metric else None
            if found is not None:
                folds.setdefault(record.model, []).append(found)
    return {model: joined(of) for model, of in folds.items()}


def _of_fold(
    entry: MetricRecord, record: RunRecord, keep: Callable[[Unit], bool] | None
) -> Fold | None:
    """Return the mean over what is kept of a fold's units; None where none of them is defined."""
    kept = _kept(entry, record, keep)
    defined = [of.value for of in kept if of.value is not None]
    if not defined:
        return None
    cell_type = _whole_type(entry, kept)
    found = None
    if len(kept) == len(entry.values):
        found = entry.two_way
    elif cell_type is not None:
        found = entry.two_way_by_type.get(cell_type)
    spread = UNKNOWN if found is None else found.read()
    return Fold(spread, len(defined), fmean(defined), record.fold, _held_out([record], keep))


def _kept(
    entry: MetricRecord, record: RunRecord, keep: Callable[[Unit], bool] | None
) -> list[ValueRecord]:
    return [
        of
        for of in entry.values
        if keep is None or keep(Unit(record.fold, of.perturbation, of.cell_type))
    ]


def _levels(
    records: Sequence[RunRecord], metric: str, keep: Callable[[Unit], bool] | None
) -> list[tuple[float, int]]:
    """Return what a guess gets in each record, and over how many of its units.

    Of a part that is no cell type, and in records that tell no cell types apart, it is what a guess
    gets over all units.
    """
    levels = []
    for record in records:
        for entry in record.metrics:
            if entry.name != metric or entry.chance is None:
                continue
            kept = _kept(entry, record, keep)
            cell_type = _whole_type(entry, kept)
            level = entry.chance
            if cell_type is not None and len(kept) < len(entry.values):
                level = entry.chance_by_type.get(cell_type, level)
            levels.append((level, len(kept)))
    return [(level, size) for level, size in levels if size]


def _whole_type(entry: MetricRecord, kept: Sequence[ValueRecord]) -> str | None:
    """Return the cell type whose units some of a fold's units are; None where they are others."""
    types = {of.cell_type for of in kept}
    if len(types) != 1 or len(kept) != sum(of.cell_type in types for of in entry.values):
        return None
    return next(iter(types))


def _ties(
    records: Sequence[RunRecord], metric: str, keep: Callable[[Unit], bool] | None
) -> tuple[Mapping[str, float], frozenset[str]]:
    """Return what each model's mean over the kept units gains without ties, and who does not say.

    The gain of a part of a fold is known where it is a whole cell type. Of other parts neither it
    nor the mean in resamples is, without which nothing is claimed.
    """
    gains: dict[str, list[tuple[float, int]]] = {}
    unknown: set[str] = set()
    is_told = False
    for record in records:
        for entry in record.metrics:
            if entry.name != metric:
                continue
            is_told = is_told or entry.untied is not None
            kept = _kept(entry, record, keep)
            if not kept:
                continue
            gain, cell_type = entry.untied, _whole_type(entry, kept)
            if len(kept) < len(entry.values):
                gain = None if cell_type is None else entry.untied_by_type.get(cell_type)
            if entry.untied is None or (gain is None and cell_type is not None):
                unknown.add(record.model)
            n_defined = sum(of.value is not None for of in kept)
            gains.setdefault(record.model, []).append((gain or 0.0, n_defined))
    found = {
        model: sum(gain * n for gain, n in of) / max(sum(n for _, n in of), 1)
        for model, of in gains.items()
        if any(gain > 0 for gain, _ in of)
    }
    return found, frozenset(unknown if is_told else ())


def _held_out(records: Sequence[RunRecord], keep: Callable[[Unit], bool] | None) -> frozenset[str]:
    """Return the perturbations that some records' folds hold out.

    Where every metric is one of genes, those of a part of the units are not told apart.
    """
    found: set[str] = set()
    for record in records:
        units = {
            Unit(record.fold, of.perturbation, of.cell_type)
            for entry in record.metrics
            if entry.unit == "perturbation"
            for of in entry.values
        }
        found |= {unit.perturbation for unit in units if keep is None or keep(unit)}
        if not units:
            found.update(label for labels in record.subgroups.values() for label in labels)
    return frozenset(found)


def _families(records: Sequence[RunRecord]) -> Mapping[str, frozenset[str]]:
    """Return the models that any run declared, or one submitter handed in, with each model."""
    found: dict[str, frozenset[str]] = {}
    for family in {record.family for record in records if record.role != "submitted"}:
        for model in family:
            found[model] = found.get(model, frozenset()) | set(family)
    # Who hands in twenty files has twenty tries, and so have all who do not say who they are.
    by_submitter: dict[str, set[str]] = {}
    for record in records:
        if record.role == "submitted":
            submitter = "" if record.submission is None else record.submission.submitter
            by_submitter.setdefault(submitter, set()).add(record.model)
    for submitted in by_submitter.values():
        found |= dict.fromkeys(submitted, frozenset(submitted))
    return found
