"""Everything that a plugin author imports: hooks, specs, interfaces, contexts and errors.

Read in this order: ``hookspecs`` (one hook per kind), ``specs`` (what a hook returns),
``interfaces`` (what a factory builds, and what a plugin may offer besides), ``loading``
and ``manager`` (how plugins are imported, asked and found), ``registry`` (what
``registry.yaml`` names) and ``yaml_files`` (how anybody's file is read and validated),
``configured`` (a plugin with its options), ``environment`` (registry, plugins, folders and device,
which a whole run is given), ``isolated`` (models in an environment of their own). ``faults`` and
``moved`` say what is wrong with a plugin, ``code_identity`` which code it is. Names are loaded on
first use, so that an attention module needs no pydantic. ``own_files`` says on which files a
plugin's numbers depend.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dygenept.errors import (
        ConfigError,
        DataError,
        DataUnavailableError,
        DygeneptError,
        PluginError,
        ShapeError,
        SplitError,
        nearest,
    )
    from dygenept.plugin.hookspecs import hookimpl
    from dygenept.plugin.interfaces import (
        AddsFacetVectors,
        Attention,
        AttentionOutput,
        CallPlan,
        CellEmbedder,
        CellEncoder,
        CellEncoderContext,
        CombinesGenes,
        CompilesLayers,
        ControlPool,
        CorpusEntry,
        DatasetSource,
        DatasetStatus,
        Decoder,
        DecoderContext,
        EffectMetric,
        EncodesGenes,
        FacetBatch,
        FacetRequest,
        FacetWriter,
        FetchesAnew,
        GeneEncoder,
        GeneEncoderContext,
        GeneFacets,
        GraphReport,
        HasChosen,
        HasFacetVectors,
        HasIdentityShare,
        HasLinearStart,
        HasNotes,
        HasSharedShift,
        KgSource,
        KnowledgeGraph,
        LendsFacets,
        LinearReadout,
        Metric,
        Model,
        OutlinesData,
        PartnerText,
        PlansCalls,
        PredictsCells,
        PredictsSpread,
        ReadsCorpus,
        RecomputesLayers,
        RegeneratesFacets,
        Splitter,
        TextEncoder,
        UsesChild,
    )
    from dygenept.plugin.isolated.environment import EnvironmentSpec
    from dygenept.plugin.isolated.model import IsolatedConfig, IsolatedModel, IsolatedProgram
    from dygenept.plugin.specs import (
        AttentionSpec,
        BaselineSpec,
        CellEncoderSpec,
        DatasetSpec,
        DecoderSpec,
        EffectMetricSpec,
        FacetWriterSpec,
        GeneEncoderSpec,
        KgSourceSpec,
        MappedConfig,
        MetricGuide,
        MetricSpec,
        PluginConfig,
        SplitSpec,
        TextEncoderSpec,
    )

__all__ = [
    "AddsFacetVectors",
    "Attention",
    "AttentionOutput",
    "AttentionSpec",
    "BaselineSpec",
    "CallPlan",
    "CellEmbedder",
    "CellEncoder",
    "CellEncoderContext",
    "CellEncoderSpec",
    "CombinesGenes",
    "CompilesLayers",
    "ConfigError",
    "ControlPool",
    "CorpusEntry",
    "DataError",
    "DataUnavailableError",
    "DatasetSource",
    "DatasetSpec",
    "DatasetStatus",
    "Decoder",
    "DecoderContext",
    "DecoderSpec",
    "DygeneptError",
    "EffectMetric",
    "EffectMetricSpec",
    "EncodesGenes",
    "EnvironmentSpec",
    "FacetBatch",
    "FacetRequest",
    "FacetWriter",
    "FacetWriterSpec",
    "FetchesAnew",
    "GeneEncoder",
    "GeneEncoderContext",
    "GeneEncoderSpec",
    "GeneFacets",
    "GraphReport",
    "HasChosen",
    "HasFacetVectors",
    "HasIdentityShare",
    "HasLinearStart",
    "HasNotes",
    "HasSharedShift",
    "IsolatedConfig",
    "IsolatedModel",
    "IsolatedProgram",
    "KgSource",
    "KgSourceSpec",
    "KnowledgeGraph",
    "LendsFacets",
    "LinearReadout",
    "MappedConfig",
    "Metric",
    "MetricGuide",
    "MetricSpec",
    "Model",
    "OutlinesData",
    "PartnerText",
    "PlansCalls",
    "PluginConfig",
    "PluginError",
    "PredictsCells",
    "PredictsSpread",
    "ReadsCorpus",
    "RecomputesLayers",
    "RegeneratesFacets",
    "ShapeError",
    "SplitError",
    "SplitSpec",
    "Splitter",
    "TextEncoder",
    "TextEncoderSpec",
    "UsesChild",
    "hookimpl",
    "nearest",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_home(name)), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _home(name: str) -> str:
    if name.startswith("Isolated"):
        return "dygenept.plugin.isolated.model"
    if name == "EnvironmentSpec":
        return "dygenept.plugin.isolated.environment"
    if name == "hookimpl":
        return "dygenept.plugin.hookspecs"
    if name in ("MappedConfig", "MetricGuide", "PluginConfig") or name.endswith("Spec"):
        return "dygenept.plugin.specs"
    if name == "nearest" or name.endswith("Error"):
        return "dygenept.errors"
    return "dygenept.plugin.interfaces"
