"""``dygenept predict``: expression after perturbations that the user names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    import polars as pl

TOP_GENES = 20
FORMATS = (".csv", ".tsv", ".parquet", ".json")


def predict(
    perturbation: Annotated[
        list[str],
        typer.Option(
            "--perturbation",
            metavar="A+B",
            help="Genes to perturb together, such as KLF1+MAPK1; may be given several times.",
        ),
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="DIR", help="Folder that `dygenept train` wrote."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset", metavar="NAME|FILE", help="Without --checkpoint: data to fit a model on."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="Without --checkpoint: the model to fit.")
    ] = "dygenept_small",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="Write the whole table: .csv, .tsv, .parquet, .json."
        ),
    ] = None,
    cell_type: Annotated[
        str | None, typer.Option("--cell-type", help="Predict only in this cell type.")
    ] = None,
    seed: options.SeedOption = None,
    facets: options.FacetsOption = None,
    attention: options.AttentionOption = None,
    kg: options.KgOption = None,
    config: options.ConfigOption = None,
    set_: options.SetOption = None,
    device: options.DeviceOption = "auto",
    scale: options.ScaleOption = None,
    normalize: options.NormalizeOption = False,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Predict mean log1p expression after perturbations, with gene names."""
    from dygenept.errors import ConfigError, nearest
    from dygenept.machine.devices import pick_device
    from dygenept.machine.progress import shown_progress
    from dygenept.runs.predict import (
        PredictRequest,
        predict_from_checkpoint,
        predict_from_data,
    )
    from dygenept_cli import context

    if output is not None and output.suffix not in FORMATS:
        raise ConfigError(f"cannot write {output}: {nearest(output.suffix, FORMATS)}")
    if (checkpoint is None) == (dataset is None):
        raise ConfigError(
            "give either --checkpoint DIR (written by `dygenept train`) or --dataset NAME|FILE "
            "with --model"
        )
    environment = context.load_environment(registry, plugin, data_dir=data_dir, device=device)
    with shown_progress(quiet=quiet) as report:
        if checkpoint is not None:
            found = predict_from_checkpoint(
                checkpoint,
                perturbation,
                environment,
                cell_type=cell_type,
                runtime=environment.runtime(report, device=pick_device(device)),
            )
        else:
            defaults = environment.registry.defaults
            request = PredictRequest(
                dataset=str(dataset),
                model=model,
                de_list=defaults.de_list,
                seed=defaults.seed if seed is None else seed,
                overrides=context.overrides(
                    parts={"attention": attention},
                    facets=facets,
                    kg=kg,
                    config=config,
                    sets=set_,
                ),
                normalize=normalize,
                scale=scale,
            )
            found = predict_from_data(
                request,
                perturbation,
                environment,
                cell_type=cell_type,
                report=report,
            )
    table = found.table
    for text in found.notes:
        context.note(f"note: {text}")
    if output is not None:
        _write(table, output)
        context.note(f"{len(table):,} rows written to {output}")
    if as_json:
        context.print_json({"schema_version": 1, "predictions": table.to_dicts()})
    elif output is None:
        _print_strongest(table)


def _write(table: pl.DataFrame, output: Path) -> None:
    from io import BytesIO

    from dygenept.results.store import write_atomically

    buffer = BytesIO()
    if output.suffix == ".parquet":
        table.write_parquet(buffer)
    elif output.suffix == ".json":
        table.write_json(buffer)
    else:
        table.write_csv(buffer, separator="\t" if output.suffix == ".tsv" else ",")
    write_atomically(output, buffer.getvalue())


def _print_strongest(table: pl.DataFrame) -> None:
    import polars as pl
    from rich.table import Table

    from dygenept_cli import context

    console = context.stdout()
    for (label, cell_type), part in table.group_by(
        ["perturbation", "cell_type"], maintain_order=True
    ):
        shown = Table(title=f"{label} in {cell_type}: the {TOP_GENES} largest predicted changes")
        for name in ("gene", "gene_id", "control", "predicted", "delta"):
            shown.add_column(name, justify="left" if name.startswith("gene") else "right")
        for row in part.sort(pl.col("delta").abs(), descending=True).head(TOP_GENES).to_dicts():
            shown.add_row(
                row["gene"],
                row["gene_id"],
                *(
                    f"{row[name]:+.3f}" if name == "delta" else f"{row[name]:.3f}"
                    for name in ("control", "predicted", "delta")
                ),
            )
        console.print(shown)
    context.note("mean log1p expression; --output FILE writes every gene")
