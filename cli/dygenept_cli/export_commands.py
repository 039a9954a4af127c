"""``dygenept export``: kept predictions for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(
    help="Write kept predictions for other tools.", no_args_is_help=True, rich_markup_mode=None
)
FORMATS = (".csv", ".tsv", ".parquet", ".h5ad")

ModelOption = Annotated[
    str, typer.Option("--model", metavar="M", help="A model, as the leaderboard names it.")
]
FoldOption = Annotated[
    int | None, typer.Option("--fold", min=1, help="One fold; without it, all of them.")
]
SuiteOption = Annotated[
    str | None,
    typer.Option("--suite", metavar="S", help="Suite, where the folder has several."),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset", metavar="NAME", help="Name of the data set, where the folder has several."
    ),
]


@app.command("cell-eval")
def cell_eval(
    model: ModelOption,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder of real.h5ad, predicted.h5ad.")
    ],
    results: options.ResultsOption = Path("results"),
    fold: FoldOption = None,
    dataset: DatasetOption = None,
    suite: SuiteOption = None,
    cells: Annotated[
        str | None,
        typer.Option(
            "--cells",
            metavar="NAME|FILE",
            help="The real cells, if the data set is not a registered name.",
        ),
    ] = None,
    level: Annotated[
        str,
        typer.Option(
            "--level",
            help="cells (control cells plus the predicted change) or pseudobulk (one row each).",
        ),
    ] = "cells",
    n_cells: Annotated[
        int, typer.Option("--n-cells", min=1, help="Most predicted cells per perturbation.")
    ] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the control cells.")] = 0,
    scale: options.ScaleOption = None,
    normalize: options.NormalizeOption = False,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Write the real and the predicted AnnData file that `cell-eval run` reads."""
    from dygenept.data.request import DataRequest, open_data, recorded_dataset
    from dygenept.errors import ConfigError, SplitError, nearest
    from dygenept.machine.progress import shown_progress
    from dygenept.results.cell_eval import CELL_TYPE_COLUMN, CONTROL, LABEL_COLUMN, write_cell_eval
    from dygenept.results.kept import as_predictions, kept_predictions
    from dygenept_cli import context

    if level not in ("cells", "pseudobulk"):
        raise ConfigError(f"unknown --level {level!r}; {nearest(level, ('cells', 'pseudobulk'))}")
    environment = context.load_environment(registry, plugin, data_dir=data_dir)
    kept = kept_predictions(
        results, model, dataset=dataset, suite=suite, fold=None if fold is None else fold - 1
    )
    recorded = kept.records[0].dataset
    request = DataRequest(
        dataset=recorded_dataset(cells, recorded.name, environment, flag="--cells"),
        normalize=normalize,
        scale=scale,
    )
    with shown_progress(quiet=quiet) as report:
        data = open_data(request, environment, report)
    if data.sha256 != recorded.sha256:
        raise SplitError(
            f"{request.dataset} is not the data set that was predicted: its fingerprint is "
            f"{data.sha256[:12]}…, recorded is {recorded.sha256[:12]}…; name the file with --cells"
        )
    files = write_cell_eval(
        data,
        as_predictions(kept, data),
        output,
        level="cells" if level == "cells" else "pseudobulk",
        n_cells=n_cells,
        seed=seed,
    )
    several = f" --celltype-col {CELL_TYPE_COLUMN}" if len(files.cell_types) > 1 else ""
    profile = " --profile anndata" if level == "pseudobulk" else ""
    command = (
        f"cell-eval run -ap {files.predicted} -ar {files.real} --pert-col {LABEL_COLUMN} "
        f"--control-pert {CONTROL}{several}{profile} -o {output / 'cell-eval'}"
    )
    if as_json:
        context.print_json(
            {
                "schema_version": 1,
                "model": model,
                "real": str(files.real),
                "predicted": str(files.predicted),
                "n_perturbations": files.n_conditions,
                "clipped": files.clipped,
                "command": command,
            }
        )
        return
    context.note(
        f"{files.n_conditions} perturbation(s) written; {files.clipped:.1%} of the predicted "
        "means were outside of [0, 15), which cell-eval requires, and were clipped"
    )
    context.stdout().print(command, markup=False, highlight=False, soft_wrap=True)


@app.command()
def predictions(
    model: ModelOption,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", help="A .csv, .tsv, .parquet or .h5ad file.")
    ],
    results: options.ResultsOption = Path("results"),
    fold: FoldOption = None,
    dataset: DatasetOption = None,
    suite: SuiteOption = None,
) -> None:
    """Write kept predictions as one table: one row per perturbation, one column per gene.

    `dygenept score` reads the file back.
    """
    from dygenept.errors import ConfigError, nearest
    from dygenept.results.kept import kept_predictions
    from dygenept_cli import context

    if output.suffix not in FORMATS:
        raise ConfigError(f"cannot write {output}: {nearest(output.suffix, FORMATS)}")
    kept = kept_predictions(
        results, model, dataset=dataset, suite=suite, fold=None if fold is None else fold - 1
    )
    _write(kept.table, output)
    context.note(
        f"{len(kept.table):,} prediction(s) of {model} written to {output}: mean log1p expression"
    )


def _write(table: pl.DataFrame, output: Path) -> None:
    from io import BytesIO

    from dygenept.results.store import write_atomically

    if output.suffix == ".h5ad":
        import anndata
        import numpy as np
        import pandas as pd

        from dygenept.machine.whole_files import replaced_whole

        keys = ["perturbation", "cell_type", "fold"]
        index = [f"row{number}" for number in range(len(table))]
        frame = pd.DataFrame({name: table[name].to_list() for name in keys}, index=index)
        genes = table.drop(keys)
        adata = anndata.AnnData(X=genes.to_numpy().astype(np.float32), obs=frame)
        adata.var_names = genes.columns
        with replaced_whole(output) as temporary:
            adata.write_h5ad(temporary)
        return
    buffer = BytesIO()
    if output.suffix == ".parquet":
        table.write_parquet(buffer)
    else:
        table.write_csv(buffer, separator="\t" if output.suffix == ".tsv" else ",")
    write_atomically(output, buffer.getvalue())
