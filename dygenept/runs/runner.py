"""Runs a benchmark: every model on every fold, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from dygenept.data.catalog import resolve_dataset
from dygenept.data.de.lists import de_genes
from dygenept.data.de.tests import de_tests
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.request import DataRequest, dataset_entries, open_data
from dygenept.data.splits import check_split, make_split, save_split, split_sha256
from dygenept.errors import ConfigError
from dygenept.evaluation.cell_samples import cell_samples
from dygenept.knowledge.catalog import missing_knowledge
from dygenept.knowledge.gene_embedding import is_vector_file
from dygenept.machine import processes
from dygenept.machine.devices import pick_device
from dygenept.machine.folders import default_cache_dir, default_data_dir
from dygenept.model.config import (
    NO_OVERRIDES,
    AssemblyConfig,
    Overrides,
    assembly_config,
    is_baseline,
)
from dygenept.model.resolve import (
    ResolvedModel,
    Variant,
    missing_requirements,
    registry_knowledge,
    resolve_models,
)
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager, Provenance
from dygenept.plugin.registry import Registry, load_registry
from dygenept.plugin.requirements import lacking
from dygenept.plugin.specs import BaselineSpec, DatasetSpec, MetricSpec, SplitSpec
from dygenept.results.record_parts import dataset_record, split_record
from dygenept.results.records import (
    DatasetRecord,
    ResultsStore,
    RunRecord,
    SplitRecord,
    check_can_write,
)
from dygenept.runs.executors import executor_of, run_in_processes, run_inline
from dygenept.runs.readiness import unready_models, with_script
from dygenept.runs.run_context import Station, derived_seed
from dygenept.types import (
    DeGenes,
    PerturbationData,
    Progress,
    Pseudobulk,
    Runtime,
    Split,
    no_report,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRequest(DataRequest):
    """All that a run is asked for; plain values, so that it can cross a process boundary.

    Attributes:
        models: Model names; empty picks the closed-form baselines and one assembly.
        suite: Name that goes into every record.
        split: Split protocol.
        split_options: Options of the split plugin.
        n_folds: Folds, for protocols that have several.
        seed: Seed of the split and of all that follows.
        overrides: Changes to every assembly.
        variants: Further assemblies with parts swapped, beside ``models``.
        metrics: Metrics to score; empty scores all.
        de_list: Top-20 DE list.
        results: Results folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        jobs: Processes, or Ray workers.
        executor: ``inline``, ``process`` or ``ray``.
        resume: False computes again what is there.
        keep_predictions: False leaves predictions out of the results folder.
        registries: Further registry files.
        plugin_files: Further plugin files.
    """

    models: tuple[str, ...] = ()
    suite: str = "custom"
    split: str = "kfold"
    split_options: Mapping[str, object] = field(default_factory=dict)
    n_folds: int = 5
    seed: int = 42
    overrides: Overrides = NO_OVERRIDES
    variants: tuple[Variant, ...] = ()
    metrics: tuple[str, ...] = ()
    de_list: str = "top_non_dropout_de_20"
    results: Path
    device: str = "auto"
    jobs: int = 1
    executor: str = "inline"
    resume: bool = True
    keep_predictions: bool = True
    registries: tuple[Path, ...] = ()
    plugin_files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class BenchOutcome:
    """What a run left.

    Attributes:
        dataset: The data set.
        split: The split.
        records: One record a finished job.
        failures: The error of each job that failed, by ``model, fold n``.
    """

    dataset: DatasetRecord
    split: SplitRecord
    records: tuple[RunRecord, ...]
    failures: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """The models that run when none is named, and why."""

    models: tuple[str, ...]
    reason: str


def load_environment(
    registries: tuple[Path, ...] = (), plugin_files: tuple[Path, ...] = ()
) -> tuple[Registry, PluginManager]:
    """Merge the registries and load every plugin."""
    registry = load_registry(registries)
    return registry, PluginManager.load(registry.plugins, files=plugin_files)


def default_models(registry: Registry, manager: PluginManager, runtime: Runtime) -> ModelChoice:
    """Pick the closed-form baselines and the best assembly whose requirements are at hand."""
    closed_form = {
        spec.name: _cannot_run(spec, manager)
        for spec in manager.specs(BaselineSpec)
        if spec.closed_form
    }
    baselines = tuple(name for name, lacks in closed_form.items() if lacks is None)
    without = "".join(
        f"; without {name}: {lacks}" for name, lacks in closed_form.items() if lacks is not None
    )
    preferred, fallback = registry.defaults.model, registry.defaults.fallback
    missing: tuple[str, ...] = ()
    if not is_baseline(preferred, registry):
        config, _ = assembly_config(preferred, registry, manager)
        missing = missing_requirements(config, registry, manager, runtime)
    if not missing:
        reason = f"no --model given: running the closed-form baselines and {preferred}{without}"
        return ModelChoice((*baselines, preferred), reason)
    reason = (
        f"no --model given: running the closed-form baselines and {fallback}, because "
        f"{preferred} lacks weights, facets or packages that `dygenept doctor` names{without}"
    )
    return ModelChoice((*baselines, fallback), reason)


def _cannot_run(spec: BaselineSpec, manager: PluginManager) -> str | None:
    """Say why a baseline does not run with its defaults; None where it does."""
    try:
        return lacking(spec, manager.configure(spec))
    except ConfigError as error:
        return str(error)


def run_bench(
    request: BenchRequest, *, report: Callable[[Progress], None] = no_report
) -> BenchOutcome:
    """Run every model on every fold.

    A job that fails with an error that a user can mend is recorded and the others go on; so do
    they where a model's own environment cannot be built.

    Raises:
        DygeneptError: If the data set, the split, a model's configuration or a metric is refused
            before the first job.
    """
    device = pick_device(request.device) if processes.launched().size > 1 else "cpu"
    with processes.session(device):
        return _run_jobs(request, report)


def _run_jobs(request: BenchRequest, report: Callable[[Progress], None]) -> BenchOutcome:
    executor = executor_of(request.executor, request.jobs)
    station, models = _prepare(request, report)
    n_folds = len(station.split.folds)
    unready = unready_models(models, request.cache_dir, report)
    failures = {f"{name}, all {n_folds} folds": reason for name, reason in unready.items()}
    jobs = [
        (model, fold) for model in models if model.name not in unready for fold in range(n_folds)
    ]
    worker = replace(request, jobs=1)
    if executor == "ray":
        from dygenept.runs.ray_executor import run_on_ray

        results = run_on_ray(
            partial(_prepare, worker, no_report),
            station,
            tuple(model.name for model in models),
            jobs,
            report,
            n_workers=request.jobs,
        )
    elif executor == "process":
        results = run_in_processes(
            partial(_prepare, worker, no_report),
            station,
            models,
            jobs,
            report,
            n_processes=request.jobs,
        )
    else:
        results = run_inline(station, jobs, report)
    found = {(model.name, fold): result for model, fold, result in results}
    records: list[RunRecord] = []
    # In the order of the jobs, whichever worker was the first to end.
    for model, fold in jobs:
        result = found[model.name, fold]
        if isinstance(result, RunRecord):
            records.append(result)
        else:
            failures[f"{model.name}, fold {fold + 1}"] = str(result)
    return BenchOutcome(
        dataset=dataset_record(station.data),
        split=split_record(station.split, station.split_sha256),
        records=tuple(records),
        failures=failures,
    )


def request_split(
    request: BenchRequest,
    data: PerturbationData,
    manager: PluginManager,
    *,
    needs_test: bool = True,
) -> Split:
    """Cut a data set into the folds that a request asks for, and check them."""
    spec = manager.get(SplitSpec, request.split)
    splitter = spec.factory(manager.configure(spec, dict(request.split_options)))
    split = make_split(spec, splitter, data, n_folds=request.n_folds, seed=request.seed)
    check_split(split, data, needs_test=needs_test)
    return split


def _shared_plugins(
    request: BenchRequest, registry: Registry, manager: PluginManager
) -> tuple[Provenance, ...]:
    """Provenance of the split protocol and, for a registered data set, of its source."""
    found = [manager.provenance(SplitSpec.kind, request.split)]
    entry = resolve_dataset(
        request.dataset, entries=dataset_entries(registry), manager=manager
    ).entry
    if entry is not None:
        found.append(manager.provenance(DatasetSpec.kind, entry.source))
    return tuple(found)


def data_summary(data: PerturbationData, de_list: str) -> tuple[Pseudobulk, DeGenes]:
    """Compute the means and the DE lists of a data set."""
    means = pseudobulk(data)
    return means, de_genes(data, means, list_name=de_list)


def make_station(
    request: BenchRequest,
    registry: Registry,
    manager: PluginManager,
    *,
    data: PerturbationData,
    split: Split,
    device: str,
) -> Station:
    """Compute once what every job of a run shares."""
    names = request.metrics or manager.names(MetricSpec.kind)
    specs = [manager.get(MetricSpec, name) for name in names]
    means, de = data_summary(data, request.de_list)
    return Station(
        data=data,
        pseudobulk=means,
        de=de,
        split=split,
        split_sha256=split_sha256(split),
        suite=request.suite,
        metrics=tuple(
            (spec, spec.factory(manager.configure(spec)), manager.provenance(spec.kind, spec.name))
            for spec in specs
        ),
        shared_plugins=_shared_plugins(request, registry, manager),
        store=ResultsStore(request.results, is_writer=processes.current().is_writer),
        device=device,
        cache_dir=request.cache_dir,
        data_dir=request.data_dir,
        keep_predictions=request.keep_predictions,
        resume=request.resume,
        de_tests=de_tests(data, means) if any(spec.uses_de_tests for spec in specs) else None,
        cells=cell_samples(data, means, seed=derived_seed(request.seed, "cells"))
        if any(spec.uses_cells for spec in specs)
        else None,
        knowledge=registry_knowledge(registry, manager),
    )


def _prepare(
    request: BenchRequest, report: Callable[[Progress], None]
) -> tuple[Station, tuple[ResolvedModel, ...]]:
    registry, manager = load_environment(request.registries, request.plugin_files)
    models = resolve_models(request.models, registry, manager, request.overrides, request.variants)
    # Everything that a typing slip can break is checked before the data set is read.
    check_can_write(request.results)
    manager.get(SplitSpec, request.split)
    for name in request.metrics:
        manager.get(MetricSpec, name)
    device = "cpu"
    if any(model.uses_device for model in models) or request.device not in ("auto", "cpu"):
        device = pick_device(request.device)
    for model in models:
        if model.assembly is not None:
            _require(model, model.assembly, registry, manager, request)
        elif model.baseline is not None and model.baseline.knowledge is not None:
            environment = Environment(
                registry=registry,
                manager=manager,
                data_dir=request.data_dir or default_data_dir(),
                cache_dir=request.cache_dir or default_cache_dir(),
            )
            _require_knowledge(model, model.baseline.knowledge, environment, request)
    models = tuple(with_script(_with_graph_files(model, manager, request)) for model in models)
    report(Progress("read", 0, 1, request.dataset))
    data = open_data(request, registry, manager, report)
    split = request_split(request, data, manager)
    report(Progress("read", 1, 1))
    report(Progress("means", 0, 1, "pseudobulk means and DE genes"))
    station = make_station(request, registry, manager, data=data, split=split, device=device)
    if station.store.is_writer:
        save_split(split, request.results)
    report(Progress("means", 1, 1))
    return station, models


def _require(
    model: ResolvedModel,
    config: AssemblyConfig,
    registry: Registry,
    manager: PluginManager,
    request: BenchRequest,
) -> None:
    runtime = Runtime(cache_dir=request.cache_dir, data_dir=request.data_dir)
    missing = missing_requirements(config, registry, manager, runtime)
    if missing:
        raise ConfigError(
            f"{model.name} cannot be built here: {'; '.join(missing)}; without them, "
            f"--model {registry.defaults.fallback} runs offline"
        )


def _with_graph_files(
    model: ResolvedModel, manager: PluginManager, request: BenchRequest
) -> ResolvedModel:
    """Put the hashes of its graphs' files into a model's configuration, and so into its key."""
    if model.assembly is None or not model.assembly.kg:
        return model
    runtime = Runtime(cache_dir=request.cache_dir, data_dir=request.data_dir)
    graphs = model.assembly.kg_choice.identities(manager, runtime)
    return replace(model, config={**model.config, "kg_files": graphs})


def _require_knowledge(
    model: ResolvedModel, facets: str, environment: Environment, request: BenchRequest
) -> None:
    if is_vector_file(facets):
        lacking = None if Path(facets).expanduser().is_file() else f"there is no file {facets}"
    else:
        runtime = Runtime(cache_dir=request.cache_dir, data_dir=request.data_dir)
        lacking = missing_knowledge(facets, environment=environment, runtime=runtime)
    if lacking is not None:
        raise ConfigError(f"{model.name} cannot be built here: {lacking}")
