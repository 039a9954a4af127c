"""Training one model to keep, and scoring a kept one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.data.request import open_data
from dygenept.data.splits import SplitManifest, check_split, split_from_json, split_to_json
from dygenept.errors import ConfigError, SplitError
from dygenept.machine import processes
from dygenept.machine.devices import pick_device
from dygenept.model.config import assembly_config
from dygenept.model.resolve import ResolvedModel, resolve_model
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry
from dygenept.results.records import DatasetRecord, PluginRecord, RunRecord
from dygenept.results.store import check_can_write
from dygenept.runs.jobs import fold_task
from dygenept.runs.run_context import Station
from dygenept.runs.runner import BenchRequest, make_station, request_split
from dygenept.runs.saved_model import SavedModel, load_model, read_manifest, save_model
from dygenept.runs.scored_job import record_of
from dygenept.types import Progress, Runtime

if TYPE_CHECKING:
    from dygenept.model.estimator import DyGenePTModel


def train_model(
    request: BenchRequest,
    registry: Registry,
    manager: PluginManager,
    *,
    fold: int,
    report: Callable[[Progress], None],
) -> SavedModel:
    """Train the one model of a request on one fold and keep it in ``request.results``.

    Raises:
        ConfigError: If the model is not an assembly, or the fold does not exist.
        DygeneptError: Whatever the data set, the split or the training refuses.
    """
    device = pick_device(request.device)
    with processes.session(device):
        return _train(request, registry, manager, fold=fold, device=device, report=report)


def _train(
    request: BenchRequest,
    registry: Registry,
    manager: PluginManager,
    *,
    fold: int,
    device: str,
    report: Callable[[Progress], None],
) -> SavedModel:
    name = request.models[0]
    model = resolve_model(name, registry, manager, request.overrides)
    if model.role != "model":
        raise ConfigError(
            f"{name} is fitted in closed form and keeps no weights; use `dygenept predict "
            f"--dataset {request.dataset} --model {name} …` or `dygenept bench`"
        )
    check_can_write(request.results)
    data = open_data(request, registry, manager, report)
    split = request_split(request, data, manager, needs_test=False)
    if fold >= len(split.folds):
        raise SplitError(f"--fold {fold + 1}: the split has {len(split.folds)} fold(s)")
    station = make_station(request, registry, manager, data=data, split=split, device=device)
    task, _ = fold_task(
        station, model, fold, report, checkpoint_dir=request.results / "checkpoints"
    )
    built: DyGenePTModel = model.build()  # type: ignore[assignment]
    built.fit(task)
    config, _ = assembly_config(name, registry, manager, request.overrides)
    manifest = SavedModel(
        model=model.name,
        base_model=model.base,
        config=config,
        dataset=DatasetRecord.of(data),
        split=SplitManifest.model_validate_json(split_to_json(split)),
        fold=fold,
        seed=request.seed,
        suite=request.suite,
        plugins=tuple(map(PluginRecord.of, model.plugins)),
    )
    if station.store.is_writer:
        save_model(built, manifest, request.results)
    return manifest


def evaluate_model(
    request: BenchRequest,
    registry: Registry,
    manager: PluginManager,
    *,
    checkpoint: Path,
    keep: bool,
    report: Callable[[Progress], None],
) -> RunRecord:
    """Score a kept model on the held-out perturbations of its fold.

    Raises:
        SplitError: If the data set is not the one that the model was trained on.
    """
    device = pick_device(request.device)
    with processes.session(device):
        return _evaluate(
            request,
            registry,
            manager,
            checkpoint=checkpoint,
            keep=keep,
            device=device,
            report=report,
        )


def _evaluate(
    request: BenchRequest,
    registry: Registry,
    manager: PluginManager,
    *,
    checkpoint: Path,
    keep: bool,
    device: str,
    report: Callable[[Progress], None],
) -> RunRecord:
    manifest = read_manifest(checkpoint)
    if keep:
        check_can_write(request.results)
    data = open_data(request, registry, manager, report)
    split = split_from_json(manifest.split.model_dump_json(), where=str(checkpoint))
    check_split(split, data)
    runtime = Runtime(
        device=device, report=report, cache_dir=request.cache_dir, data_dir=request.data_dir
    )
    model, _ = load_model(checkpoint, registry, manager, runtime)
    station: Station = make_station(
        request, registry, manager, data=data, split=split, device=device
    )
    resolved = ResolvedModel(
        name=manifest.model,
        base=manifest.base_model,
        role="model",
        needs_cells=False,
        config=manifest.config.model_dump(mode="json"),
        plugins=(),
        build=lambda: model,
    )
    task, conditions = fold_task(station, resolved, manifest.fold, report, checkpoint_dir=None)
    return record_of(station, resolved, manifest.fold, task, conditions, is_fitted=True, keep=keep)
