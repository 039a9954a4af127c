"""A data set and a split as a result record summarises them."""

from __future__ import annotations

from dygenept.results.records import DatasetRecord, SplitRecord
from dygenept.types import PerturbationData, Split


def dataset_record(data: PerturbationData) -> DatasetRecord:
    """Summarise a data set for a record."""
    return DatasetRecord(
        name=data.name,
        sha256=data.sha256,
        n_cells=data.n_cells,
        n_genes=data.n_genes,
        n_perturbations=len(data.perturbations),
        simulated=data.is_simulated,
        notes=data.notes,
    )


def split_record(split: Split, sha256: str) -> SplitRecord:
    """Summarise a split for a record."""
    return SplitRecord(
        name=split.algorithm,
        version=split.version,
        seed=split.seed,
        n_folds=len(split.folds),
        sha256=sha256,
    )
