"""Scores predictions that anybody hands in, under the same rules as our own models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dygenept.data.pseudobulk import condition_positions
from dygenept.errors import DataError
from dygenept.machine.places import check_can_write
from dygenept.model.assembly import model_names
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.environment import Environment
from dygenept.results.provenance import DatasetRecord, SplitRecord
from dygenept.results.record_index import RecordIndex
from dygenept.results.records import SubmissionRecord
from dygenept.results.submission import read_submission
from dygenept.results.submission_match import MatchedSubmission, Mismatch, SubmittedModel
from dygenept.results.submission_names import TakenName, check_not_taken, clean_name, versioned
from dygenept.results.submission_scale import ONE_FOR_ALL, is_one_for_all, scale_notes
from dygenept.runs.jobs import fold_job
from dygenept.runs.run_context import RunContext, RunRequest, check_request, cut_split, open_run
from dygenept.runs.runner import BenchOutcome
from dygenept.runs.scored_job import record_of
from dygenept.types import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRequest:
    """A file of predictions and how it is read.

    Attributes:
        path: The predictions.
        name: How leaderboards call them.
        is_delta: Values are changes from control.
        fill: Fill in what is missing: the mean of the train perturbations for a perturbation,
            the control mean for a gene. Every record says so.
        in_all_types: Use rows without a cell type in every cell type of the data set.
        submitter: Who hands it in. All that one submitter hands in is one family; so is all of
            which nobody says who.
    """

    path: Path
    name: str
    is_delta: bool = False
    fill: bool = False
    in_all_types: bool = False
    submitter: str = ""


@dataclass(frozen=True, slots=True)
class ScoredSubmission:
    """What scoring a file gave.

    Attributes:
        outcome: Data set, split and one record per fold.
        mismatch: What the file lacks, and what it contains beyond the data set.
        notes: What was accepted, passed over, filled in or looks wrong, one phrase each.
        name: What boards call it, with its version.
    """

    outcome: BenchOutcome
    mismatch: Mismatch
    notes: tuple[str, ...]
    name: str


def score_submission(
    submission: SubmissionRequest,
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
        ConfigError: If the name is, or looks like, that of a model of the harness.
        DataError: If the file cannot be read, matches nothing, or lacks something and ``fill``
            is False.
    """
    name = clean_name(submission.name)
    check_not_taken(name, model_names(environment))
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
    matched = MatchedSubmission(table, data, in_all_types=submission.in_all_types)
    held_out = [
        (number, data.conditions_of(fold.test, cell_type=fold.test_cell_type))
        for number, fold in enumerate(split.folds)
    ]
    mismatch = matched.mismatch(held_out)
    lacks = mismatch.lacks()
    if lacks and not submission.fill:
        raise DataError(
            f"{submission.path} lacks {'; '.join(lacks)}; add them, or pass --fill, which takes "
            "the mean of the train perturbations for a perturbation and the control mean for a gene"
        )
    values, genes = matched.values()
    doubts = (
        *(f"filled in (--fill): {what}" for what in lacks),
        *scale_notes(
            values,
            context.pseudobulk.control_means.mean(axis=0)[genes],
            is_delta=submission.is_delta,
            path=submission.path,
        ),
    )
    predicted, conditions, folds = matched.held_out(held_out)
    truth = context.pseudobulk.means[condition_positions(data, conditions)][:, genes]
    types = [condition.cell_type for condition in conditions]
    one_for_all = any(is_one_for_all(predicted, truth, groups) for groups in (types, folds))
    doubts = (*doubts, *((ONE_FOR_ALL,) if one_for_all else ()))
    how = {"sha256": table.sha256, "delta": submission.is_delta, "fill": submission.fill}
    called = _called(context, name, tuple(how.values()))
    notes = (*matched.notes, *mismatch.ignored(), *doubts)
    submitted = SubmittedModel(matched, notes)
    context = replace(
        context,
        submission=SubmissionRecord(
            name=called.base,
            version=called.version,
            submitter=submission.submitter.strip(),
            doubts=doubts,
            one_for_all=one_for_all,
        ),
    )
    # The name that was given; what boards call it depends on what else is there.
    config = {"submitted": called.base, **how}
    context.keep_shared()
    models = [
        ResolvedModel.from_submission(called.shown, config, partial(submitted.at, number))
        for number in range(len(split.folds))
    ]
    outcome = score_folds(context, models, report)
    if called.shown != submission.name:
        notes = (*notes, f"boards call it {called.shown!r}")
    return ScoredSubmission(outcome, mismatch, notes, called.shown)


def score_folds(
    context: RunContext, models: Sequence[ResolvedModel], report: Callable[[Progress], None]
) -> BenchOutcome:
    """Score one model on each fold, as it is there, and keep the records.

    Args:
        context: What the jobs share.
        models: The model of each fold.
        report: Callback for progress.
    """
    records = []
    for number, model in enumerate(models):
        report(Progress("job", number, len(models), f"{model.name}, fold {number + 1}"))
        job, task = fold_job(context, model, number, report)
        records.append(record_of(job, task))
    report(Progress("job", len(models), len(models), "done"))
    return BenchOutcome(
        dataset=DatasetRecord.of(context.data),
        split=SplitRecord.of(context.split, context.split_sha256),
        records=tuple(records),
        failures={},
    )


def _called(context: RunContext, name: str, identity: tuple[object, ...]) -> TakenName:
    """Name a submission beside what the same leaderboard has already.

    Raises:
        ConfigError: If a model that was not submitted has the name, or one that looks alike.
    """
    if not context.store.directory.is_dir():
        return versioned(name, identity, ())
    index = RecordIndex(context.store.directory)
    board = {
        file: header
        for file, header in index.headers.items()
        if header.dataset_sha256 == context.data.sha256
        and header.split_sha256 == context.split_sha256
        and (header.suite, header.de_list) == (context.suite, context.de.name)
    }
    submitted = {file: of for file, of in board.items() if of.role == "submitted"}
    check_not_taken(name, {of.model for of in board.values() if of.role != "submitted"})
    taken = {
        record.model: TakenName(
            shown=record.model,
            base=record.model if record.submission is None else record.submission.name,
            identity=tuple(record.config.get(part) for part in ("sha256", "delta", "fill")),
            version=1 if record.submission is None else record.submission.version,
        )
        for record in index.records(submitted)
    }
    index.save()
    return versioned(name, identity, tuple(taken.values()))
