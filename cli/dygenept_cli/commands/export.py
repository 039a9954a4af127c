"""``dygenept export``: kept predictions for other tools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import ConfigError, SplitError, nearest
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.cells import CellsFlags
from dygenept_cli.flags.environment import DataFlags
from dygenept_cli.flags.records import flag, with_flags
from dygenept_cli.help_screens import command_group

if TYPE_CHECKING:
    import polars as pl

    from dygenept.results.cell_eval import CellEvalFiles, Level
    from dygenept.results.kept import KeptPredictions
    from dygenept.types import PerturbationData

app = command_group("Write kept predictions for other tools.")
FORMATS = (".csv", ".tsv", ".parquet", ".h5ad")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFlags:
    """Which kept predictions are written."""

    model: str = flag("Model, as the leaderboard names it.", default=..., metavar="M")
    results: options.ResultsOption = Path("results")
    fold: int | None = flag("Fold [default: all of them].", min=1)
    dataset: str | None = flag("Name of the data set, if the folder has several.", metavar="NAME")
    suite: str | None = flag("Suite, if the folder has several.", metavar="S")

    def kept(self) -> KeptPredictions:
        """Read the predictions."""
        from dygenept.results.kept import kept_predictions

        return kept_predictions(
            self.results,
            self.model,
            dataset=self.dataset,
            suite=self.suite,
            fold=None if self.fold is None else self.fold - 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CellEvalFlags(CellsFlags):
    """The real cells, and how cells are predicted from them."""

    cells: str | None = flag(
        "The real cells [default: the recorded file or registered data set].", metavar="NAME|FILE"
    )
    level: str = flag(
        "Level: cells (control cells plus the predicted change) or pseudobulk (one row per "
        "perturbation).",
        default="cells",
    )
    n_cells: int = flag("Most predicted cells per perturbation.", default=100, min=1)
    seed: int = flag("Seed of the draw of control cells.", default=0, min=0)

    def chosen_level(self) -> Level:
        """Return the level.

        Raises:
            ConfigError: If it is unknown.
        """
        if self.level == "cells":
            return "cells"
        if self.level == "pseudobulk":
            return "pseudobulk"
        raise ConfigError(
            f"unknown --level {self.level!r}; {nearest(self.level, ('cells', 'pseudobulk'))}"
        )


@app.command("cell-eval")
@with_flags
def cell_eval(
    *,
    wanted: KeptFlags,
    output: Path = flag("Folder for real.h5ad and predicted.h5ad.", default=..., metavar="DIR"),
    cells: CellEvalFlags,
    where: DataFlags,
    shown: options.OutputFlags,
) -> None:
    """Write the real and the predicted AnnData file that `cell-eval run` reads."""
    from dygenept.machine.places import check_can_write
    from dygenept.results.cell_eval import write_cell_eval
    from dygenept.results.kept import as_predictions

    level = cells.chosen_level()
    check_can_write(output)
    kept = wanted.kept()
    data = _real_cells(kept, cells, where, shown)
    files = write_cell_eval(
        data,
        as_predictions(kept, data),
        output,
        level=level,
        n_cells=cells.n_cells,
        seed=cells.seed,
    )
    command = _command(files, level, output / "cell-eval")
    if shown.as_json:
        console.print_json(
            {
                "model": wanted.model,
                "real": str(files.real),
                "predicted": str(files.predicted),
                "n_perturbations": files.n_conditions,
                "clipped": files.clipped,
                "command": command,
            }
        )
        return
    if data.batches is not None:
        console.note(
            "controls are matched by batch in these predictions, and cell-eval measures changes of "
            "real cells, which are written as they are, from all controls; --no-match-batches in "
            "the bench gives predictions that it can be fair to"
        )
    console.note(
        f"{files.n_conditions} perturbation(s) written; {files.clipped:.1%} of the predicted "
        "means were outside [0, 15), the range that cell-eval requires, and were clipped"
    )
    console.stdout().print(command, highlight=False, soft_wrap=True)


def _real_cells(
    kept: KeptPredictions, cells: CellEvalFlags, where: DataFlags, output: options.OutputFlags
) -> PerturbationData:
    """Open the data set that was predicted.

    Raises:
        SplitError: If the data set is another one.
    """
    from dygenept.data.opening import open_data
    from dygenept.data.request import as_recorded

    environment = where.environment()
    recorded = kept.records[0].dataset
    wanted = cells.data_request(cells.cells or "")
    request = as_recorded(wanted, recorded.reading, environment, flag="--cells")
    with output.progress() as report:
        data = open_data(request, environment, report)
    if data.sha256 != recorded.sha256:
        raise SplitError(
            f"{request.dataset} is not the data set that was predicted: its fingerprint is "
            f"{data.sha256[:12]}…, recorded is {recorded.sha256[:12]}…; name the file with --cells"
        )
    return data


def _command(files: CellEvalFiles, level: Level, output: Path) -> str:
    """Return the command that scores the files."""
    from dygenept.results.cell_eval import CELL_TYPE_COLUMN, CONTROL, LABEL_COLUMN

    several = f" --celltype-col {CELL_TYPE_COLUMN}" if len(files.cell_types) > 1 else ""
    profile = " --profile anndata" if level == "pseudobulk" else ""
    return (
        f"cell-eval run -ap {files.predicted} -ar {files.real} --pert-col {LABEL_COLUMN} "
        f"--control-pert {CONTROL}{several}{profile} -o {output}"
    )


@app.command()
@with_flags
def predictions(
    wanted: KeptFlags,
    output: Path = flag(
        "File: .csv, .tsv, .parquet or .h5ad; - for CSV on stdout.", default=..., metavar="FILE"
    ),
) -> None:
    """Write kept predictions as one table: one row per perturbation, one column per gene.

    `dygenept score` reads the file back.
    """
    console.check_output(output, suffixes=FORMATS)
    kept = wanted.kept()
    table = kept.table
    of_table = kept.records[0].dataset.kind == "effects"
    unit = "what the table measures" if of_table else "mean log1p expression"
    if output.suffix == ".h5ad":
        _write_anndata(table, output)
    else:
        console.write_table(table, output)
    console.note(f"{len(table):,} prediction(s) of {wanted.model} written to {output}: {unit}")


def _write_anndata(table: pl.DataFrame, output: Path) -> None:
    import anndata
    import pandas as pd

    from dygenept.machine.hdf5_files import write_h5ad
    from dygenept.machine.whole_files import replaced_whole

    keys = ["perturbation", "cell_type", "fold"]
    index = [f"row{number}" for number in range(len(table))]
    frame = pd.DataFrame({name: table[name].to_list() for name in keys}, index=index)
    genes = table.drop(keys)
    adata = anndata.AnnData(X=genes.to_numpy(), obs=frame)
    adata.var_names = genes.columns
    with replaced_whole(output) as temporary:
        write_h5ad(adata, temporary)
