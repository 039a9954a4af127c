"""Runs the job that a result record describes once more, and compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dygenept.data.request import as_recorded
from dygenept.data.splits import check_split, load_split
from dygenept.errors import ConfigError, ResultsError, SplitError
from dygenept.machine import processes
from dygenept.model.assembly import Assembly
from dygenept.model.assembly_text import AssemblyText
from dygenept.model.baselines import ConfiguredBaseline
from dygenept.model.resolve import SUBMITTED, ResolvedModel
from dygenept.plugin.code_identity import project_code
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import BaselineSpec
from dygenept.plugin.yaml_files import validated
from dygenept.results.records import RunRecord
from dygenept.results.store import read_record
from dygenept.runs.jobs import fold_job
from dygenept.runs.readiness import require_buildable, unready_models, with_file_hashes
from dygenept.runs.run_context import RunRequest, check_request, open_run, run_device
from dygenept.runs.scored_job import OTHER_CODE, record_of
from dygenept.types import PerturbationData, Progress, Split


@dataclass(frozen=True, slots=True)
class MetricAgreement:
    """One metric, recorded and computed again.

    Attributes:
        metric: Metric name.
        recorded: Mean of the defined recorded values; None where none is.
        again: Mean of the defined new values; None where none is.
        largest: Largest difference over perturbations; None where no value is defined in both.
        n_undefined_changed: Perturbations that are defined in only one of the two.
        agrees: True if no value differs by more than is allowed.
    """

    metric: str
    recorded: float | None
    again: float | None
    largest: float | None
    n_undefined_changed: int
    agrees: bool


@dataclass(frozen=True, slots=True)
class Rerun:
    """A job that was run again.

    Attributes:
        recorded: The record.
        again: What the same job gave now; it is not kept.
        metrics: One comparison per metric.
        changed: What is no longer as recorded: the code, versions of plugins and packages, the
            device, and how many processes shared the training.
    """

    recorded: RunRecord
    again: RunRecord
    metrics: tuple[MetricAgreement, ...]
    changed: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """True if every metric agrees."""
        return all(item.agrees for item in self.metrics)


def rerun_record(
    path: Path,
    request: RunRequest,
    environment: Environment,
    *,
    tolerance: float,
    report: Callable[[Progress], None],
) -> Rerun:
    """Run the job of a record again; nothing is written.

    Args:
        path: A record in ``runs/`` of a results folder, whose ``splits/`` contains its split.
        request: How the data set is read; its data set is used where it is not empty.
        environment: Registry, plugins, folders and device.
        tolerance: Largest difference of a value that still agrees.
        report: Callback for progress.

    Raises:
        ResultsError: If it is not a record, or one of submitted predictions.
        SplitError: If the split is not there, or the data set is another.
        DygeneptError: Whatever the job refuses.
    """
    if not path.is_file():
        raise ResultsError(f"no file {path}; name a record, such as results/runs/KEY.json")
    record = read_record(path)
    if record.base_model == SUBMITTED:
        raise ResultsError(
            f"{path} scores submitted predictions, which nobody here can compute; use "
            "`dygenept score` with the file"
        )
    split = load_split(path.parent.parent / "splits" / f"{record.split.sha256}.json")
    read = as_recorded(request, record.dataset.reading, environment, flag="--dataset")
    asked = replace(
        read,
        suite=record.suite,
        split=record.split.name,
        seed=record.seed,
        # A table of effects has no DE lists.
        de_list=record.de_list if record.dataset.kind == "cells" else read.de_list,
        metrics=tuple(metric.name for metric in record.metrics),
        results=path.parent.parent,
        resume=False,
        keep_predictions=False,
    )
    model = with_file_hashes(recorded_model(record, environment), environment)
    check_request(asked, environment, is_split_known=True)
    require_buildable(model, environment)
    if reasons := unready_models((model,), environment, report):
        raise ConfigError(f"{model.name} cannot be run here: {reasons[model.name]}")
    device = run_device((model,), environment)

    def split_of(data: PerturbationData) -> Split:
        if data.sha256 != record.dataset.sha256:
            raise SplitError(
                f"{asked.dataset} is not the data set of this record: its fingerprint is "
                f"{data.sha256[:12]}…, recorded is {record.dataset.sha256[:12]}…; name the file "
                "with --dataset"
            )
        check_split(split, data)
        return split

    context = open_run(asked, environment, report, device=device, split_of=split_of)
    job, task = fold_job(context, model, record.fold, report)
    again = record_of(job, task, keep=False)
    return Rerun(
        recorded=record,
        again=again,
        metrics=tuple(
            _agreement(name, record, again, tolerance)
            for name in (metric.name for metric in record.metrics)
        ),
        changed=_changed(record, again),
    )


def recorded_model(record: RunRecord, environment: Environment) -> ResolvedModel:
    """Resolve the model of a record from the configuration that it contains.

    Raises:
        ConfigError: If a plugin's options have changed since.
        PluginError: If a plugin is not installed.
    """
    if record.role == "model":
        known = AssemblyText.model_fields
        document = {key: value for key, value in record.config.items() if key in known}
        text = validated(AssemblyText, document, "config")
        return ResolvedModel.from_assembly(
            Assembly.of(text, environment), environment, name=record.model, base=record.base_model
        )
    names = [plugin.name for plugin in record.plugins if plugin.kind == BaselineSpec.kind]
    if not names:
        raise ConfigError(f"the record of {record.model!r} names no baseline plugin")
    known = environment.manager.get(BaselineSpec, names[0]).config.model_fields
    # A record's configuration also says what its knowledge file contains: no option.
    given = {key: value for key, value in record.config.items() if key in known}
    plugin = environment.configured(BaselineSpec, names[0], given)
    return ResolvedModel.from_baseline(
        ConfiguredBaseline(record.model, plugin), environment, base=record.base_model
    )


def _agreement(
    name: str, recorded: RunRecord, again: RunRecord, tolerance: float
) -> MetricAgreement:
    before, after = _values(recorded, name), _values(again, name)
    defined = [key for key in before if before[key] is not None and after.get(key) is not None]
    n_changed = sum((before[key] is None) != (after.get(key) is None) for key in before)
    differences = [abs(_number(before[key]) - _number(after[key])) for key in defined]
    largest = max(differences, default=None)
    return MetricAgreement(
        metric=name,
        recorded=_mean(before),
        again=_mean(after),
        largest=largest,
        n_undefined_changed=n_changed,
        agrees=n_changed == 0 and set(before) == set(after) and (largest or 0.0) <= tolerance,
    )


def _values(record: RunRecord, name: str) -> dict[tuple[str, str], float | None]:
    (metric,) = [item for item in record.metrics if item.name == name]
    return {(item.perturbation, item.cell_type): item.value for item in metric.values}


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _mean(values: Mapping[tuple[str, str], float | None]) -> float | None:
    defined = [value for value in values.values() if value is not None]
    return sum(defined) / len(defined) if defined else None


def _changed(recorded: RunRecord, again: RunRecord) -> tuple[str, ...]:
    said = []
    if recorded.code is not None and recorded.code.sha256 != project_code().sha256:
        said.append(f"code: {recorded.code.words} then, {project_code().sha256[:12]} now")
    if OTHER_CODE in recorded.notes:
        said.append("a saved model was scored then, which other code had trained")
    for name in sorted({*recorded.versions, *again.versions}):
        before, after = recorded.versions.get(name), again.versions.get(name)
        if before != after:
            said.append(f"{name}: {before or 'none'} then, {after or 'none'} now")
    versions = {(plugin.kind, plugin.name): plugin.version for plugin in again.plugins}
    for plugin in recorded.plugins:
        now = versions.get((plugin.kind, plugin.name))
        if now is not None and now != plugin.version:
            said.append(f"plugin {plugin.name}: {plugin.version} then, {now} now")
    if recorded.device != again.device:
        said.append(f"device: {recorded.device} then, {again.device} now")
    n_then, n_now = _n_processes(recorded), _n_processes(again)
    if n_then != n_now:
        said.append(
            f"processes that trained it: {n_then} then, {n_now} now; each draws dropout of its own"
        )
    return tuple(said)


def _n_processes(record: RunRecord) -> int:
    """Return how many processes shared the training; records of earlier versions do not say."""
    # Each member of an ensemble says it, as NAME.1, NAME.2 ….
    said = [n for name, n in record.chosen.items() if name.split(".")[0] == processes.TRAINED_IN]
    return max(map(int, said), default=1)
