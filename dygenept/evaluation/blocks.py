"""Metrics that look at one condition at a time, computed in blocks of conditions and in threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dygenept.machine.tables import give_back_pages
from dygenept.machine.threads import in_threads
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import Metric
from dygenept.plugin.specs import MetricSpec
from dygenept.types import DeTests, MetricInputs, MetricValues

# So many rows of some thousand genes stay in the processor's cache.
BLOCK_ROWS = 64


def in_blocks(
    metrics: Sequence[tuple[MetricSpec, Metric]], inputs: MetricInputs
) -> list[MetricValues]:
    """Compute metrics of which each value depends on its own condition alone.

    A block goes through all metrics while it is in the cache, and what several of them make of it
    (``MetricInputs.once``) is made once.

    Returns:
        What each metric returns for all of them at once.

    Raises:
        PluginError: If a metric's code fails.
    """
    if not metrics:
        return []
    starts = range(0, len(inputs.conditions), BLOCK_ROWS)
    if len(starts) < 2:
        return values_of(metrics, inputs)
    parts = in_threads(lambda start: values_of(metrics, _block(inputs, start)), starts)
    return [_joined(of_blocks, starts) for of_blocks in zip(*parts, strict=True)]


def values_of(
    metrics: Sequence[tuple[MetricSpec, Metric]], inputs: MetricInputs
) -> list[MetricValues]:
    """Compute metrics of all conditions at once, one after the other."""
    found = []
    for spec, metric in metrics:
        with plugin_code(f"metric {spec.name!r}"):
            found.append(metric(inputs))
    give_back_pages()
    return found


def _joined(parts: Sequence[MetricValues], starts: Sequence[int]) -> MetricValues:
    for part in parts:
        if not isinstance(part, MetricValues):
            return part  # The caller refuses it.
    chances = [part.chance for part in parts if part.chance is not None]
    return MetricValues(
        values=np.concatenate([part.values for part in parts]),
        reasons={
            start + row: reason
            for start, part in zip(starts, parts, strict=True)
            for row, reason in part.reasons.items()
        },
        chance=np.concatenate(chances) if len(chances) == len(parts) else None,
    )


def _block(inputs: MetricInputs, start: int) -> MetricInputs:
    """Return some rows as views, not as copies."""
    rows = slice(start, start + BLOCK_ROWS)
    tests, halves = inputs.de_tests, inputs.control_halves
    positions = np.arange(len(inputs.conditions))[rows]
    block = replace(
        inputs,
        conditions=inputs.conditions[rows],
        predicted=inputs.predicted[rows],
        truth=inputs.truth[rows],
        control=inputs.control[rows],
        perturbed_mean=inputs.perturbed_mean[rows],
        de_indices=inputs.de_indices[rows],
        de_tests=None
        if tests is None
        else DeTests(tests.is_significant[rows], tests.scores_vs_rest[rows]),
        cells=None if inputs.cells is None else inputs.cells.take(positions),
        control_halves=None if halves is None else halves[:, rows],
        spread=None if inputs.spread is None else inputs.spread[rows],
        single_deltas=inputs.single_deltas[rows],
        predicted_cells=(
            None if inputs.predicted_cells is None else inputs.predicted_cells.take(positions)
        ),
    )
    return block if inputs.shared is None else block.sharing(inputs.shared.block(start))
