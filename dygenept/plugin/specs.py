"""Specs: the frozen records that plugins return, one class per plugin kind.

A spec says what a plugin is; its factory builds it and does the heavy imports, so that listing
plugins loads neither torch nor transformers. The base classes of its options are here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from dygenept.types.mapping import DataMapping

if TYPE_CHECKING:
    from dygenept.plugin import interfaces
    from dygenept.plugin.isolated.environment import EnvironmentSpec
    from dygenept.types import (
        DoubleArray,
        EncoderFootprint,
        FitSize,
        FitWork,
        GeneKnowledge,
        GroupedPairs,
        IntArray,
        Runtime,
    )
    from dygenept.types.effects import EffectKind


class PluginConfig(BaseModel):
    """Base of every plugin's configuration: frozen, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSpec:
    """What every plugin declares.

    Attributes:
        name: Lower snake case, or several such words joined by ``+``; unique within its kind.
        summary: One line.
        source: Paper, DOI or "this project".
        config: Configuration class; its defaults are the plugin's defaults.
        requires: Optional distributions that the factory needs.
        extra: The extra of the plugin's distribution that brings them, where there is one.
        missing: Says in one sentence what this configuration needs that is not on this machine
            (weights, say), or None where all is there; looks only at the disk.
        label: Words that the shown name of every model with this configuration must carry, such as
            ``random weights``, so that it is not taken for another; None for none.
        check_options: Options with which the conformance check builds it, where the defaults are
            too large for a check or do not suffice.
    """

    kind: ClassVar[str]
    name: str
    summary: str
    source: str
    config: type[PluginConfig] = PluginConfig
    requires: tuple[str, ...] = ()
    extra: str = ""
    missing: Callable[[Any], str | None] | None = None
    label: Callable[[Any], str | None] | None = None
    check_options: Mapping[str, object] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec(PluginSpec):
    """A data source; ``registry.yaml`` names data sets that a source can open.

    Attributes:
        gives: What its data sets are: ``cells``, or tables of ``effects``.
        streams: ``load`` keeps cells in a file where they take more than ``runtime.memory``, as
            ``read_anndata`` does with ``limit=MemoryLimit.of(runtime)``. A data set of another
            source is refused where it does not fit.
    """

    kind: ClassVar[str] = "datasets"
    factory: Callable[[Any], interfaces.DatasetSource]
    gives: Literal["cells", "effects"] = "cells"
    streams: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitSpec(PluginSpec):
    """A split protocol.

    Attributes:
        version: Raised when the same seed gives other folds.
    """

    kind: ClassVar[str] = "splits"
    factory: Callable[[Any], interfaces.Splitter]
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneEncoderSpec(PluginSpec):
    """Perturbed genes to facet embeddings.

    Attributes:
        widen: Adds facets of its own to those of a model's facet set, of the same genes; the
            encoder is built with the outcome, a saved model keeps it, and a control such as
            ``shuffled`` is made of it whole. None leaves the facet set as it is.
    """

    kind: ClassVar[str] = "gene_encoders"
    factory: Callable[[Any, interfaces.GeneEncoderContext], interfaces.GeneEncoder]
    widen: Callable[[Any, GeneKnowledge, Runtime], GeneKnowledge] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncoderSpec(PluginSpec):
    """Text to vectors."""

    kind: ClassVar[str] = "text_encoders"
    factory: Callable[[Any], interfaces.TextEncoder]


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetWriterSpec(PluginSpec):
    """Genes to facet texts."""

    kind: ClassVar[str] = "facet_writers"
    factory: Callable[[Any], interfaces.FacetWriter]


