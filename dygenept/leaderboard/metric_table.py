"""The values of one metric on one leaderboard: every model, fold and held-out perturbation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dygenept.evaluation.comparison import PairedDifference, paired_difference
from dygenept.results.records import RunRecord

COMPETITORS = ("model", "baseline")


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
        neutral: What an undefined value counts as; None leaves it out.
        roles: Role of each model.
        values: Value of each unit by model; None where undefined.
    """

    metric: str
    higher_is_better: bool
    neutral: float | None
    roles: Mapping[str, str]
    values: Mapping[str, Mapping[Unit, float | None]]

    @property
    def competitors(self) -> tuple[str, ...]:
        """Models that are not ceilings or floors."""
        return tuple(model for model, role in self.roles.items() if role in COMPETITORS)

    def folds(self, model: str) -> list[list[float | None]]:
        """Return a model's values fold by fold."""
        folds: dict[int, list[float | None]] = {}
        for unit, value in self.values[model].items():
            folds.setdefault(unit.fold, []).append(value)
        return [folds[fold] for fold in sorted(folds)]

    def compare(self, first: str, second: str, *, n_models: int = 2) -> PairedDifference | None:
        """Compare two models on the units that both have; None where they share none."""
        mine, other = self.values[first], self.values[second]
        pairs = [
            (left, right)
            for unit in sorted(mine.keys() & other.keys())
            if (left := self._filled(mine[unit])) is not None
            and (right := self._filled(other[unit])) is not None
        ]
        if not pairs:
            return None
        left, right = np.asarray(pairs, dtype=np.float64).T
        return paired_difference(left, right, n_models=n_models)

    def is_better(self, found: PairedDifference) -> bool:
        """True if the first of two compared models has the better mean."""
        return (found.difference > 0) == self.higher_is_better and found.difference != 0

    def _filled(self, value: float | None) -> float | None:
        return self.neutral if value is None else value


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
    tables = []
    for name, metric in metrics.items():
        values: dict[str, dict[Unit, float | None]] = {}
        roles: dict[str, str] = {}
        for record in ordered:
            found = next((entry for entry in record.metrics if entry.name == name), None)
            for item in () if found is None else found.values:
                unit = Unit(record.fold, item.perturbation, item.cell_type)
                if keep is None or keep(unit):
                    roles[record.model] = record.role
                    values.setdefault(record.model, {})[unit] = item.value
        tables.append(
            MetricTable(name, metric.higher_is_better, metric.neutral, roles=roles, values=values)
        )
    return tuple(tables)
