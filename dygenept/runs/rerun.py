"""Runs the job that a result record describes once more, and compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dygenept.data.request import open_data, recorded_dataset
from dygenept.data.splits import check_split, load_split
from dygenept.errors import ConfigError, ResultsError, SplitError
from dygenept.machine.devices import pick_device
from dygenept.model.baselines import ConfiguredBaseline
from dygenept.model.config import PARTS, AssemblyConfig
from dygenept.model.resolve import (
    ResolvedModel,
    build_assembly,
    complete_config,
    knowledge_plugins,
)
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry
from dygenept.plugin.specs import BaselineSpec
from dygenept.plugin.validation import validated
from dygenept.results.records import RunRecord
from dygenept.results.store import read_record
from dygenept.runs.jobs import fold_task
from dygenept.runs.runner import BenchRequest, make_station
from dygenept.runs.score import BASE as SUBMITTED
from dygenept.runs.scored_job import record_of
from dygenept.types import Progress


@dataclass(frozen=True, slots=True)
class MetricAgreement:
    """One metric, recorded and computed again.

    Attributes:
        metric: Metric name.
        recorded: Mean of the defined recorded values; None where none is.
        again: Mean of the defined new values; None where none is.
        largest: Largest difference over perturbations; None where no value is defined in both.
        n_undefined_changed: Perturbations that are defined in one of the two alone.
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
        metrics: One comparison a metric.
        changed: What is no longer as recorded: versions of plugins and packages.
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
    request: BenchRequest,
    registry: Registry,
    manager: PluginManager,
    *,
    tolerance: float,
    report: Callable[[Progress], None],
) -> Rerun:
    """Run the job of a record again; nothing is written.

    Args:
        path: A record in ``runs/`` of a results folder, whose ``splits/`` holds its split.
        request: Folders and device; its data set is used where it is not empty.
        registry: Registered models and data sets.
        manager: Plugins.
        tolerance: Largest difference of a value that still agrees.
        report: Callback for progress.

    Raises:
        ResultsError: If it is no record, or one of submitted predictions.
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
    asked = replace(
        request,
        dataset=recorded_dataset(
            request.dataset, record.dataset.name, registry, manager, flag="--dataset"
        ),
        suite=record.suite,
        split=record.split.name,
        seed=record.seed,
        de_list=record.de_list,
        metrics=tuple(metric.name for metric in record.metrics),
        results=path.parent.parent,
        resume=False,
        keep_predictions=False,
    )
    model = recorded_model(record, registry, manager)
    data = open_data(asked, registry, manager, report)
    if data.sha256 != record.dataset.sha256:
        raise SplitError(
            f"{asked.dataset} is not the data set of this record: its fingerprint is "
            f"{data.sha256[:12]}…, recorded is {record.dataset.sha256[:12]}…; name the file with "
            "--dataset"
        )
    check_split(split, data)
    device = pick_device(asked.device) if model.uses_device else "cpu"
    station = make_station(asked, registry, manager, data=data, split=split, device=device)
    task, conditions = fold_task(station, model, record.fold, report, checkpoint_dir=None)
    again = record_of(station, model, record.fold, task, conditions, keep=False)
    return Rerun(
        recorded=record,
        again=again,
        metrics=tuple(
            _agreement(name, record, again, tolerance)
            for name in (metric.name for metric in record.metrics)
        ),
        changed=_changed(record, again),
    )


def recorded_model(record: RunRecord, registry: Registry, manager: PluginManager) -> ResolvedModel:
    """Build the model of a record from the configuration that it holds.

    Raises:
        ConfigError: If a plugin's options have changed since.
        PluginError: If a plugin is not installed.
    """
    if record.role == "model":
        document = {
            key: value for key, value in record.config.items() if key in AssemblyConfig.model_fields
        }
        config = validated(AssemblyConfig, document, "config")
        plugins = [manager.provenance(PARTS[part].kind, config.part(part)[0]) for part in PARTS]
        return ResolvedModel(
            name=record.model,
            base=record.base_model,
            role="model",
            needs_cells=True,
            config=complete_config(config, registry, manager),
            plugins=(*plugins, *knowledge_plugins(config, registry, manager)),
            build=lambda: build_assembly(config, registry, manager),
        )
    names = [plugin.name for plugin in record.plugins if plugin.kind == BaselineSpec.kind]
    if not names:
        raise ConfigError(f"the record of {record.model!r} names no baseline plugin")
    spec = manager.get(BaselineSpec, names[0])
    given = {key: value for key, value in record.config.items() if key in spec.config.model_fields}
    options = manager.configure(spec, given)
    return ResolvedModel(
        name=record.model,
        base=record.base_model,
        role=spec.role,
        needs_cells=spec.needs_cells,
        config=options.model_dump(mode="json"),
        plugins=(manager.provenance(spec.kind, spec.name),),
        build=lambda: spec.factory(options),
        uses_device=spec.uses_device,
        baseline=ConfiguredBaseline(record.model, spec, options),
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
    return tuple(said)
