"""What a results folder records of one job, as JSON.

A folder outlives the code that wrote it: new fields are optional, and no field changes its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from dygenept.evaluation.effect_scoring import EffectScore
from dygenept.evaluation.two_way import TwoWay
from dygenept.plugin.specs import EffectMetricSpec, MetricSpec
from dygenept.results.provenance import CodeRecord, DatasetRecord, PluginRecord, Record, SplitRecord
from dygenept.types import ChildResources, DoubleArray, Score
from dygenept.types.data import html_table

SCHEMA_VERSION = 1


# Hundreds of thousands are in memory at once: these have no dictionary each.
@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ValueRecord:
    """One metric of one held-out condition; ``value`` is null with a reason where undefined.

    For a metric whose unit is a gene, ``perturbation`` is the gene.
    """

    perturbation: str
    cell_type: str
    value: Annotated[float | None, Field(allow_inf_nan=False)]
    reason: str | None = None


class TwoWayRecord(Record):
    """A mean in resamples of genes, of perturbations and of pairs; null where undefined.

    ``drawn_with`` is true where they were drawn together with those of other folds, which hold out
    some of the same perturbations; earlier versions never did so.
    """

    genes: tuple[float | None, ...]
    perturbations: tuple[float | None, ...]
    pairs: tuple[float | None, ...]
    n_genes: int
    n_perturbations: int
    drawn_with: bool = False

    @classmethod
    def of(cls, found: TwoWay) -> TwoWayRecord:
        """Record resamples, to nine digits."""
        return cls(
            genes=_without_nan(found.genes),
            perturbations=_without_nan(found.perturbations),
            pairs=_without_nan(found.pairs),
            n_genes=found.n_genes,
            n_perturbations=found.n_perturbations,
            drawn_with=found.drawn_with,
        )

    def read(self) -> TwoWay:
        """Return the resamples."""
        draws = (self.genes, self.perturbations, self.pairs)
        genes, perturbations, pairs = (np.array(of, dtype=np.float64) for of in draws)
        counted = self.n_genes, self.n_perturbations
        return TwoWay(genes, perturbations, pairs, *counted, self.drawn_with)


def _without_nan(draws: DoubleArray) -> tuple[float | None, ...]:
    return tuple(None if value != value else round(value, 9) for value in draws.tolist())


class MetricRecord(Record):
    """One metric over the held-out conditions of a fold.

    ``lower`` and ``upper`` are its smallest and largest possible value, ``chance`` is what a guess
    gets on average over the defined conditions; records of earlier versions lack them.
    Metrics of tables of effects say what has one value each (``unit``), and their mean in resamples
    of genes, of perturbations and of pairs (``two_way``; earlier ``resampled``, no longer read).
    ``untied`` is what the mean would gain were tied predictions ordered at random; None where a
    metric lowers no ties. ``two_way_by_type`` and so on are the same of each of several cell types.
    """

    name: str
    higher_is_better: bool
    neutral: float | None
    lower: float | None = None
    upper: float | None = None
    chance: Annotated[float | None, Field(allow_inf_nan=False)] = None
    de_list: str | None
    values: tuple[ValueRecord, ...]
    unit: Literal["perturbation", "gene"] = "perturbation"
    resampled: tuple[float | None, ...] = ()
    two_way: TwoWayRecord | None = None
    two_way_by_type: Mapping[str, TwoWayRecord] = {}
    untied: float | None = None
    untied_by_type: Mapping[str, float] = {}
    chance_by_type: Mapping[str, float] = {}

    @classmethod
    def of(cls, spec: MetricSpec, scores: Sequence[Score], *, de_list: str) -> MetricRecord:
        """Record a metric's scores, one per held-out condition; the DE list only if it is read."""
        by_chance = [item.chance for item in scores if item.chance is not None]
        return cls(
            name=spec.name,
            higher_is_better=spec.higher_is_better,
            neutral=spec.neutral,
            lower=spec.lower,
            upper=spec.upper,
            chance=fmean(by_chance) if by_chance else None,
            de_list=de_list if spec.uses_de_genes else None,
            values=tuple(
                ValueRecord(
                    perturbation=item.condition.label,
                    cell_type=item.condition.cell_type,
                    value=item.value,
                    reason=item.reason,
                )
                for item in scores
            ),
        )

    @classmethod
    def of_effects(cls, spec: EffectMetricSpec, score: EffectScore) -> MetricRecord:
        """Record a metric of a table of effects, one value per gene or perturbation."""
        named = zip(score.names, score.cell_types, score.values.tolist(), strict=True)
        return cls(
            name=spec.name,
            higher_is_better=spec.higher_is_better,
            neutral=None,
            lower=spec.lower,
            upper=spec.upper,
            de_list=None,
            values=tuple(
                ValueRecord(
                    perturbation=name, cell_type=cell_type, value=None, reason=spec.undefined
                )
                if value != value
                else ValueRecord(perturbation=name, cell_type=cell_type, value=value)
                for name, cell_type, value in named
            ),
            unit=spec.unit,
            untied=score.untied if spec.lowers_ties else None,
            untied_by_type=score.untied_by_type if spec.lowers_ties else {},
            chance=score.chance,
            chance_by_type=score.chance_by_type,
            two_way=TwoWayRecord.of(score.resampled),
            two_way_by_type={
                kind: TwoWayRecord.of(of) for kind, of in score.resampled_by_type.items()
            },
        )


