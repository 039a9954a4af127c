"""One metric's values as an array, and what can be concluded from them.

All conclusions are drawn over perturbations and cell types; see ``dygenept.evaluation``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np

from dygenept.evaluation.clusters import Clusters
from dygenept.evaluation.comparison import (
    ALPHA,
    PairedDifference,
    gap_closed,
    paired_intervals,
)
from dygenept.evaluation.confidence_set import best_p_values
from dygenept.evaluation.mean_intervals import MeanIntervals, mean_intervals
from dygenept.evaluation.two_way import TwoWay
from dygenept.leaderboard.metric_table import MetricTable
from dygenept.types import BoolArray, DoubleArray

# Squares of larger values overflow; a model that is so far off is so at any rate.
FAR_OFF = 1e100
Interval = tuple[float | None, float | None]


class Share(NamedTuple):
    """Share of a gap that a model closes, with its 95 % interval."""

    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ScoreGrid:
    """Values by held-out condition and model.

    Attributes:
        models: The M models.
        values: Values, undefined ones as the metric counts them, (n, M); nan where there is none.
        perturbations: Perturbation of each row.
        cell_types: Cell type of each row.
        sign: 1 where more is better, else -1.
        lower: The metric's smallest possible value; minus infinity where unknown.
        upper: Its largest.
        resampled: By model, its mean in resamples of genes and of perturbations; where a model has
            them, intervals and comparisons are drawn from these.
        unit: What ``perturbations`` are: held-out perturbations, or genes.
        n_held_out: Where they are genes, over how many held-out perturbations they are scored; None
            where nobody says.
        untied: By model, what its mean would gain were its tied predictions ordered at random. Of
            p values of resampled means this much counts for it, so that nobody gains by an order
            alone.
        unknown_ties: Models of which that is not known, though it is of others: against them, and
            of them, nothing is shown.
    """

    models: tuple[str, ...]
    values: DoubleArray
    perturbations: tuple[str, ...]
    cell_types: tuple[str, ...]
    sign: int
    lower: float = -np.inf
    upper: float = np.inf
    resampled: Mapping[str, TwoWay] = field(default_factory=dict)
    unit: Literal["perturbation", "gene"] = "perturbation"
    n_held_out: int | None = None
    untied: Mapping[str, float] = field(default_factory=dict)
    unknown_ties: frozenset[str] = frozenset()

    @classmethod
    def of(cls, table: MetricTable) -> ScoreGrid:
        """Lay a metric's values out."""
        units = sorted({unit for values in table.values.values() for unit in values})
        neutral = np.nan if table.neutral is None else table.neutral
        columns = [
            [neutral if (value := values.get(unit, np.nan)) is None else value for unit in units]
            for values in table.values.values()
        ]
        values = np.asarray(columns, dtype=np.float64).reshape(-1, len(units)).T
        return cls(
            models=tuple(table.values),
            values=np.clip(values, -FAR_OFF, FAR_OFF),
            perturbations=tuple(unit.perturbation for unit in units),
            cell_types=tuple(unit.cell_type for unit in units),
            sign=1 if table.higher_is_better else -1,
            lower=-np.inf if table.lower is None else table.lower,
            upper=np.inf if table.upper is None else table.upper,
            resampled=table.resampled,
            unit=table.unit,
            n_held_out=len(table.held_out) or None,
            untied=table.untied,
            unknown_ties=table.unknown_ties,
        )

    @property
    def perfect(self) -> float:
        """The best possible value; 1, or no error, where the metric does not say."""
        bound = self.upper if self.sign > 0 else self.lower
        return bound if np.isfinite(bound) else float(self.sign > 0)

    def intervals(self) -> Mapping[str, Interval]:
        """Return the 95 % interval of each model's mean; None where it has none.

        It ends where the metric does.
        """
        found: dict[str, Interval] = dict.fromkeys(self.models, (None, None))
        for rows, models in self._alike(self.models):
            made = mean_intervals(self._at(rows, models), self._clusters(rows))
            low, high = np.maximum(made.low, self.lower), np.minimum(made.high, self.upper)
            made = replace(made, low=low, high=high)
            found |= {model: _ends(made, place) for place, model in enumerate(models)}
            for place, model in enumerate(models):
                if model in self.resampled:
                    ends = self.resampled[model].interval(float(made.means[place]))
                    found[model] = (
                        (max(ends[0], self.lower), min(ends[1], self.upper))
                        if ends
                        else (None, None)
                    )
        return found

    def compare(
        self, models: Sequence[str], reference: str, *, n_models: int | None = None
    ) -> Mapping[str, PairedDifference]:
        """Compare models with one, on what both have; one that shares nothing is left out.

        Args:
            models: The models, each compared as itself minus the reference.
            reference: What they are compared with.
            n_models: How many are compared at once; None counts ``models``.
        """
        found: dict[str, PairedDifference] = {}
        for rows, alike in self._alike(models, reference):
            clusters = self._clusters(rows)
            made = paired_intervals(
                self._at(rows, alike),
                self._at(rows, [reference])[:, 0],
                clusters,
                n_models=len(models) if n_models is None else n_models,
            )
            for place, model in enumerate(alike):
                low, high = _ends(made, place)
                p_value = float(made.p_values[place])
                if model in self.resampled and reference in self.resampled:
                    apart = self.resampled[model].minus(self.resampled[reference])
                    low, high = apart.interval(float(made.means[place])) or (None, None)
                    gain = self.untied.get(model, 0.0) - self.untied.get(reference, 0.0)
                    p_value = _p_without_ties(apart, float(made.means[place]), self.sign * gain)
                    if not self.unknown_ties.isdisjoint((model, reference)):
                        p_value = 1.0
                found[model] = PairedDifference(
                    difference=float(made.means[place]),
                    ci_low=low,
                    ci_high=high,
                    p_value=p_value,
                    n_perturbations=int(rows.sum()),
                )
        return {model: found[model] for model in models if model in found}

    def best_p(self, models: Sequence[str]) -> Mapping[str, float]:
        """Return each model's p of being as good as any other, of those that have every row."""
        whole = self.with_every_row(models)
        if not whole:
            return {}
        rows: BoolArray = np.isfinite(self._of(whole).sum(axis=1))
        if all(model in self.resampled for model in whole):
            return self._two_way_best_p(whole)
        p_values = best_p_values(self.sign * self._at(rows, whole), self._clusters(rows))
        return dict(zip(whole, p_values.tolist(), strict=True))

    def _two_way_best_p(self, models: Sequence[str]) -> Mapping[str, float]:
        """Return each model's p of being as good as the one that is most clearly better."""
        n_others = max(len(models) - 1, 1)
        found = dict.fromkeys(models, 1.0)
        for reference in models:
            for model, item in self.compare(models, reference).items():
                if model != reference and self.sign * item.difference < 0:
                    found[model] = min(found[model], n_others * item.p_value)
        return found

    def with_every_row(self, models: Sequence[str]) -> tuple[str, ...]:
        """Return those of some models that have every value that one of them has."""
        has = ~np.isnan(self._of(models))  # (n, models)
        is_whole = has.sum(axis=0) == has.any(axis=1).sum()
        return tuple(
            name for name, whole in zip(models, is_whole, strict=True) if whole and has.any()
        )

    def gap(self, reference: str, ceiling: str) -> tuple[Mapping[str, Share], str | None]:
        """Return how much of the gap between two models each one closes, on what all three have.

        Returns:
            One share with its interval by model, and why there is none.
        """
        found: dict[str, Share] = {}
        reason = None
        for rows, models in self._alike(self.models, reference, ceiling):
            ends = self.sign * self._at(rows, [reference, ceiling])
            made = gap_closed(
                self.sign * self._at(rows, models), ends[:, 0], ends[:, 1], self._clusters(rows)
            )
            reason = reason or made.reason
            if made.reason is None:
                shares = zip(made.shares, made.low, made.high, strict=True)
                found |= {
                    model: Share(*map(float, of)) for model, of in zip(models, shares, strict=True)
                }
        return found, reason

    def _of(self, models: Sequence[str]) -> DoubleArray:
        return self.values[:, [self.models.index(model) for model in models]]

    def _at(self, rows: BoolArray, models: Sequence[str]) -> DoubleArray:
        return self._of(models)[rows]

    def _clusters(self, rows: BoolArray) -> Clusters:
        kept = np.flatnonzero(rows).tolist()
        return Clusters.of(
            [self.perturbations[row] for row in kept], [self.cell_types[row] for row in kept]
        )

    def _alike(self, models: Sequence[str], *beside: str) -> Iterator[tuple[BoolArray, list[str]]]:
        """Sort models by the rows that they have, together with some others; none are left out."""
        has = ~np.isnan(self._of(models))
        for name in beside:
            has &= ~np.isnan(self._of([name]))
        groups: dict[bytes, list[int]] = {}
        for place in range(len(models)):
            groups.setdefault(has[:, place].tobytes(), []).append(place)
        for places in groups.values():
            rows: BoolArray = has[:, places[0]]
            if rows.any():
                yield rows, [models[place] for place in places]


def _ends(made: MeanIntervals, place: int) -> Interval:
    if made.reason is not None:
        return None, None
    return float(made.low[place]), float(made.high[place])


def _p_without_ties(apart: TwoWay, difference: float, gain: float) -> float:
    """Return the p value of a difference in which the order of ties counts for nobody.

    With fewer than six genes or perturbations it is no smaller than a sign-flip test of as many
    could give: nothing is shown on them, as on so few perturbations of cells.

    Args:
        apart: The difference in resamples.
        difference: The difference.
        gain: What is to be added to it were ties ordered at random.
    """
    untied = difference + gain
    # Who is ahead by ties alone is not shown to be.
    if gain != 0 and untied * difference <= 0:
        return 1.0
    p_value = apart.two_sided_p(untied)
    least = 2.0 ** (1 - min(apart.n_genes, apart.n_perturbations))
    return min(1.0, max(p_value, least)) if least >= ALPHA else p_value
