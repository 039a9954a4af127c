"""The hooks: one per plugin kind, each returning the specs that a plugin adds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dygenept.plugin import specs

PROJECT = "dygenept"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def dygenept_datasets() -> Sequence[specs.DatasetSpec]:  # type: ignore[empty-body]
    """Return data sources."""


@hookspec
def dygenept_splits() -> Sequence[specs.SplitSpec]:  # type: ignore[empty-body]
    """Return split protocols."""


@hookspec
def dygenept_gene_encoders() -> Sequence[specs.GeneEncoderSpec]:  # type: ignore[empty-body]
    """Return gene encoders."""


@hookspec
def dygenept_text_encoders() -> Sequence[specs.TextEncoderSpec]:  # type: ignore[empty-body]
    """Return text encoders."""


@hookspec
def dygenept_facet_writers() -> Sequence[specs.FacetWriterSpec]:  # type: ignore[empty-body]
    """Return facet writers."""


@hookspec
def dygenept_kg_sources() -> Sequence[specs.KgSourceSpec]:  # type: ignore[empty-body]
    """Return knowledge-graph sources."""


@hookspec
def dygenept_cell_encoders() -> Sequence[specs.CellEncoderSpec]:  # type: ignore[empty-body]
    """Return cell encoders."""


@hookspec
def dygenept_attention() -> Sequence[specs.AttentionSpec]:  # type: ignore[empty-body]
    """Return attention modules."""


@hookspec
def dygenept_decoders() -> Sequence[specs.DecoderSpec]:  # type: ignore[empty-body]
    """Return decoders."""


@hookspec
def dygenept_baselines() -> Sequence[specs.BaselineSpec]:  # type: ignore[empty-body]
    """Return baselines and other whole models."""


@hookspec
def dygenept_metrics() -> Sequence[specs.MetricSpec]:  # type: ignore[empty-body]
    """Return metrics."""


@hookspec
def dygenept_effect_metrics() -> Sequence[specs.EffectMetricSpec]:  # type: ignore[empty-body]
    """Return metrics of tables of effects."""
