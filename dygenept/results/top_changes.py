"""Predicted changes of the top-20 DE genes, kept beside predictions so that pages read little.

``predictions/<key>.top.npz`` has, for each held-out condition, its perturbation, cell type, the
positions of its top-20 genes and the predicted changes (predicted minus control mean of log1p
expression), with a checksum of the predictions and the key of the truth that they belong to. It is
derived: where it is missing or fits no longer, it is made again from the predictions.
"""

from __future__ import annotations

import io
import logging
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dygenept.errors import DygeneptError, ResultsError
from dygenept.machine.reading import read_arrays
from dygenept.machine.whole_files import write_whole
from dygenept.results.provenance import DatasetRecord
from dygenept.results.store import ResultsStore, read_kept_table
from dygenept.results.truth import truth_key
from dygenept.types import (
    DeGenes,
    DoubleArray,
    FloatArray,
    IntArray,
    PerturbationData,
    Predictions,
    Pseudobulk,
)

logger = logging.getLogger(__name__)

N_TOP = 20
Named = tuple[str, str]


@dataclass(frozen=True, slots=True)
class KeptChanges:
    """Predicted changes of one record.

    Attributes:
        named: Perturbation and cell type of each row.
        genes: Positions of its top-20 genes, (n, 20), padded with -1.
        changes: Predicted changes, (n, 20), float32; NaN where there is no gene.
    """

    named: tuple[Named, ...]
    genes: IntArray
    changes: FloatArray

    @classmethod
    def of(
        cls,
        named: Sequence[Named],
        genes: IntArray,
        expression: DoubleArray,
        control: Mapping[str, DoubleArray],
    ) -> KeptChanges:
        """Take the top genes' changes out of predictions.

        Args:
            named: Perturbation and cell type of each row.
            genes: Positions of each row's top-20 genes, (n, 20), padded with -1.
            expression: Predicted mean log1p expression, (n, G).
            control: Control mean of each cell type, (G,), as it is kept in ``truth/``.
        """
        places = np.maximum(genes, 0)
        changes = np.take_along_axis(expression, places, axis=1)
        for row, (_, cell_type) in enumerate(named):
            changes[row] -= control[cell_type][places[row]]
        changes[genes < 0] = np.nan
        return cls(tuple(named), genes.astype(np.int32), changes.astype(np.float32))


def top_path(predictions: Path) -> Path:
    """Return where the changes of kept predictions belong."""
    return predictions.with_suffix(".top.npz")


def keep_changes(store: ResultsStore, predictions: Path, kept: KeptChanges, truth: str) -> None:
    """Write changes beside the predictions that they were taken from.

    Nothing depends on them: a folder that cannot be written is left as it is.

    Args:
        store: The results folder.
        predictions: The file of predictions.
        kept: Their changes.
        truth: Key of the truth that control means and top genes are from.
    """
    if not store.is_writer:
        return
    buffer = io.BytesIO()
    np.savez(
        buffer,
        perturbation=np.array([label for label, _ in kept.named], dtype=str),
        cell_type=np.array([of for _, of in kept.named], dtype=str),
        genes=kept.genes,
        changes=kept.changes,
        stamp=np.array([truth, _checksum(predictions)], dtype=str),
    )
    try:
        path = top_path(predictions)
        store.clear_leftovers(path)
        write_whole(path, buffer.getvalue())
    except OSError as error:
        logger.debug("%s; pages will read the predictions", error)


def read_changes(predictions: Path, truth: str) -> KeptChanges | None:
    """Read the changes beside predictions; None where there are none, or they do not fit.

    Args:
        predictions: The file of predictions.
        truth: Key of the truth that they must belong to.
    """
    path = top_path(predictions)
    if not path.is_file():
        return None
    try:
        found = read_arrays(path)
        stamp = found["stamp"].tolist()
        named = tuple(zip(found["perturbation"].tolist(), found["cell_type"].tolist(), strict=True))
        genes, changes = found["genes"], found["changes"]
    except (DygeneptError, KeyError, ValueError, TypeError) as error:
        logger.debug("%s cannot be read (%s)", path, error)
        return None
    fits = (
        stamp == [truth, _checksum(predictions)]
        and genes.shape == changes.shape == (len(named), N_TOP)
        and genes.dtype == np.int32
        and changes.dtype == np.float32
        and bool((np.isfinite(changes) == (genes >= 0)).all())
    )
    return KeptChanges(named, genes, changes) if fits else None


def changes_from_predictions(
    predictions: Path,
    gene_ids: Sequence[str],
    top: Mapping[Named, Sequence[int]],
    control: Mapping[str, DoubleArray],
) -> KeptChanges:
    """Read the changes of the top genes from predictions; no other gene is read.

    Args:
        predictions: The file of predictions.
        gene_ids: Gene identifiers, (G,).
        top: Positions of the top-20 genes by perturbation and cell type; what it lacks has none.
        control: Control mean of each cell type, (G,).

    Raises:
        ResultsError: If they are damaged, or do not fit the measured cells.
    """
    used = sorted({gene for genes in top.values() for gene in genes})
    table = read_kept_table(predictions, [gene_ids[gene] for gene in used])
    named = list(zip(table["perturbation"], table["cell_type"], strict=True))
    if not {cell_type for _, cell_type in named} <= control.keys():
        raise ResultsError(f"{predictions} does not fit the measured cells")
    genes = np.full((len(named), N_TOP), -1, dtype=np.int32)
    for row, of in enumerate(named):
        own = tuple(top.get(of, ()))[:N_TOP]
        genes[row, : len(own)] = own
    values = table.drop("perturbation", "cell_type").to_numpy().astype(np.float64)
    places = np.where(genes >= 0, np.searchsorted(used, genes), -1).astype(np.int32)
    own_control = {cell_type: mean[used] for cell_type, mean in control.items()}
    found = KeptChanges.of(named, places, values, own_control)
    return KeptChanges(found.named, genes, found.changes)


def keep_top_changes(
    store: ResultsStore,
    kept: str,
    predictions: Predictions,
    data: PerturbationData,
    measured: tuple[Pseudobulk, DeGenes],
) -> None:
    """Write the changes of predictions that have just been kept.

    Args:
        store: The results folder.
        kept: The file of predictions, relative to the folder.
        predictions: The predictions.
        data: The data set; a table of effects has no changes to keep.
        measured: Its means and top-20 DE genes.
    """
    if data.effects is not None or not store.is_writer:
        return
    means, de = measured
    row = {of: number for number, of in enumerate(data.conditions)}
    rows = [row[of] for of in predictions.conditions]
    # As the truth keeps them, so that what is read from either is the same.
    control = means.control_means.astype(np.float32).astype(np.float64)
    changes = KeptChanges.of(
        [(of.label, of.cell_type) for of in predictions.conditions],
        de.indices[rows],
        predictions.expression.astype(np.float64),
        dict(zip(data.cell_types, control, strict=True)),
    )
    key = truth_key(DatasetRecord.of(data), de.name)
    keep_changes(store, store.directory / kept, changes, key)


def _checksum(path: Path) -> str:
    return f"{zlib.crc32(path.read_bytes()):08x}"