@dataclass(frozen=True, slots=True, kw_only=True)
class KgSourceSpec(PluginSpec):
    """Genes to weighted edges."""

    kind: ClassVar[str] = "kg_sources"
    factory: Callable[[Any], interfaces.KgSource]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellEncoderSpec(PluginSpec):
    """Control cells to cell states.

    Attributes:
        embed_options: Options under which it gives the raw embedding that ``dygenept embed``
            writes (see ``CellEmbedder``); None where it has no pretrained embedding.
        footprint: What a configuration takes for control cells with these numbers of expressed
            genes, (n_controls,), on a device; ``dygenept bench --dry-run`` plans with it. None
            where that is not known.
    """

    kind: ClassVar[str] = "cell_encoders"
    factory: Callable[[Any, interfaces.CellEncoderContext], interfaces.CellEncoder]
    embed_options: Mapping[str, object] | None = None
    footprint: Callable[[Any, IntArray, str], EncoderFootprint] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionSpec(PluginSpec):
    """Facets and a cell state to one dynamic embedding per gene; the factory gets the width D."""

    kind: ClassVar[str] = "attention"
    factory: Callable[[Any, int], interfaces.Attention]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSpec(PluginSpec):
    """Dynamic embeddings and a cell state to expression."""

    kind: ClassVar[str] = "decoders"
    factory: Callable[[Any, interfaces.DecoderContext], interfaces.Decoder]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSpec(PluginSpec):
    """A whole model in one plugin.

    Attributes:
        role: ``baseline`` for a model that learns from the task; ``ceiling`` or ``floor`` for a
            control that is handed the truth and never counts as a competitor.
        needs_cells: True if ``fit`` reads single cells; else only pseudobulk means are given.
        reads_halves: Of a ceiling or floor: False if it does not read ``HeldOut.half_means``, which
            are then not drawn.
        closed_form: True if bench runs it when no model is named.
        uses_device: True if it computes on the run's device; else it is given ``cpu``.
        knowledge: Names the facet set or file that a configuration reads gene embeddings from, or
            None; the harness checks it before the first job and records it.
        environment: The environment of its own that a configuration runs in; the harness builds
            it before the first job.
        learns_from: Kinds of data sets that it learns from: ``cells``, and tables of ``effects``,
            of which it reads ``Task.means`` (filled) and may read ``Task.effects``.
        fit_bytes: Bytes that fitting and predicting take at most beside the task, from the
            configuration and the sizes of a fold; a limit on memory refuses it where they do not
            fit. None for a model that goes through conditions in parts.
        fit_work: Steps that fitting and predicting take, from the same; ``bench --dry-run`` makes
            seconds of them. None where that is not known: some passes over the means are assumed
            of a closed-form model, and nothing of others.
    """

    kind: ClassVar[str] = "baselines"
    factory: Callable[[Any], interfaces.Model]
    role: Literal["baseline", "ceiling", "floor"] = "baseline"
    needs_cells: bool = False
    reads_halves: bool = True
    closed_form: bool = True
    uses_device: bool = False
    knowledge: Callable[[Any], str | None] | None = None
    environment: Callable[[Any], EnvironmentSpec] | None = None
    learns_from: tuple[Literal["cells", "effects"], ...] = ("cells",)
    fit_bytes: Callable[[Any, FitSize], int] | None = None
    fit_work: Callable[[Any, FitSize], FitWork] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricGuide:
    """How a metric is read, for people; ``docs/metrics.md`` is made of it.

    Attributes:
        formula: Its formula, in the letters of ``docs/metrics.md``.
        chance: What a guess gets, in words, where it depends on the data.
        misleads: When its value says something else than it seems to.
        use: When to use it.
    """

    formula: str
    misleads: str
    use: str
    chance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec(PluginSpec):
    """A score of held-out conditions.

    Attributes:
        higher_is_better: Direction.
        lower: Smallest possible value; None where unbounded.
        upper: Largest possible value; None where unbounded.
        neutral: Value that an undefined case counts as in aggregates; None leaves it out.
        chance: What a guess that knows nothing of the perturbation gets on average; None where
            there is no such level, or where it depends on the data and ``MetricValues`` says it.
        is_correlation: True if it correlates prediction and truth within a condition, so that the
            Spearman-Brown formula says what it would be with more cells.
        undefined: When it is undefined, in words; empty where it never is.
        uses_de_genes: True if it reads the top-20 DE lists.
        uses_de_tests: True if it reads the DE tests of every gene; they are computed only then.
        uses_cells: True if it reads samples of cells; they are drawn only then.
        uses_control_halves: True if it reads halves of the control cells.
        uses_spread: True if it reads the spread that a model may offer; models are asked only then.
        uses_singles: True if it reads the single perturbations of combinations.
        uses_predicted_cells: True if it reads the cells that a model predicts, if any.
        by_row: True if the value of a condition does not depend on the other conditions; it is then
            computed in blocks of conditions, in threads.
        concurrent: True if it may be computed in several threads at once for different inputs, as
            one that keeps nothing between calls may be; those that are ``by_row`` are anyway.
        boards: When it is scored although neither a run nor its suite names metrics: always
            (``default``), only where control cells are few (``few_controls``), or never
            (``named``).
        guide: How to read it; None says nothing.
    """

    kind: ClassVar[str] = "metrics"
    factory: Callable[[Any], interfaces.Metric]
    higher_is_better: bool
    lower: float | None = None
    upper: float | None = None
    neutral: float | None = None
    chance: float | None = None
    is_correlation: bool = False
    undefined: str = ""
    uses_de_genes: bool = False
    uses_de_tests: bool = False
    uses_cells: bool = False
    uses_control_halves: bool = False
    uses_spread: bool = False
    uses_singles: bool = False
    uses_predicted_cells: bool = False
    by_row: bool = False
    concurrent: bool = False
    boards: Literal["default", "few_controls", "named"] = "default"
    guide: MetricGuide | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectMetricSpec(PluginSpec):
    """A score of a table of effects, over the pairs that were measured.

    Attributes:
        unit: What has one value each: a ``gene`` over the held-out perturbations, or a held-out
            ``perturbation`` over the genes.
        values: Kinds of values that it scores; see ``EffectKind``.
        min_pairs: Units with fewer measured pairs are undefined.
        higher_is_better: Direction.
        lower: Smallest possible value; None where unbounded.
        upper: Largest possible value; None where unbounded.
        chance: What a guess is worth, computed as the metric is; None where it has no such value.
        undefined: When it is undefined, in words; empty where it never is.
        leads: True of a metric that boards show first.
        by_default: True if it is scored where no metric is named.
        lowers_ties: True if tied predictions are worth less than the same in any order, on average:
            whoever puts them in some order gains, and knows nothing. Claims take them as ordered at
            random.
        guide: How to read it; None says nothing.
    """

    kind: ClassVar[str] = "effect_metrics"
    factory: Callable[[Any], interfaces.EffectMetric]
    unit: Literal["gene", "perturbation"]
    values: tuple[EffectKind, ...]
    min_pairs: int = 1
    higher_is_better: bool
    lower: float | None = None
    upper: float | None = None
    chance: Callable[[GroupedPairs], DoubleArray] | None = None
    undefined: str = ""
    leads: bool = False
    by_default: bool = True
    lowers_ties: bool = False
    guide: MetricGuide | None = None


