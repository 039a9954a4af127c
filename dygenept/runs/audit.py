"""Audits the metrics on a data set: a slate of simple models, its ceilings, and attacks on both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dygenept.errors import ConfigError
from dygenept.leaderboard.calibration import CEILINGS
from dygenept.leaderboard.judgements import TRIVIAL, TRUTH
from dygenept.leaderboard.metric_audit import AuditRow, audit, base_model
from dygenept.model.resolve import ResolvedModel, resolve_model
from dygenept.plugin.environment import Environment
from dygenept.results.provenance import DatasetRecord, SplitRecord
from dygenept.results.records import RunRecord
from dygenept.runs.attacks import attacks
from dygenept.runs.default_models import closed_form_models
from dygenept.runs.jobs import fold_job
from dygenept.runs.run_context import (
    RunContext,
    RunRequest,
    check_request,
    cut_split,
    open_run,
    require_cells,
    run_device,
)
from dygenept.runs.scored_job import record_of
from dygenept.types import PerturbationData, Progress, Split


@dataclass(frozen=True, slots=True)
class MetricAudit:
    """What an audit found.

    Attributes:
        dataset: The data set.
        split: The split.
        rows: One per metric.
    """

    dataset: DatasetRecord
    split: SplitRecord
    rows: tuple[AuditRow, ...]


def audit_metrics(
    request: RunRequest,
    environment: Environment,
    report: Callable[[Progress], None],
    *,
    models: Sequence[str] = (),
) -> MetricAudit:
    """Run simple models, references, ceilings and attacks, and audit every metric by them.

    Nothing is written.

    Args:
        request: Data set, protocol and metrics; its results folder is not touched.
        environment: Registry, plugins and folders.
        report: Callback for progress.
        models: Models whose ranks metrics are compared by; empty takes the closed-form baselines.

    Raises:
        ConfigError: If there is no model beside the trivial ones.
        DygeneptError: Whatever a run refuses.
    """
    named = models or closed_form_models(environment)
    slate = [
        resolve_model(name, environment)
        for name in dict.fromkeys((*TRIVIAL, *CEILINGS, TRUTH, "shuffled", "random_train", *named))
    ]
    check_request(request, environment)

    def split_of(data: PerturbationData) -> Split:
        require_cells(data, "the audit")
        return cut_split(request, environment, data)

    context = open_run(
        request,
        environment,
        report,
        device=run_device(slate, environment),
        split_of=split_of,
    )
    records = _scored(context, slate, report)
    try:
        base = base_model(records)
    except ValueError:
        raise ConfigError("name a model to attack, such as --model ridge") from None
    by_name = {model.name: model for model in slate}
    attacked = _scored(context, attacks(by_name[TRUTH], by_name[base]), report)
    return MetricAudit(
        DatasetRecord.of(context.data),
        SplitRecord.of(context.split, context.split_sha256),
        audit(records, attacked, base),
    )


def _scored(
    context: RunContext, models: Sequence[ResolvedModel], report: Callable[[Progress], None]
) -> list[RunRecord]:
    folds = range(len(context.split.folds))
    jobs = [(model, fold) for model in models for fold in folds]
    records = []
    for done, (model, fold) in enumerate(jobs):
        report(Progress("job", done, len(jobs), f"{model.name}, fold {fold + 1}"))
        job, task = fold_job(context, model, fold, report)
        records.append(record_of(job, task, keep=False))
    report(Progress("job", len(jobs), len(jobs), "done"))
    return records
