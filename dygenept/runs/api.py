"""The functions of ``import dygenept as dg``: the walk of a run for scripts and notebooks.

They build the same requests as the command line and call the same runners. What they add is what
Python has and a shell has not: objects in place of names, a results folder that may be temporary,
and tables in return.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, TypeAlias

from dygenept.data.catalog import gives_effects
from dygenept.data.opening import open_data
from dygenept.data.request import DataRequest
from dygenept.errors import ConfigError
from dygenept.knowledge.graph.sources import KgChoice, kg_names
from dygenept.knowledge.precompute.pipeline import Pipeline
from dygenept.knowledge.precompute.request import PrecomputeRequest, StepOutcome, planned_steps
from dygenept.machine.devices import pick_device
from dygenept.machine.progress import shown_progress
from dygenept.model.overrides import Overrides
from dygenept.plugin.environment import Environment
from dygenept.runs.bench_result import BenchResult
from dygenept.runs.default_models import default_models
from dygenept.runs.handed_over import (
    IN_MEMORY,
    Table,
    limit_of,
    mapping_of,
    named_models,
    opened_object,
    reading_of,
    written_predictions,
)
from dygenept.runs.loaded_model import LoadedModel
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.runs.score import SubmissionRequest, score_submission
from dygenept.types import PerturbationData

if TYPE_CHECKING:
    import anndata

    Data: TypeAlias = PerturbationData | anndata.AnnData | str | Path


def load_dataset(
    data: anndata.AnnData | str | Path,
    *,
    name: str | None = None,
    normalize: bool = False,
    scale: float | None = None,
    memory: str | int | None = None,
    environment: Environment | None = None,
    **mapping: str | bool | Sequence[str] | None,
) -> PerturbationData:
    """Open a data set: a registered name, an ``.h5ad`` file or an AnnData object.

    Args:
        data: Such as ``"norman"``, ``"sim:k562@0.05"``, ``"screen.h5ad"``, or an AnnData object.
        name: Name of an AnnData object in records; None for ``in_memory``.
        normalize: Expression is raw counts: scale each cell to the median total and take log1p.
        scale: Shrinks a simulated data set, in (0, 1].
        memory: Most memory, such as ``"4G"``: cells that take more are kept in a temporary file,
            with the same results. What an AnnData object takes by itself counts; one that was read
            with ``backed="r"`` is read from its file. None for no limit.
        environment: Registry, plugins and folders; None loads the default ones.
        mapping: Where a file or an object keeps what is needed, as ``DataMapping`` lists it:
            ``condition_column``, ``control`` (one label or several), ``separator``,
            ``guide_pattern``, ``symbol_column``, ``layer``, ``cell_type_column``,
            ``batch_column``, ``match_batches``, ``drop``, ``cells``; ``condition``,
            ``cell_type`` and ``gene_symbols`` are other names of three of them.

    Returns:
        The data set; ``notes`` says what was accepted or mended.

    Raises:
        DataError: If nothing has this name, or the cells break a rule; the message says what helps.
        ConfigError: If an option does not fit the data set.

    Example:
        >>> import dygenept as dg
        >>> dg.load_dataset("sim:norman", scale=0.02).is_simulated
        True
    """
    chosen = mapping_of(mapping)
    is_named = isinstance(data, str | Path)
    asked = DataRequest(
        dataset=str(data) if is_named else name or IN_MEMORY,
        normalize=normalize,
        scale=scale,
        mapping=chosen,
        memory=limit_of(memory),
    )
    if isinstance(data, str | Path):
        used = environment or Environment.load()
        with shown_progress() as report:
            found = open_data(asked, used, report)
        return found if name is None else replace(found, name=name)
    if scale is not None:
        raise ConfigError("only a simulated data set can be scaled; leave scale out")
    opened = opened_object(data, asked, environment).opened
    assert opened is not None
    return opened


def bench(
    data: Data,
    models: object = None,
    *,
    split: str | None = None,
    folds: int | None = None,
    seed: int | None = None,
    metrics: Sequence[str] = (),
    options: Sequence[str] = (),
    results: str | Path | None = None,
    jobs: int = 1,
    memory: str | int | None = None,
    environment: Environment | None = None,
    normalize: bool = False,
    progress: bool = True,
    **mapping: str | bool | Sequence[str] | None,
) -> BenchResult:
    """Cross-validate models on a data set.

    Args:
        data: What ``load_dataset`` gave, or what it takes.
        models: A name, a list of models, or a mapping from shown name to model. A model is the
            name of a baseline or of a registered assembly, the configuration of a baseline
            (``RidgeConfig(alpha=0.1)``), an ``AssemblyText``, or any object with ``fit(task)`` and
            ``predict(conditions)``. None runs the closed-form baselines and the best assembly
            whose weights are on this machine.
        split: Split protocol; None for the registry's default (``kfold``).
        folds: Number of folds; None for the registry's default.
        seed: Seed of the split and of all that follows; None for the registry's default.
        metrics: Metrics to score; empty for those that boards show by default.
        options: Settings as ``--set`` takes them, such as ``"training.epochs=5"``.
        results: Results folder, in which recorded jobs are not computed again; None for a
            temporary one that vanishes with the result.
        jobs: Processes.
        memory: Most memory of each process, such as ``"4G"``; as in ``load_dataset``.
        environment: Registry, plugins, folders and device; None loads the default ones.
        normalize: As in ``load_dataset``, where ``data`` is still to be read.
        progress: Show progress in a terminal or notebook.
        mapping: As in ``load_dataset``, where ``data`` is still to be read.

    Returns:
        The records, as tables and comparisons.

    Raises:
        DygeneptError: If the data, the split, a model or a metric is refused before the first job.

    Example:
        >>> import dygenept as dg
        >>> data = dg.load_dataset("sim:norman", scale=0.02)
        >>> result = dg.bench(data, ["perturbed_mean", "additive"], folds=2, progress=False)
        >>> sorted(set(result.leaderboard("mse")["model"]))
        ['additive', 'perturbed_mean']
    """
    used = environment or Environment.load()
    names, given = named_models(models)
    reading = reading_of(data, used, normalize=normalize, memory=limit_of(memory), mapping=mapping)
    choice = None if names or given else default_models(used, effects=_has_effects(reading, used))
    with _folder(results) as folder, shown_progress(quiet=not progress) as report:
        request = replace(
            _request(
                reading,
                used,
                folder,
                split=split,
                folds=folds,
                seed=seed,
            ),
            models=names if choice is None else choice.models,
            variants=() if choice is None else choice.controls,
            given=given,
            metrics=tuple(metrics),
            overrides=Overrides(parts={}, sets=tuple(options)),
            jobs=jobs,
        )
        outcome = run_bench(request, used, report=report)
    return BenchResult(outcome, folder, is_temporary=results is None)


def score(
    predictions: Table,
    data: Data,
    *,
    name: str = "submitted",
    is_delta: bool = False,
    fill: bool = False,
    in_all_types: bool = False,
    submitter: str = "",
    split: str | None = None,
    folds: int | None = None,
    seed: int | None = None,
    metrics: Sequence[str] = (),
    results: str | Path | None = None,
    environment: Environment | None = None,
    normalize: bool = False,
    progress: bool = True,
    **mapping: str | bool | Sequence[str] | None,
) -> BenchResult:
    """Score predictions made elsewhere, by the rules that the harness's own models obey.

    Args:
        predictions: An AnnData object, a polars or pandas table (long or wide), or the path of a
            file; docs/score.md describes the layouts.
        data: What ``load_dataset`` gave, or what it takes.
        name: How leaderboards call the predictions.
        is_delta: Values are changes from control, not expression.
        fill: Use the mean of the train perturbations for a missing perturbation and the control
            mean for a missing gene; the records say so.
        in_all_types: Use predictions without a cell type in every cell type of the data set.
        submitter: Who hands them in; claims are corrected over all that one submitter hands in.
        split: As in ``bench``; likewise ``folds``, ``seed``, ``metrics`` and the rest.
        folds: See ``bench``.
        seed: See ``bench``.
        metrics: See ``bench``.
        results: See ``bench``.
        environment: See ``bench``.
        normalize: See ``bench``.
        progress: See ``bench``.
        mapping: See ``bench``.

    Raises:
        DataError: If the predictions cannot be read, match nothing, or lack something and ``fill``
            is False.

    Example:
        >>> import dygenept as dg
        >>> data = dg.load_dataset("sim:norman", scale=0.02)
        >>> table = {"perturbation": [c.label for c in data.conditions]}
        >>> table |= dict.fromkeys(data.gene_ids, 0.0)
        >>> import polars as pl
        >>> result = dg.score(pl.DataFrame(table), data, name="zeros", folds=2, progress=False)
        >>> result.leaderboard("mse")["model"].to_list()
        ['zeros']
    """
    used = environment or Environment.load()
    with (
        TemporaryDirectory() as scratch,
        _folder(results) as folder,
        shown_progress(quiet=not progress) as report,
    ):
        request = replace(
            _request(
                reading_of(data, used, normalize=normalize, memory=None, mapping=mapping),
                used,
                folder,
                split=split,
                folds=folds,
                seed=seed,
            ),
            metrics=tuple(metrics),
        )
        path = written_predictions(predictions, Path(scratch))
        submission = SubmissionRequest(
            path=path,
            name=name,
            is_delta=is_delta,
            fill=fill,
            in_all_types=in_all_types,
            submitter=submitter,
        )
        scored = score_submission(submission, request, used, report=report)
    return BenchResult(scored.outcome, folder, is_temporary=results is None)


def load_model(
    path: str | Path, *, device: str | None = None, environment: Environment | None = None
) -> LoadedModel:
    """Open a model that ``dygenept train`` kept.

    Args:
        path: Folder of the model.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; None for the environment's.
        environment: Registry, plugins, folders and device; None loads the default ones.

    Raises:
        DataUnavailableError: If the folder contains no trained model.
    """
    used = environment or Environment.load()
    return LoadedModel(Path(path), used, device=pick_device(device or used.device))


def precompute(
    output: str | Path,
    genes: Sequence[str] | None = None,
    *,
    writer: str = "go",
    encoder: str = "minilm",
    kg: Sequence[str] = (),
    steps: Sequence[str] = ("all",),
    environment: Environment | None = None,
    progress: bool = True,
) -> tuple[StepOutcome, ...]:
    """Build the facet tensor of genes: text, facets, embeddings, imputation.

    Args:
        output: Folder of all artefacts; ``knowledge.safetensors`` in it is a facet set.
        genes: Gene symbols; None takes those of the corpus that is in ``output``.
        writer: Facet writer plugin.
        encoder: Text encoder plugin.
        kg: Knowledge graphs that unknown facets are imputed from.
        steps: ``all``, or some of 1, 1.5, 2, 2.5, 3 and 4.
        environment: Registry, plugins and folders; None loads the default ones.
        progress: Show progress in a terminal or notebook.

    Returns:
        What became of each step; a step whose inputs have not changed is kept.

    Raises:
        DygeneptError: Whatever a writer, an encoder or a graph refuses.
    """
    used = environment or Environment.load()
    request = PrecomputeRequest(
        output=Path(output),
        genes=None if genes is None else tuple(genes),
        writer=writer,
        encoder=encoder,
        kg=KgChoice({name: {} for name in kg_names(",".join(kg))} if kg else {}),
    )
    with shown_progress(quiet=not progress) as report:
        runtime = used.runtime(report, device=pick_device(used.device))
        pipeline = Pipeline(request, manager=used.manager, runtime=runtime)
        return pipeline.run(planned_steps(steps, request))


@contextmanager
def _folder(results: str | Path | None) -> Iterator[Path]:
    """Give the results folder; a temporary one is removed at once where the run is refused."""
    if results is not None:
        yield Path(results)
        return
    folder = Path(mkdtemp(prefix="dygenept-"))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _has_effects(reading: DataRequest, environment: Environment) -> bool:
    """True if what is read is a table of effects."""
    if reading.opened is not None:
        return reading.opened.effects is not None
    return gives_effects(reading.dataset, environment)


def _request(
    data: DataRequest,
    environment: Environment,
    results: Path,
    *,
    split: str | None,
    folds: int | None,
    seed: int | None,
) -> BenchRequest:
    """Say under which protocol data are run, with the registry's defaults."""
    defaults = environment.registry.defaults
    return BenchRequest(
        dataset=data.dataset,
        opened=data.opened,
        memory=data.memory,
        held=data.held,
        normalize=data.normalize,
        mapping=data.mapping,
        split=defaults.split if split is None else split,
        n_folds=defaults.n_folds if folds is None else folds,
        seed=defaults.seed if seed is None else seed,
        de_list=defaults.de_list,
        results=results,
    )
