"""What each plugin kind must do: one small protocol or base class a kind.

Importing this package loads no torch; the neural interfaces name ``torch`` in annotations alone.
"""

from __future__ import annotations

from dygenept.plugin.interfaces.bench import (
    DatasetSource,
    DatasetStatus,
    Metric,
    Model,
    Persistable,
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

__all__ = [
    "Attention",
    "AttentionOutput",
    "CallPlan",
    "CellEmbedder",
    "CellEncoder",
    "CellEncoderContext",
    "ControlPool",
    "CorpusEntry",
    "DatasetSource",
    "DatasetStatus",
    "Decoder",
    "DecoderContext",
    "FacetBatch",
    "FacetRequest",
    "FacetWriter",
    "GeneEncoder",
    "GeneEncoderContext",
    "GeneFacets",
    "GraphReport",
    "KgSource",
    "KnowledgeGraph",
    "Metric",
    "Model",
    "PartnerText",
    "Persistable",
    "PlansCalls",
    "ReadsCorpus",
    "RegeneratesFacets",
    "Splitter",
    "TextEncoder",
]