SPEC_CLASSES: tuple[type[PluginSpec], ...] = (
    DatasetSpec,
    SplitSpec,
    GeneEncoderSpec,
    TextEncoderSpec,
    FacetWriterSpec,
    KgSourceSpec,
    CellEncoderSpec,
    AttentionSpec,
    DecoderSpec,
    BaselineSpec,
    MetricSpec,
    EffectMetricSpec,
)
KINDS: tuple[str, ...] = tuple(spec_class.kind for spec_class in SPEC_CLASSES)


class MappedConfig(PluginConfig):
    """Base of the configuration of a source that reads a file by ``read_anndata``.

    The fields are those of ``DataMapping``; a registry entry sets them, and so do the flags of the
    command line. ``normalize`` scales raw counts and takes log1p.
    """

    normalize: bool = False
    condition_column: str | None = None
    control: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    separator: str | None = None
    guide_pattern: str | None = None
    symbol_column: str | None = None
    layer: str | None = None
    cell_type_column: str | None = None
    batch_column: str | None = None
    match_batches: bool | None = None
    value_column: str | None = None
    control_cells: str | None = None

    @field_validator("control", "drop", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    def mapping(self) -> DataMapping:
        """Return where the file keeps what is needed."""
        names = {field.name for field in fields(DataMapping)}
        return DataMapping(**self.model_dump(include=names))
