"""Predicted against measured changes, from what a results folder keeps."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.errors import ResultsError
from dygenept.leaderboard.metric_table import Unit
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore, read_kept_table
from dygenept.results.top_changes import (
    N_TOP,
    KeptChanges,
    changes_from_predictions,
    keep_changes,
    read_changes,
)
from dygenept.results.truth import KeptTruth, kept_truth, truth_key
from dygenept.types import DoubleArray, IntArray

logger = logging.getLogger(__name__)

NO_TRUTH = (
    "the results folder does not keep what was measured; run the bench again with "
    "--keep-predictions, which keeps it from now on"
)
NO_PREDICTIONS = "no predictions are kept; run the bench again with --keep-predictions --no-resume"
OF_EFFECTS = "a table of effects has no expression to compare"


@dataclass(frozen=True, slots=True)
class TopChanges:
    """Changes of the top-20 DE genes of each held-out condition.

    Attributes:
        symbols: Gene symbols, (G,).
        genes: Positions in ``symbols``, (n, 20), padded with -1.
        true: Measured changes of log1p expression, (n, 20), NaN where there is no gene.
        predicted: By model, predicted changes, (n, 20), NaN where nothing is kept.
    """

    symbols: tuple[str, ...]
    genes: IntArray
    true: DoubleArray
    predicted: Mapping[str, DoubleArray]


def top_changes(
    store: ResultsStore, records: Sequence[RunRecord], units: Sequence[Unit]
) -> TopChanges | str:
    """Read the changes of the top-20 genes of every held-out condition.

    Returns:
        The changes, or in one sentence why there are none.
    """
    if records[0].dataset.kind == "effects":
        return OF_EFFECTS
    truth = kept_truth(store, records[0])
    if truth is None:
        return NO_TRUTH
    key = truth_key(records[0].dataset, records[0].de_list)
    genes = np.full((len(units), N_TOP), -1, dtype=np.int32)
    true = np.full((len(units), N_TOP), np.nan)
    for place, unit in enumerate(units):
        row = truth.rows.get((unit.perturbation, unit.cell_type))
        if row is not None:
            named = truth.top[row][:N_TOP]
            genes[place, : len(named)] = named
            true[place, : len(named)] = truth.delta[row, list(named)]
    place_of: dict[tuple[int, str, str], int] = {unit: of for of, unit in enumerate(units)}
    predicted: dict[str, DoubleArray] = {}
    for record in records:
        found = _kept_changes(store, record, truth, key)
        if found is None:
            continue
        values = predicted.setdefault(record.model, np.full((len(units), N_TOP), np.nan))
        places = np.array([place_of.get((record.fold, *of), -1) for of in found.named], dtype=int)
        fits = (places >= 0) & (found.genes == genes[places]).all(axis=1)
        values[places[fits]] = found.changes[fits]
    return TopChanges(truth.gene_symbols, genes, true, predicted) if predicted else NO_PREDICTIONS


def _kept_changes(
    store: ResultsStore, record: RunRecord, truth: KeptTruth, key: str
) -> KeptChanges | None:
    """Return one record's changes; None where nothing usable is kept, which is named in the log."""
    path = store.predictions_path(record)
    if path is None:
        return None
    found = read_changes(path, key)
    if found is not None:
        return found
    own = {
        (item.perturbation, item.cell_type) for metric in record.metrics for item in metric.values
    }
    top = {named: truth.top[row][:N_TOP] for named, row in truth.rows.items() if named in own}
    try:
        found = changes_from_predictions(path, truth.gene_ids, top, truth.control)
    except ResultsError as error:
        logger.warning("%s; left out", error)
        return None
    keep_changes(store, path, found, key)
    return found


def predicted_changes(
    store: ResultsStore, record: RunRecord, truth: KeptTruth
) -> tuple[dict[tuple[str, str], int], DoubleArray] | None:
    """Read one record's kept predictions as changes from the mean of the measured controls.

    Returns:
        The row of each perturbation and cell type, and the changes, (n, G); None where nothing
        usable is kept. Damaged predictions are named in the log.
    """
    path = store.predictions_path(record)
    if path is None:
        return None
    try:
        table = read_kept_table(path)
    except ResultsError as error:
        logger.warning("%s; left out", error)
        return None
    named = list(zip(table["perturbation"], table["cell_type"], strict=True))
    genes = list(truth.gene_ids)
    if not set(genes) <= set(table.columns) or not {of for _, of in named} <= truth.control.keys():
        logger.warning("%s does not fit the measured cells; left out", path)
        return None
    if table.columns[2:] != genes:
        table = table.select(["perturbation", "cell_type", *genes])
    values = table.drop("perturbation", "cell_type").to_numpy().astype(np.float64)
    baseline = np.stack([truth.control[cell_type] for _, cell_type in named])
    return {of: row for row, of in enumerate(named)}, values - baseline


@dataclass(frozen=True, slots=True)
class ConditionChanges:
    """Changes of every gene of one held-out condition.

    Attributes:
        symbols: Gene symbols, (G,).
        top: Positions of its top-20 DE genes.
        true: Measured changes, (G,).
        predicted: Predicted changes, (G,).
    """

    symbols: tuple[str, ...]
    top: tuple[int, ...]
    true: DoubleArray
    predicted: DoubleArray


def condition_changes(store: ResultsStore, record: RunRecord, unit: Unit) -> ConditionChanges | str:
    """Read the changes of all genes of one condition under one model, or say why there are none.

    Args:
        store: The results folder.
        record: The record of the model on the unit's fold.
        unit: The held-out condition.
    """
    if record.dataset.kind == "effects":
        return OF_EFFECTS
    truth = kept_truth(store, record)
    if truth is None:
        return NO_TRUTH
    found = predicted_changes(store, record, truth)
    named = (unit.perturbation, unit.cell_type)
    if found is None or named not in found[0] or named not in truth.rows:
        return NO_PREDICTIONS
    row = truth.rows[named]
    rows, delta = found
    return ConditionChanges(
        symbols=truth.gene_symbols,
        top=truth.top[row][:N_TOP],
        true=truth.delta[row],
        predicted=delta[rows[named]],
    )
