"""Training one model to keep, and scoring a kept one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dygenept.data.request import as_recorded
from dygenept.data.splits import SplitManifest, check_split, split_from_json, split_to_json
from dygenept.errors import ConfigError, SplitError
from dygenept.machine import processes
from dygenept.machine.devices import pick_device
from dygenept.machine.places import check_can_write
from dygenept.model.resolve import resolve_model
from dygenept.plugin.code_identity import project_code
from dygenept.plugin.environment import Environment
from dygenept.results.provenance import CodeRecord, DatasetRecord, PluginRecord
from dygenept.results.records import RunRecord
from dygenept.runs.jobs import fold_job
from dygenept.runs.model_answers import fitted
from dygenept.runs.readiness import require_buildable, with_file_hashes
from dygenept.runs.run_context import RunRequest, check_request, cut_split, open_run
from dygenept.runs.runner import BenchRequest
from dygenept.runs.saved_model import (
    SavedModel,
    load_model,
    read_saved_model,
    resolved_model,
    save_model,
)
from dygenept.runs.scored_job import record_of
from dygenept.types import PerturbationData, Progress, Split

if TYPE_CHECKING:
    from dygenept.model.estimator import DyGenePTModel


def train_model(
    request: BenchRequest,
    environment: Environment,
    *,
    fold: int,
    report: Callable[[Progress], None],
) -> SavedModel:
    """Train the one model of a request on one fold and keep it in ``request.results``.

    Raises:
        ConfigError: If the model is not an assembly, or the fold does not exist.
        DygeneptError: Whatever the data set, the split or the training refuses.
    """
    device = pick_device(environment.device)
    with processes.session(device):
        (name,) = request.models
        model = resolve_model(name, environment, request.overrides)
        if model.assembly is None:
            raise ConfigError(
                f"{name} is fitted in closed form and keeps no weights; use `dygenept predict "
                f"--dataset {request.dataset} --model {name} …` or `dygenept bench`"
            )
        check_can_write(request.results)
        check_request(request, environment)
        require_buildable(model, environment)

        def split_of(data: PerturbationData) -> Split:
            split = cut_split(request, environment, data, needs_test=False)
            if fold >= len(split.folds):
                raise SplitError(f"--fold {fold + 1}: the split has {len(split.folds)} fold(s)")
            return split

        context = open_run(
            request, environment, report, device=device, split_of=split_of, is_scored=False
        )
        checkpoints = request.results / "checkpoints"
        _, task = fold_job(context, model, fold, report, checkpoint_dir=checkpoints)
        built = cast("DyGenePTModel", fitted(model, task))
        manifest = SavedModel(
            model=model.name,
            base_model=model.base,
            config=model.assembly.text,
            dataset=DatasetRecord.of(context.data),
            split=SplitManifest.model_validate_json(split_to_json(context.split)),
            fold=fold,
            seed=request.seed,
            suite=request.suite,
            plugins=tuple(map(PluginRecord.of, model.plugins)),
            code=CodeRecord.of(project_code()),
        )
        if context.store.is_writer:
            save_model(built, manifest, request.results)
        return manifest


def evaluate_model(
    request: RunRequest,
    environment: Environment,
    *,
    checkpoint: Path,
    keep: bool,
    report: Callable[[Progress], None],
) -> RunRecord:
    """Score a kept model on the held-out perturbations of its fold.

    The record is the one that ``bench`` makes of the same model and fold: the same key,
    configuration and plugins. What other code trained has a key and a name of its own.

    Args:
        request: Data set, metrics and results folder; the protocol is that of the training.
        environment: Registry, plugins, folders and device.
        checkpoint: Folder of the trained model.
        keep: Write the record and its split into the results folder.
        report: Callback for progress.

    Raises:
        SplitError: If the data set is not the one that the model was trained on.
    """
    device = pick_device(environment.device)
    with processes.session(device):
        manifest = read_saved_model(checkpoint)
        if keep:
            check_can_write(request.results)
        check_request(request, environment, is_split_known=True)
        resolved = with_file_hashes(resolved_model(manifest, environment), environment)
        built, _ = load_model(checkpoint, environment, environment.runtime(report, device=device))

        def split_of(data: PerturbationData) -> Split:
            split = split_from_json(manifest.split.model_dump_json(), where=str(checkpoint))
            check_split(split, data)
            return split

        asked = as_recorded(request, manifest.dataset.reading, environment, flag="--dataset")
        context = open_run(
            replace(
                asked, suite=manifest.suite, split=manifest.split.algorithm, seed=manifest.seed
            ),
            environment,
            report,
            device=device,
            split_of=split_of,
        )
        # It is fitted already, so nothing reads the cells of its task.
        job, task = fold_job(context, replace(resolved, needs_cells=False), manifest.fold, report)
        if keep:
            context.keep_shared()
        return record_of(job, task, built=built, keep=keep)
