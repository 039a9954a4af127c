"""One entry for all kinds: checks any plugin by its spec."""

from __future__ import annotations

from collections.abc import Mapping

from dygenept.errors import PluginError
from dygenept.plugin.specs import (
    AttentionSpec,
    BaselineSpec,
    CellEncoderSpec,
    DatasetSpec,
    DecoderSpec,
    FacetWriterSpec,
    GeneEncoderSpec,
    KgSourceSpec,
    MetricSpec,
    PluginSpec,
    SplitSpec,
    TextEncoderSpec,
)
from dygenept.testing.baseline_checks import check_baseline
from dygenept.testing.dataset_checks import check_dataset
from dygenept.testing.encoder_checks import check_cell_encoder, check_gene_encoder
from dygenept.testing.knowledge_checks import (
    check_facet_writer,
    check_kg_source,
    check_text_encoder,
)
from dygenept.testing.metric_checks import check_metric
from dygenept.testing.network_checks import check_attention, check_decoder
from dygenept.testing.split_checks import check_split


def check_plugin(spec: PluginSpec, *, options: Mapping[str, object] | None = None) -> None:
    """Check a plugin against the rules of its kind.

    Args:
        spec: The plugin.
        options: Its options; None takes its ``check_options``, over its defaults.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If the plugin needs something that is not here; the message says what.
        PluginError: If the spec is of no known kind.
    """
    match spec:
        case DatasetSpec():
            check_dataset(spec, options=options)
        case SplitSpec():
            check_split(spec, options=options)
        case GeneEncoderSpec():
            check_gene_encoder(spec, options=options)
        case TextEncoderSpec():
            check_text_encoder(spec, options=options)
        case FacetWriterSpec():
            check_facet_writer(spec, options=options)
        case KgSourceSpec():
            check_kg_source(spec, options=options)
        case CellEncoderSpec():
            check_cell_encoder(spec, options=options)
        case AttentionSpec():
            check_attention(spec, options=options)
        case DecoderSpec():
            check_decoder(spec, options=options)
        case BaselineSpec():
            check_baseline(spec, options=options)
        case MetricSpec():
            check_metric(spec, options=options)
        case _:
            raise PluginError(f"{type(spec).__name__} is not a spec class of dygenept.plugin.specs")
