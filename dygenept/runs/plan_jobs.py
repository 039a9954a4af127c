"""Which jobs of a planned run are in the results folder, found without reading the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dygenept.data.outlines import OutlinedDataset
from dygenept.data.splits import split_sha256
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.environment import Environment
from dygenept.results.record_index import RecordIndex
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore
from dygenept.runs.job_identity import job_key
from dygenept.runs.run_context import RunRequest, cut_split
from dygenept.types import DeGenes, PerturbationData, Split


@dataclass(frozen=True, slots=True)
class PlannedJobs:
    """What every job of a plan shares, as far as names go.

    Attributes:
        data: The data set, without expression.
        split: Its folds.
        split_sha256: Hash of their manifest.
        suite: Name of the suite.
        de: Name of the DE list.
    """

    data: PerturbationData
    split: Split
    split_sha256: str
    suite: str
    de: DeGenes


def planned_folds(
    request: RunRequest, environment: Environment, data: PerturbationData
) -> PlannedJobs:
    """Cut a data set into folds by its names alone.

    Raises:
        SplitError: If the protocol does not fit it.
    """
    split = cut_split(request, environment, data)
    none = np.full((len(data.conditions), 0), -1, dtype=np.int32)
    return PlannedJobs(
        data, split, split_sha256(split), request.suite, DeGenes(request.de_list, "", none)
    )


def recorded_jobs(
    request: RunRequest,
    environment: Environment,
    found: OutlinedDataset,
    models: Sequence[ResolvedModel],
) -> Mapping[tuple[str, int], RunRecord]:
    """Return the records that a run would take from the results folder, by model and fold.

    The fingerprint of a data set is a hash of its values, which are not read here. It is taken from
    records of a data set of this name and shape; everything else that names a job is computed.
    """
    data, store = found.outline.data, ResultsStore(request.results, is_writer=False)
    if not request.resume or data is None or not (store.directory / "runs").is_dir():
        return {}
    jobs: dict[tuple[str, int], RunRecord] = {}
    for sha256 in _fingerprints(store, data):
        planned = planned_folds(request, environment, replace(data, sha256=sha256))
        for model in models:
            for fold in range(len(planned.split.folds)):
                key = job_key(planned, model, fold)
                record = store.read(key) if (model.name, fold) not in jobs else None
                if record is not None and _is_same_shape(record, data):
                    jobs[model.name, fold] = record
    return jobs


def _fingerprints(store: ResultsStore, data: PerturbationData) -> list[str]:
    headers = RecordIndex(store.directory, is_writer=False).headers.values()
    found = (header for header in headers if header.dataset == data.name)
    return sorted({header.dataset_sha256 for header in found})


def _is_same_shape(record: RunRecord, data: PerturbationData) -> bool:
    recorded = record.dataset
    return (recorded.n_cells, recorded.n_genes) == (data.n_cells, data.n_genes)
