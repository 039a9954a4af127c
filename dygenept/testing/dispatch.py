"""One entry for all kinds: checks any plugin by its spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dygenept.errors import PluginError
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
    MetricSpec,
    PluginSpec,
    SplitSpec,
    TextEncoderSpec,
)
from dygenept.testing.baseline_checks import check_baseline
from dygenept.testing.dataset_checks import check_dataset
from dygenept.testing.effect_metric_checks import check_effect_metric
from dygenept.testing.encoder_checks import check_cell_encoder, check_gene_encoder
from dygenept.testing.knowledge_checks import (
    check_facet_writer,
    check_kg_source,
    check_text_encoder,
)
from dygenept.testing.metric_checks import check_metric
from dygenept.testing.network_checks import check_attention, check_decoder
from dygenept.testing.split_checks import check_split

CHECKS: Mapping[type[PluginSpec], Callable[..., None]] = {
    DatasetSpec: check_dataset,
    SplitSpec: check_split,
    GeneEncoderSpec: check_gene_encoder,
    TextEncoderSpec: check_text_encoder,
    FacetWriterSpec: check_facet_writer,
    KgSourceSpec: check_kg_source,
    CellEncoderSpec: check_cell_encoder,
    AttentionSpec: check_attention,
    DecoderSpec: check_decoder,
    BaselineSpec: check_baseline,
    MetricSpec: check_metric,
    EffectMetricSpec: check_effect_metric,
}


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
    for spec_class, check in CHECKS.items():
        if isinstance(spec, spec_class):
            check(spec, options=options)
            return
    raise PluginError(f"{type(spec).__name__} is not a spec class of dygenept.plugin.specs")
