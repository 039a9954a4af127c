"""What each plugin kind must do, and what a plugin may offer besides.

Read in this order: ``bench`` (data sets, splits, models, metrics), ``knowledge`` (facet writers,
text encoders, graphs), ``networks`` (the four parts of DyGenePT, which are torch modules), and
``offers`` (optional protocols, such as a decoder that can be started in closed form). Importing
this package does not load torch, which appears only in annotations.
"""

from __future__ import annotations

from dygenept.plugin.interfaces.bench import (
    DatasetSource,
    DatasetStatus,
    Metric,
    Model,
    Splitter,
)
from dygenept.plugin.interfaces.knowledge import (
    CallPlan,
    CorpusEntry,
    FacetRequest,
    FacetWriter,
    GeneFacets,
    GraphReport,
    KgSource,
    KnowledgeGraph,
    PartnerText,
    PlansCalls,
    ReadsCorpus,
    RegeneratesFacets,
    TextEncoder,
)
from dygenept.plugin.interfaces.networks import (
    Attention,
    AttentionOutput,
    CellEmbedder,
    CellEncoder,
    CellEncoderContext,
    ControlPool,
    Decoder,
    DecoderContext,
    FacetBatch,
    GeneEncoder,
    GeneEncoderContext,
)
from dygenept.plugin.interfaces.offers import (
    CompilesLayers,
    FetchesAnew,
    HasChosen,
    HasFacetVectors,
    HasIdentityShare,
    HasNotes,
    HasSharedShift,
    LinearReadout,
    PredictsCells,
    RecomputesLayers,
    UsesChild,
)

__all__ = [
    "Attention",
    "AttentionOutput",
    "CallPlan",
    "CellEmbedder",
    "CellEncoder",
    "CellEncoderContext",
    "CompilesLayers",
    "ControlPool",
    "CorpusEntry",
    "DatasetSource",
    "DatasetStatus",
    "Decoder",
    "DecoderContext",
    "FacetBatch",
    "FacetRequest",
    "FacetWriter",
    "FetchesAnew",
    "GeneEncoder",
    "GeneEncoderContext",
    "GeneFacets",
    "GraphReport",
    "HasChosen",
    "HasFacetVectors",
    "HasIdentityShare",
    "HasNotes",
    "HasSharedShift",
    "KgSource",
    "KnowledgeGraph",
    "LinearReadout",
    "Metric",
    "Model",
    "PartnerText",
    "PlansCalls",
    "PredictsCells",
    "ReadsCorpus",
    "RecomputesLayers",
    "RegeneratesFacets",
    "Splitter",
    "TextEncoder",
    "UsesChild",
]
