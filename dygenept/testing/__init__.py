"""Toy data and one conformance check per plugin kind, for the project and for third parties.

Read in this order: ``toy`` and ``toy_knowledge`` (what checks run on), ``rules`` (how a broken rule
is reported), ``dispatch`` (which check a plugin gets), the checks of one kind or two
(``dataset_checks``, ``split_checks``, ``knowledge_checks``, ``encoder_checks``,
``network_checks``, ``baseline_checks``, ``metric_checks``, ``effect_metric_checks``), and
``leak_checks`` (models that cheat on purpose).
"""

from __future__ import annotations

from dygenept.testing.baseline_checks import check_baseline, check_isolated
from dygenept.testing.dataset_checks import check_dataset
from dygenept.testing.dispatch import check_plugin
from dygenept.testing.effect_metric_checks import check_effect_metric
from dygenept.testing.encoder_checks import check_cell_encoder, check_gene_encoder
from dygenept.testing.knowledge_checks import (
    check_facet_writer,
    check_kg_source,
    check_text_encoder,
)
from dygenept.testing.leak_checks import Secrets, cheat
from dygenept.testing.metric_checks import check_metric
from dygenept.testing.network_checks import check_attention, check_decoder
from dygenept.testing.rules import ConformanceError, NotCheckedError
from dygenept.testing.split_checks import check_split
from dygenept.testing.toy import ToyShape, toy_data, toy_fold, toy_task, write_toy_h5ad
from dygenept.testing.toy_knowledge import (
    small_metric_inputs,
    toy_control_pool,
    toy_knowledge,
    toy_metric_inputs,
)

__all__ = [
    "ConformanceError",
    "NotCheckedError",
    "Secrets",
    "ToyShape",
    "cheat",
    "check_attention",
    "check_baseline",
    "check_cell_encoder",
    "check_dataset",
    "check_decoder",
    "check_effect_metric",
    "check_facet_writer",
    "check_gene_encoder",
    "check_isolated",
    "check_kg_source",
    "check_metric",
    "check_plugin",
    "check_split",
    "check_text_encoder",
    "small_metric_inputs",
    "toy_control_pool",
    "toy_data",
    "toy_fold",
    "toy_knowledge",
    "toy_metric_inputs",
    "toy_task",
    "write_toy_h5ad",
]
