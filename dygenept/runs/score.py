"""Scores predictions that anybody hands in, under the same rules as our own models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dygenept.data.splits import save_split
from dygenept.errors import ConfigError, DataError
from dygenept.machine.places import check_can_write
from dygenept.model.config import model_names
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.environment import Environment
from dygenept.results.records import DatasetRecord, SplitRecord
from dygenept.results.submission import read_submission
from dygenept.results.submission_match import MatchedSubmission, Mismatch, SubmittedModel
from dygenept.results.submission_scale import scale_notes
from dygenept.runs.jobs import fold_job
from dygenept.runs.run_context import RunRequest, check_request, cut_split, open_run
from dygenept.runs.runner import BenchOutcome
from dygenept.runs.scored_job import record_of
from dygenept.types import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A file of predictions and how it is read.

    Attributes:
        path: The predictions.
        name: How leaderboards call them.
        is_delta: Values are changes from control.
        fill: Fill in what is missing: the mean of the train perturbations for a perturbation,
            the control mean for a gene. Every record says so.
    """

    path: Path
    name: str
    is_delta: bool = False
    fill: bool = False


@dataclass(frozen=True, slots=True)
class ScoredSubmission:
    """What scoring a file gave.

    Attributes:
        outcome: Data set, split and one record per fold.
        mismatch: What the file lacks, and what it contains beyond the data set.
        notes: What was accepted, passed over, filled in or looks wrong, one phrase each.
    """

    outcome: BenchOutcome
    mismatch: Mismatch
    notes: tuple[str, ...]


def score_submission(
    submission: Submission,
    request: RunRequest,
    environment: Environment,
    *,
    report: Callable[[Progress], None],
) -> ScoredSubmission:
    """Score a file of predictions and keep one record per fold.

    Args:
        submission: The file.
        request: Data set, protocol, metrics and results folder.
        environment: Registry, plugins and folders.
        report: Callback for progress.

    Raises:
        ConfigError: If the name is that of a model of the harness.
        DataError: If the file cannot be read, matches nothing, or lacks something and ``fill``
            is False.
    """
    name = submission.name
    if name in model_names(environment):
        raise ConfigError(f"--name {name}: a model of the harness is called so; choose another")
    check_can_write(request.results)
    check_request(request, environment)
    table = read_submission(submission.path, is_delta=submission.is_delta)
    context = open_run(
        request,
        environment,
        report,
        device="cpu",
        split_of=partial(cut_split, request, environment),
    )
    data, split = context.data, context.split
    matched = MatchedSubmission(table, data)
    held_out = [
        (number, data.conditions_of(fold.test, cell_type=fold.test_cell_type))
        for number, fold in enumerate(split.folds)
    ]
    mismatch = matched.mismatch(held_out)
    lacks = mismatch.lacks()
    if lacks and not submission.fill:
        raise DataError(
            f"{submission.path} lacks {'; '.join(lacks)}; add them, or pass --fill to "
            "stand the mean of the train perturbations in for a perturbation and the control mean "
            "for a gene"
        )
    values, genes = matched.values()
    notes = (
        *matched.notes,
        *mismatch.ignored(),
        *(f"filled in (--fill): {what}" for what in lacks),
        *scale_notes(
            values,
            context.pseudobulk.control_means.mean(axis=0)[genes],
            is_delta=submission.is_delta,
            path=submission.path,
        ),
    )
    submitted = SubmittedModel(matched, notes)
    config = {
        "submitted": name,
        "sha256": table.sha256,
        "delta": submission.is_delta,
        "fill": submission.fill,
    }
    save_split(split, request.results)
    records = []
    for number in range(len(split.folds)):
        report(Progress("job", number, len(split.folds), f"{name}, fold {number + 1}"))
        model = ResolvedModel.from_submission(name, config, partial(submitted.at, number))
        job, task = fold_job(context, model, number, report)
        records.append(record_of(job, task))
    report(Progress("job", len(split.folds), len(split.folds), "done"))
    outcome = BenchOutcome(
        dataset=DatasetRecord.of(data),
        split=SplitRecord.of(split, context.split_sha256),
        records=tuple(records),
        failures={},
    )
    return ScoredSubmission(outcome, mismatch, notes)
