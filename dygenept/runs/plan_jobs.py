"""The folds of a planned run, and which of its jobs are recorded; no value is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dygenept.data.outlines import OutlinedDataset
from dygenept.data.splits import split_sha256
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.environment import Environment
from dygenept.results.record_index import RecordIndex
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore
from dygenept.runs import plan_costs as costs
from dygenept.runs.keys_and_seeds import job_key
from dygenept.runs.run_context import RunRequest, cut_split
from dygenept.types import DeGenes, Fold, PerturbationData, Split


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


def fold_sizes(folds: Sequence[Fold], data: PerturbationData) -> tuple[costs.FoldSize, ...]:
    """Count conditions and train cells of each fold, and what any of them holds out."""
    counts = np.bincount(
        data.condition_codes[data.condition_codes >= 0], minlength=len(data.conditions)
    )
    held_out = {
        condition
        for fold in folds
        for condition in data.conditions_of(fold.test, cell_type=fold.test_cell_type)
    }
    return tuple(_fold_size(fold, data, counts, len(held_out)) for fold in folds)


def _fold_size(
    fold: Fold, data: PerturbationData, counts: npt.NDArray[np.intp], n_candidates: int
) -> costs.FoldSize:
    train, val, test = set(fold.train), set(fold.val), set(fold.test)
    held = fold.test_cell_type
    seen = [
        row
        for row, condition in enumerate(data.conditions)
        if condition.label in train and condition.cell_type != held
    ]
    return costs.FoldSize(
        n_train=len(seen),
        n_val=sum(c.label in val and c.cell_type != held for c in data.conditions),
        n_test=sum(c.label in test and held in (None, c.cell_type) for c in data.conditions),
        n_train_cells=int(counts[seen].sum()),
        n_candidates=n_candidates,
    )


def assumed_folds(request: RunRequest, size: costs.DataSize | None) -> tuple[costs.FoldSize, ...]:
    """Return folds of equal size, a tenth of what is not held out for validation."""
    if size is None:
        return ()
    n = request.n_folds
    n_test = -(-size.n_conditions // n) if n > 1 else size.n_conditions // 4
    n_val = (size.n_conditions - n_test) // 10
    n_train = size.n_conditions - n_test - n_val
    perturbed = size.n_cells - size.n_controls
    of_train = perturbed * n_train // max(1, size.n_conditions)
    fold = costs.FoldSize(
        n_train=n_train,
        n_val=n_val,
        n_test=n_test,
        n_train_cells=of_train,
        n_candidates=size.n_conditions if n > 1 else n_test,
    )
    return tuple(replace(fold) for _ in range(n))