class ControlsRecord(Record):
    """The control cells by cell type.

    ``seed`` draws their halves; ``noise_shares`` say how much of the noise of a change is theirs.
    """

    seed: int
    n_cells: Mapping[str, int]
    noise_shares: Mapping[str, float]


class TimingRecord(Record):
    """Wall-clock seconds of each step."""

    fit_s: float
    predict_s: float
    score_s: float


class SubmissionRecord(Record):
    """What is known of predictions that somebody handed in.

    ``name`` is what boards call them, without the ``version``; ``submitter`` is who handed them in,
    as far as that was said: all that one submitter hands in is one family; ``doubts`` are what
    looks wrong or was filled in; ``one_for_all`` is true of predictions that hardly depend on the
    perturbation.
    """

    name: str
    version: int = 1
    submitter: str = ""
    doubts: tuple[str, ...] = ()
    one_for_all: bool = False


class RunRecord(Record):
    """All that is known of one (model, suite, data, split, fold, seed, config).

    ``family`` are the models that the run or suite declared, over which claims are corrected.
    ``effects`` are the effect sizes of the held-out perturbations by cell type, ``n_de_genes``
    their numbers of DE genes where a metric tests genes, ``cells`` the cells behind each
    prediction of a ceiling.
    ``chosen`` is what the model chose itself, such as a penalty; ``child`` is recorded where the
    model ran in an environment of its own.
    ``versions`` are those of Python and of installed packages, ``threads`` the numbers of threads
    and processors, ``code`` the project's own code.
    ``submission`` is recorded of predictions that somebody handed in.
    Records of earlier versions lack ``family``, ``effects``, ``n_de_genes``, ``cells``,
    ``controls``, ``threads``, ``code`` or ``submission``, and call what was submitted a baseline.
    """

    schema_version: Literal[1] = 1
    key: str
    model: str
    base_model: str
    role: Literal["model", "baseline", "ceiling", "floor", "submitted"]
    suite: str
    family: tuple[str, ...] = ()
    submission: SubmissionRecord | None = None
    dataset: DatasetRecord
    split: SplitRecord
    fold: int
    seed: int
    config: Mapping[str, object]
    de_list: str
    de_origin: str
    subgroups: Mapping[str, tuple[str, ...]]
    effects: Mapping[str, Mapping[str, float]] = {}
    n_de_genes: Mapping[str, Mapping[str, int]] = {}
    cells: Mapping[str, Mapping[str, int]] = {}
    controls: ControlsRecord | None = None
    metrics: tuple[MetricRecord, ...]
    timings: TimingRecord
    peak_memory_bytes: int
    device: str
    versions: Mapping[str, str]
    threads: Mapping[str, int | None] = {}
    code: CodeRecord | None = None
    plugins: tuple[PluginRecord, ...]
    notes: tuple[str, ...] = ()
    chosen: Mapping[str, float | int | str] = {}
    child: ChildResources | None = None
    predictions: str | None
    created: str

    def _repr_html_(self) -> str:
        """Show what was run, and the mean of each metric, in a notebook."""
        simulated = "SIMULATED DATA · " if self.dataset.simulated else ""
        means = []
        for metric in self.metrics:
            values = [item.value for item in metric.values if item.value is not None]
            mean = f"{fmean(values):.4f}" if values else "–"
            means.append((metric.name, f"{mean} over {len(values)} of {len(metric.values)}"))
        facts = [
            ("role", self.role),
            ("suite", self.suite),
            ("fold and seed", f"{self.fold + 1}, {self.seed}"),
            ("DE list", f"{self.de_list} ({self.de_origin})"),
            ("device", self.device),
            ("created", self.created),
            ("data SHA-256", self.dataset.sha256),
            ("split SHA-256", self.split.sha256),
            *means,
            *(("note", note) for note in self.notes),
        ]
        return html_table(f"{simulated}{self.model} on {self.dataset.name}", facts)

    def model_post_init(self, _: object) -> None:
        """Call what an earlier version recorded of a submission by its role."""
        if self.base_model == "submitted" and "submitted" in self.config:
            object.__setattr__(self, "role", "submitted")
