"""What was measured, kept beside predictions, so that pages and plots can show both.

``truth/<key>.parquet`` has a row for each perturbation and cell type and for each cell type's
control, and a column for each gene (mean log1p expression, float32); ``truth/<key>.json`` has gene
symbols and the top-20 DE genes. The key is a hash of what tells one data set from another.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from dygenept.errors import ResultsError
from dygenept.machine.tables import empty_like, row_parts
from dygenept.results.provenance import DatasetRecord
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore, key_of, read_kept_table, write_atomically
from dygenept.types import (
    Condition,
    DeGenes,
    DoubleArray,
    Perturbation,
    PerturbationData,
    Pseudobulk,
)
from dygenept.types.perturbations import CONTROL_LABEL

logger = logging.getLogger(__name__)


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    dataset: str
    sha256: str
    de_list: str
    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    conditions: tuple[tuple[str, str], ...]
    top: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class KeptTruth:
    """Measured means of one data set.

    Attributes:
        gene_ids: Gene identifiers, (G,).
        gene_symbols: Their symbols, (G,).
        rows: Row of each perturbation and cell type in ``delta``.
        delta: Mean log1p expression less the mean of the cell type's controls, (n, G).
        control: Mean of the controls by cell type, (G,) each.
        top: Positions of each row's top-20 DE genes, best first.
    """

    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    rows: dict[tuple[str, str], int]
    delta: DoubleArray
    control: dict[str, DoubleArray]
    top: tuple[tuple[int, ...], ...]


def truth_key(dataset: DatasetRecord, de_list: str) -> str:
    """Return what the files of a data set's truth are called."""
    return key_of(
        {
            "name": dataset.name,
            "sha256": dataset.sha256,
            "n_cells": dataset.n_cells,
            "n_genes": dataset.n_genes,
            "normalize": dataset.normalize,
            "mapping": dict(dataset.mapping),
            "de_list": de_list,
        }
    )


def keep_truth(
    store: ResultsStore, data: PerturbationData, means: Pseudobulk, de: DeGenes
) -> Path | None:
    """Write a data set's truth unless it is there; tables of effects have none to keep.

    Records do not need it: a folder that cannot be written is named in the log.

    Returns:
        The manifest's path; None where nothing is kept.
    """
    if data.effects is not None or not store.is_writer:
        return None
    key = truth_key(DatasetRecord.of(data), de.name)
    manifest = store.directory / "truth" / f"{key}.json"
    if manifest.is_file():
        return manifest
    controls = tuple(
        Condition(Perturbation(CONTROL_LABEL, ()), cell_type) for cell_type in data.cell_types
    )
    n_conditions, n_genes = means.means.shape
    shape = (n_conditions + len(controls), n_genes)
    values = empty_like(means.means, shape, np.float32)
    for part in row_parts(n_conditions, n_genes):
        values[part] = means.means[part]
    values[n_conditions:] = means.control_means
    described = _Manifest(
        dataset=data.name,
        sha256=data.sha256,
        de_list=de.name,
        gene_ids=data.gene_ids,
        gene_symbols=data.gene_symbols,
        conditions=tuple((item.label, item.cell_type) for item in data.conditions),
        top=tuple(tuple(int(gene) for gene in row if gene >= 0) for row in de.indices),
    )
    try:
        store.write_table(
            f"truth/{key}.parquet", (*data.conditions, *controls), values, data.gene_ids
        )
        write_atomically(manifest, (described.model_dump_json() + "\n").encode())
    except ResultsError as error:
        logger.warning("%s; pages and plots will show no measured changes", error)
        return None
    return manifest


def kept_truth(store: ResultsStore, record: RunRecord) -> KeptTruth | None:
    """Return the truth of a record's data set; None where it is not kept, or damaged.

    What is damaged is named in the log.
    """
    manifest = store.directory / "truth" / f"{truth_key(record.dataset, record.de_list)}.json"
    if not manifest.is_file():
        return None
    try:
        described = _Manifest.model_validate_json(manifest.read_bytes())
        table = read_kept_table(manifest.with_suffix(".parquet"))
        numbers = table.drop("perturbation", "cell_type")
        found = _laid_out(described, numbers.columns)
        values = numbers.to_numpy().astype(np.float64)
        named = list(zip(table["perturbation"], table["cell_type"], strict=True))
    except (OSError, ValidationError, ResultsError, KeyError) as error:
        logger.warning("%s cannot be read (%s); it is left out", manifest, type(error).__name__)
        return None
    n_controls = len(named) - len(described.conditions)
    is_whole = (
        n_controls > 0
        and named[: len(described.conditions)] == list(described.conditions)
        and len(described.top) == len(described.conditions)
        and all(0 <= gene < len(found.gene_ids) for row in described.top for gene in row)
    )
    control = {
        cell_type: values[-n_controls + i] for i, (_, cell_type) in enumerate(named[-n_controls:])
    }
    if not is_whole or not {cell_type for _, cell_type in described.conditions} <= control.keys():
        logger.warning("%s does not fit its table; it is left out", manifest)
        return None
    # In place, row by row: a second table of the same size would take as long again.
    delta = values[: len(described.conditions)]
    for row, (_, cell_type) in zip(delta, described.conditions, strict=True):
        row -= control[cell_type]
    return replace(found, delta=delta, control=control)


def _laid_out(described: _Manifest, genes: list[str]) -> KeptTruth:
    if list(described.gene_ids) != genes or len(described.gene_symbols) != len(genes):
        raise ResultsError("its genes are not those of its table")
    return KeptTruth(
        gene_ids=described.gene_ids,
        gene_symbols=described.gene_symbols,
        rows={named: row for row, named in enumerate(described.conditions)},
        delta=np.zeros((0, 0)),
        control={},
        top=described.top,
    )
