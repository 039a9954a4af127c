"""``dygenept train``: one assembled model on one fold, kept in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dygenept_cli import options


def train(
    dataset: options.DatasetOption,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder of the trained model.")
    ],
    model: Annotated[str, typer.Option("--model", help="An assembled model.")] = "dygenept_small",
    split: options.SplitOption = None,
    folds: options.FoldsOption = None,
    fold: Annotated[int, typer.Option("--fold", min=1, help="Which fold to train on.")] = 1,
    seed: options.SeedOption = None,
    gene_encoder: options.GeneEncoderOption = None,
    facets: options.FacetsOption = None,
    cell_encoder: options.CellEncoderOption = None,
    attention: options.AttentionOption = None,
    decoder: options.DecoderOption = None,
    kg: options.KgOption = None,
    config: options.ConfigOption = None,
    set_: options.SetOption = None,
    device: options.DeviceOption = "auto",
    scale: options.ScaleOption = None,
    normalize: options.NormalizeOption = False,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from a checkpoint that is there.")
    ] = True,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Train a model on one fold and keep it in a folder."""
    from dataclasses import replace

    from dygenept.machine.processes import launched
    from dygenept.machine.progress import shown_progress
    from dygenept.runs.train import train_model
    from dygenept_cli import context
    from dygenept_cli.protocol import Asked, declared_suite, request_under

    environment = context.load_environment(registry, plugin, data_dir=data_dir, device=device)
    asked = Asked(dataset=dataset, split=split, n_folds=folds, seed=seed, scale=scale)
    base = request_under(
        declared_suite(asked, environment),
        asked,
        dataset=dataset,
        results=output,
        normalize=normalize,
    )
    request = replace(
        base,
        models=(model,),
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
        resume=resume,
    )
    with shown_progress(quiet=quiet) as report:
        manifest = train_model(request, environment, fold=fold - 1, report=report)
    if as_json:
        context.print_json(
            {
                "schema_version": 1,
                "model": manifest.model,
                "fold": fold,
                "dataset": manifest.dataset.model_dump(mode="json"),
                "checkpoint": str(output),
            }
        )
    elif launched().is_writer:
        read = f" --scale {scale}" if scale is not None else ""
        read += " --normalize" if normalize else ""
        context.note(
            f"{manifest.model} trained on fold {fold} of {manifest.dataset.name}; score it with "
            f"`dygenept evaluate --checkpoint {output} --dataset {dataset}{read}`"
        )
