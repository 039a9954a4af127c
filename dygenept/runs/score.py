"""Scores predictions that anybody hands in, under the rules that our own models are held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dygenept.data.request import open_data
from dygenept.data.splits import save_split
from dygenept.errors import ConfigError, DataError
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry
from dygenept.plugin.specs import BaselineSpec
from dygenept.results.records import DatasetRecord, SplitRecord
from dygenept.results.store import check_can_write
from dygenept.results.submission import read_submission
from dygenept.results.submission_match import MatchedSubmission, Mismatch, SubmittedModel
from dygenept.runs.jobs import fold_task
from dygenept.runs.runner import (
    BenchOutcome,
    BenchRequest,
    make_station,
    request_split,
)
from dygenept.runs.scored_job import record_of
from dygenept.types import Progress

BASE = "submitted"


@dataclass(frozen=True, slots=True)
class ScoredSubmission:
    """What scoring a file gave.

    Attributes:
        outcome: Data set, split and one record a fold.
        mismatch: What the file lacks, and what it holds beyond the data set.
    """

    outcome: BenchOutcome
    mismatch: Mismatch


def score_submission(
    request: BenchRequest,
    registry: Registry,
    manager: PluginManager,
    *,
    path: Path,
    name: str,
    is_delta: bool,
    fill: bool,
    report: Callable[[Progress], None],
) -> ScoredSubmission:
    """Score a file of predictions and keep one record a fold.

    Args:
        request: Data set, protocol, metrics and folders; its models are not used.
        registry: Registered data sets and models.
        manager: Plugins.
        path: The predictions.
        name: How leaderboards call them.
        is_delta: Values are changes from control.
        fill: Fill in what is missing: the mean of the train perturbations for a perturbation,
            the control mean for a gene. It is told in every record.
        report: Callback for progress.

    Raises:
        ConfigError: If the name is that of a model of the harness.
        DataError: If the file cannot be read, matches nothing, or lacks something and ``fill``
            is False.
    """
    if name in registry.models or name in manager.names(BaselineSpec.kind):
        raise ConfigError(f"--name {name}: a model of the harness is called so; choose another")
    check_can_write(request.results)
    submission = read_submission(path, is_delta=is_delta)
    report(Progress("read", 0, 1, request.dataset))
    data = open_data(request, registry, manager, report)
    split = request_split(request, data, manager)
    report(Progress("read", 1, 1))
    station = make_station(request, registry, manager, data=data, split=split, device="cpu")
    matched = MatchedSubmission(submission, data)
    held_out = [
        (number, data.conditions_of(fold.test, cell_type=fold.test_cell_type))
        for number, fold in enumerate(split.folds)
    ]
    mismatch = matched.mismatch(held_out)
    lacks = mismatch.lacks()
    if lacks and not fill:
        raise DataError(
            f"{path} lacks {'; '.join(lacks)}; add them, or pass --fill to stand the mean of the "
            "train perturbations in for a perturbation and the control mean for a gene"
        )
    notes = (*mismatch.ignored(), *(f"filled in: {what}" for what in lacks))
    submitted = SubmittedModel(matched, notes)
    model = ResolvedModel(
        name=name,
        base=BASE,
        role="baseline",
        needs_cells=False,
        config={"submitted": name, "sha256": submission.sha256, "delta": is_delta, "fill": fill},
        plugins=(),
        build=lambda: submitted,
    )
    save_split(split, request.results)
    records = []
    for number in range(len(split.folds)):
        report(Progress("job", number, len(split.folds), f"{name}, fold {number + 1}"))
        task, conditions = fold_task(station, model, number, report, checkpoint_dir=None)
        asked = replace(model, build=partial(submitted.at, number))
        records.append(record_of(station, asked, number, task, conditions))
    report(Progress("job", len(split.folds), len(split.folds), "done"))
    outcome = BenchOutcome(
        dataset=DatasetRecord.of(data),
        split=SplitRecord.of(split, station.split_sha256),
        records=tuple(records),
        failures={},
    )
    return ScoredSubmission(outcome, mismatch)
