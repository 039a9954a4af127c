"""``dygenept train``: one assembled model on one fold, kept in a folder."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.benchmark import BenchmarkFlags, SplitFlags
from dygenept_cli.flags.cells import CellsFlags
from dygenept_cli.flags.environment import MachineFlags
from dygenept_cli.flags.models import AssemblyFlags
from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from dygenept.plugin.environment import Environment
    from dygenept.runs.runner import BenchRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainFlags(SplitFlags):
    """What is trained, on which fold, and where it is kept."""

    dataset: options.DatasetOption
    output: Path = flag("Folder of the trained model.", default=..., metavar="DIR")
    model: str = flag("Assembled model.", default="dygenept_small")
    fold: int = flag("Fold to train on.", default=1, min=1)
    resume: options.ResumeOption = True

    def request(self, environment: Environment) -> BenchRequest:
        """Return the request for this data set and split, without models."""
        benchmark = BenchmarkFlags(
            dataset=self.dataset,
            split=self.split,
            folds=self.folds,
            seed=self.seed,
            **{item.name: getattr(self, item.name) for item in fields(CellsFlags)},
        )
        declared = benchmark.declared(environment)
        return benchmark.request(declared, dataset=self.dataset, results=self.output)


def train(
    wanted: TrainFlags, assembly: AssemblyFlags, where: MachineFlags, output: options.OutputFlags
) -> None:
    """Train a model on one fold and keep it in a folder."""
    from dygenept.machine.processes import launched
    from dygenept.runs.train import train_model

    environment = where.environment()
    request = replace(
        wanted.request(environment),
        models=(wanted.model,),
        overrides=assembly.overrides(),
        resume=wanted.resume,
    )
    with output.progress() as report:
        manifest = train_model(request, environment, fold=wanted.fold - 1, report=report)
    if output.as_json:
        console.print_json(
            {
                "model": manifest.model,
                "fold": wanted.fold,
                "dataset": manifest.dataset.model_dump(mode="json"),
                "checkpoint": str(wanted.output),
            }
        )
    elif launched().is_writer:
        read = f" --scale {wanted.scale}" if wanted.scale is not None else ""
        read += f" {given}" if (given := wanted.as_given()) else ""
        console.note(
            f"{manifest.model} trained on fold {wanted.fold} of {manifest.dataset.name}; score "
            f"it with `dygenept evaluate --checkpoint {wanted.output} "
            f"--dataset {wanted.dataset}{read}`"
        )
