"""The types that travel along the walk, one for each arrow: frozen records.

Read in this order: ``perturbations`` (what is perturbed, in which cells), ``data`` (what is read
and how it is cut), ``cells`` (what passes over cells may use of their matrix), ``mapping`` (where a
file keeps it), ``task`` (what a model may learn from), ``runtime`` (where it runs and what is known
of genes), ``results`` (predictions, metrics' inputs, scores), ``outline`` (what is known before
values are read), ``effects`` (tables of effects), ``evidence`` (DE tests and samples of cells) and
``gene_sets`` (the genes of conditions as arrays). ``grouped`` computes areas and correlations of
many groups at once.

Dimension letters: N cells, G output genes, B batch, P perturbed genes, K facets, D width, S
sequence, H heads. Expression is always log1p of per-cell scaled counts.
"""

from __future__ import annotations

from dygenept.types.data import (
    SYMBOL_COLUMNS,
    CellBatches,
    DeGenes,
    Fold,
    PerturbationData,
    Pseudobulk,
    Split,
)
from dygenept.types.effects import EffectControls, EffectTable, GroupedPairs, KnownEffects
from dygenept.types.evidence import CellDistances, DeTests, MetricCells, PredictedCells, Rows
from dygenept.types.mapping import NO_MAPPING, DataMapping
from dygenept.types.outline import DataOutline, EncoderFootprint, FitSize, FitWork
from dygenept.types.perturbations import (
    CONTROL_LABEL,
    NAMED_COLUMNS,
    UNKNOWN_CELL_TYPE,
    BoolArray,
    Condition,
    DoubleArray,
    FloatArray,
    IntArray,
    Perturbation,
    in_cell_type,
)
from dygenept.types.results import (
    Candidates,
    ChildResources,
    MetricInputs,
    MetricValues,
    Predictions,
    Score,
    SharedByFold,
)
from dygenept.types.runtime import (
    FACETS,
    FacetSetReader,
    GeneKnowledge,
    KnowledgeReader,
    Progress,
    Runtime,
    no_report,
)
from dygenept.types.task import HeldOut, Task, TaskCells, TestedHalves

__all__ = [
    "CONTROL_LABEL",
    "FACETS",
    "NAMED_COLUMNS",
    "NO_MAPPING",
    "SYMBOL_COLUMNS",
    "UNKNOWN_CELL_TYPE",
    "BoolArray",
    "Candidates",
    "CellBatches",
    "CellDistances",
    "ChildResources",
    "Condition",
    "DataMapping",
    "DataOutline",
    "DeGenes",
    "DeTests",
    "DoubleArray",
    "EffectControls",
    "EffectTable",
    "EncoderFootprint",
    "FacetSetReader",
    "FitSize",
    "FitWork",
    "FloatArray",
    "Fold",
    "GeneKnowledge",
    "GroupedPairs",
    "HeldOut",
    "IntArray",
    "KnowledgeReader",
    "KnownEffects",
    "MetricCells",
    "MetricInputs",
    "MetricValues",
    "Perturbation",
    "PerturbationData",
    "PredictedCells",
    "Predictions",
    "Progress",
    "Pseudobulk",
    "Rows",
    "Runtime",
    "Score",
    "SharedByFold",
    "Split",
    "Task",
    "TaskCells",
    "TestedHalves",
    "in_cell_type",
    "no_report",
]
