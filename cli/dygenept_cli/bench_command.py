"""``dygenept bench``: models × folds, then a leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dygenept.runner import BenchOutcome, BenchRequest
    from dygenept.suites import Suite
    from dygenept_cli.context import Environment


def bench(
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="NAME|FILE",
            help="A registered data set (see `dygenept data list`), sim:NAME, or an .h5ad file.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="M",
            help="A model; may be given several times. Without it: the closed-form baselines and "
            "dygenept, or dygenept_small where dygenept's weights are not at hand.",
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option("--suite", metavar="S", help="A declared benchmark, such as quick."),
    ] = None,
    split: options.SplitOption = None,
    folds: options.FoldsOption = None,
    seed: options.SeedOption = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="M", help="A metric to score and show; default all."),
    ] = None,
    require_gene_in: Annotated[
        str | None,
        typer.Option(
            "--require-gene-in",
            metavar="go",
            help="Keep only perturbations whose genes all are in this resource (kfold).",
        ),
    ] = None,
    de_list: Annotated[
        str | None,
        typer.Option("--de-list", help="top_non_dropout_de_20 (default) or top_non_zero_de_20."),
    ] = None,
    gene_encoder: options.GeneEncoderOption = None,
    facets: options.FacetsOption = None,
    cell_encoder: options.CellEncoderOption = None,
    attention: options.AttentionOption = None,
    decoder: options.DecoderOption = None,
    kg: options.KgOption = None,
    config: options.ConfigOption = None,
    set_: options.SetOption = None,
    results: options.ResultsOption = Path("results"),
    device: options.DeviceOption = "auto",
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Processes.")] = 1,
    executor: Annotated[
        str, typer.Option("--executor", help="inline, or process (implied by --jobs 2 or more).")
    ] = "inline",
    scale: options.ScaleOption = None,
    normalize: options.NormalizeOption = False,
    resume: Annotated[
        bool,
        typer.Option("--resume/--no-resume", help="Skip what the results folder already has."),
    ] = True,
    keep_predictions: Annotated[
        bool,
        typer.Option("--keep-predictions/--drop-predictions", help="Keep predictions on disk."),
    ] = True,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Cross-validate models on a data set and print a leaderboard."""
    from dygenept.runner import BenchRequest
    from dygenept_cli import context

    environment = context.load_environment(registry, plugin)
    declared = _suite(suite, dataset, environment)
    split_name, split_options = split_choice(
        split or declared.split, declared.split_options if split is None else {}, require_gene_in
    )
    names = tuple(model or declared.models) or _default_models(environment, data_dir)
    for name in declared.datasets:
        request = BenchRequest(
            dataset=name,
            models=names,
            suite="custom" if suite is None else declared.identity,
            split=split_name,
            split_options=split_options,
            n_folds=declared.n_folds if folds is None else folds,
            seed=declared.seed if seed is None else seed,
            variants=declared.grid.variants() if declared.grid and not model else (),
            overrides=context.overrides(
                parts={
                    "gene_encoder": gene_encoder,
                    "cell_encoder": cell_encoder,
                    "attention": attention,
                    "decoder": decoder,
                },
                facets=facets,
                kg=kg,
                config=config,
                sets=set_,
            ),
            metrics=tuple(metric or declared.metrics),
            de_list=de_list or declared.de_list,
            results=results,
            data_dir=context.data_directory(data_dir),
            cache_dir=context.cache_directory(),
            device=device,
            jobs=jobs,
            executor=executor,
            normalize=normalize,
            scale=declared.scale if scale is None else scale,
            resume=resume,
            keep_predictions=keep_predictions,
            registries=tuple(registry or ()),
            plugin_files=tuple(plugin or ()),
        )
        outcome = _run(request, quiet=quiet)
        _show(outcome, request, as_json=as_json)


def split_choice(
    split: str, declared: Mapping[str, object], require_gene_in: str | None
) -> tuple[str, dict[str, object]]:
    """Turn ``--split NAME|FILE`` into a plugin's name and options."""
    chosen = dict(declared)
    name = split
    if split.endswith(".json"):
        name, chosen = "manifest", {"path": split}
    if require_gene_in is not None:
        chosen["require_gene_in"] = require_gene_in
    return name, chosen


def _suite(name: str | None, dataset: str | None, environment: Environment) -> Suite:
    from importlib.resources import as_file, files

    from dygenept.errors import ConfigError
    from dygenept.suites import Suite, load_suite

    if name is not None:
        with as_file(files("dygenept_benchmarks")) as directory:
            declared = load_suite(name, directory)
        return declared if dataset is None else declared.model_copy(update={"datasets": (dataset,)})
    if dataset is None:
        raise ConfigError(
            "name what to run: --dataset NAME|FILE (see `dygenept data list`) or --suite quick"
        )
    defaults = environment.registry.defaults
    return Suite(
        name="custom",
        version=1,
        summary="",
        datasets=(dataset,),
        split=defaults.split,
        n_folds=defaults.n_folds,
        seed=defaults.seed,
        de_list=defaults.de_list,
    )


def _default_models(environment: Environment, data_dir: Path | None) -> tuple[str, ...]:
    from dygenept.runner import default_models
    from dygenept.types import Runtime
    from dygenept_cli import context

    runtime = Runtime(
        cache_dir=context.cache_directory(), data_dir=context.data_directory(data_dir)
    )
    choice = default_models(environment.registry, environment.manager, runtime)
    context.note(choice.reason)
    return choice.models


def _run(request: BenchRequest, *, quiet: bool) -> BenchOutcome:
    from dygenept.runner import run_bench
    from dygenept_cli.progress import shown_progress

    with shown_progress(quiet=quiet) as report:
        return run_bench(request, report=report)


def _show(outcome: BenchOutcome, request: BenchRequest, *, as_json: bool) -> None:
    from dygenept.errors import DygeneptError
    from dygenept.leaderboard import bench_document, leaderboard_rows
    from dygenept_cli import context
    from dygenept_cli.tables import leaderboard_table

    for text in (*outcome.dataset.notes, *_model_notes(outcome)):
        context.note(f"note: {text}")
    rows = leaderboard_rows(outcome.records)
    if as_json:
        context.print_json(bench_document(outcome, rows, results_dir=request.results))
    elif rows:
        context.stdout().print(leaderboard_table(rows, outcome.dataset, outcome.split))
        for job, reason in outcome.failures.items():
            text = f"not in this leaderboard: {job}: {reason}"
            context.stdout().print(text, markup=False, soft_wrap=True)
        context.note(f"results in {request.results}; show them again with `dygenept leaderboard`")
    if outcome.failures:
        text = "; ".join(f"{job}: {reason}" for job, reason in outcome.failures.items())
        raise DygeneptError(f"{len(outcome.failures)} job(s) failed: {text}")


def _model_notes(outcome: BenchOutcome) -> tuple[str, ...]:
    notes = (f"{record.model}: {text}" for record in outcome.records for text in record.notes)
    return tuple(dict.fromkeys(notes))
