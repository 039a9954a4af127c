"""``dygenept predict``: expression after perturbations that the user names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import ConfigError
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.cells import CellsFlags
from dygenept_cli.flags.environment import MachineFlags
from dygenept_cli.flags.models import ModelFlags
from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from dygenept.plugin.environment import Environment
    from dygenept.runs.predict import PredictRequest

FORMATS = (".csv", ".tsv", ".parquet", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class FitFlags(ModelFlags):
    """What to fit before predicting, and on what."""

    dataset: str | None = flag("Data to fit a model on, without --checkpoint.", metavar="NAME|FILE")
    model: str = flag("Model to fit, without --checkpoint.", default="dygenept_small")
    seed: options.SeedOption = None

    def request(
        self, environment: Environment, cells: CellsFlags, *, allow_unknown: bool
    ) -> PredictRequest:
        """Return the request to fit the model on all perturbations of the data set."""
        from dygenept.runs.predict import PredictRequest

        defaults = environment.registry.defaults
        return PredictRequest(
            dataset=str(self.dataset),
            model=self.model,
            de_list=defaults.de_list,
            seed=defaults.seed if self.seed is None else self.seed,
            overrides=self.overrides(),
            normalize=cells.normalize,
            scale=cells.scale,
            mapping=cells.mapping(),
            memory=cells.memory_bytes(),
            allow_unknown=allow_unknown,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictOutputFlags(options.OutputFlags):
    """Where predictions go."""

    output: Path | None = flag(
        "Write the whole table: .csv, .tsv, .parquet, .json; - for CSV on stdout.", metavar="FILE"
    )
    spread: Path | None = flag(
        "With --genes: a second .parquet file, with the standard deviation of the error that the "
        "model expects of each prediction.",
        metavar="FILE",
    )


def predict(
    *,
    wanted: options.WantedFlags,
    checkpoint: Path | None = flag("Folder written by `dygenept train`.", metavar="DIR"),
    fit: FitFlags,
    cells: CellsFlags,
    where: MachineFlags,
    shown: PredictOutputFlags,
) -> None:
    """Predict mean log1p expression, or a table's values, after perturbations, with gene names.

    With --genes, every single perturbation or pair of a list is predicted by a kept model and
    written as Parquet block by block: one row per perturbation, one column per gene.
    """
    from dygenept.machine.devices import pick_device
    from dygenept.runs.predict import predict_from_checkpoint, predict_from_data
    from dygenept_cli.views.predictions import show_strongest

    output = shown.output
    if output is not None:
        console.check_output(output, suffixes=FORMATS, as_json=shown.as_json)
    if (checkpoint is None) == (fit.dataset is None):
        raise ConfigError(
            "give either --checkpoint DIR (written by `dygenept train`) or --dataset NAME|FILE "
            "with --model"
        )
    if (wanted.genes is None) == (wanted.perturbation is None):
        raise ConfigError("give either --perturbation A+B or --genes FILE")
    if shown.spread is not None and wanted.genes is None:
        raise ConfigError(
            "--spread needs --genes; a table of named perturbations has a column predicted_sd"
        )
    environment = where.environment()
    if wanted.genes is not None:
        if checkpoint is None or output is None:
            raise ConfigError("--genes needs --checkpoint DIR and --output FILE.parquet")
        _sweep(checkpoint, wanted, environment, where.device, shown)
        return
    labels, cell_type = tuple(wanted.perturbation or ()), wanted.cell_type
    with shown.progress() as report:
        if checkpoint is not None:
            runtime = environment.runtime(report, device=pick_device(where.device))
            found = predict_from_checkpoint(
                checkpoint,
                labels,
                environment,
                cell_type=cell_type,
                runtime=runtime,
                allow_unknown=wanted.allow_unknown,
            )
        else:
            request = fit.request(environment, cells, allow_unknown=wanted.allow_unknown)
            found = predict_from_data(
                request, labels, environment, cell_type=cell_type, report=report
            )
    for text in found.notes:
        console.note(f"note: {text}")
    if output is not None:
        console.write_table(found.table, output)
        console.note(f"{len(found.table):,} rows written to {output}")
    if shown.as_json:
        console.print_json({"predictions": found.table.to_dicts()})
    elif output is None:
        show_strongest(found.table, found.kind)


def _sweep(
    checkpoint: Path,
    wanted: options.WantedFlags,
    environment: Environment,
    device: str,
    shown: PredictOutputFlags,
) -> None:
    """Write every perturbation of a list of genes; memory is that of a block."""
    from dygenept.machine.devices import pick_device
    from dygenept.runs.saved_model import load_model
    from dygenept.runs.sweep import checkpoint_sweep, write_sweep

    output = shown.output
    if output is None:
        return
    with shown.progress() as report:
        runtime = environment.runtime(report, device=pick_device(device))
        model, _ = load_model(checkpoint, environment, runtime)
        sweep = checkpoint_sweep(model, wanted.sweep_request())
        n_rows = write_sweep(model, sweep, output, report, spread=shown.spread)
    for text in sweep.notes:
        console.note(f"note: {text}")
    console.note(f"{n_rows:,} rows written to {output}")
    if shown.as_json:
        console.print_json({"rows": n_rows, "output": str(output)})
