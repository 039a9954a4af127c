"""``dygenept plot``: plots for papers, as SVG, PNG or PDF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept.errors import ConfigError
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.environment import DataFlags, MachineFlags
from dygenept_cli.flags.options import ResultsFlags
from dygenept_cli.flags.records import flag, with_flags
from dygenept_cli.help_screens import command_group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dygenept.results.records import RunRecord

app = command_group("Draw plots for papers (needs matplotlib: the extra `plot`).")
OutputOption = Annotated[
    Path, typer.Option("--output", metavar="FILE", help="File: .svg, .png or .pdf.")
]


@app.command()
@with_flags
def results(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND",
            help="forest (intervals), strips, paired, changes (predicted against measured), "
            "calibration (of metrics), saturation (of simple models), time, or memory.",
        ),
    ],
    output: OutputOption,
    wanted: ResultsFlags,
    model: list[str] | None = flag("Model; paired takes two, changes one.", metavar="M"),
    perturbation: str | None = flag("Perturbation, for changes.", metavar="A+B"),
    cell_type: str | None = flag("Cell type, for changes."),
) -> None:
    """Plot a board of a results folder."""
    from dygenept.reports.plots.kinds import PlotRequest, plot_results
    from dygenept.reports.plots.style import check_plot_file, write_plot
    from dygenept.results.store import ResultsStore
    from dygenept_cli.views.boards import chosen_boards

    check_plot_file(output)
    metric = next(iter(wanted.metrics), None)
    request = PlotRequest(kind, metric, tuple(model or ()), perturbation, cell_type)
    with chosen_boards(wanted.results, dataset=wanted.dataset, metrics=wanted.metrics) as boards:
        made = plot_results(tuple(_one(boards)), request, ResultsStore(wanted.results))
    write_plot(made, output)
    console.note(f"plot written to {output}")


def _one(boards: Sequence[Sequence[RunRecord]]) -> Sequence[RunRecord]:
    """Return the only board.

    Raises:
        ConfigError: If the folder has several of them.
    """
    if len(boards) > 1:
        names = dict.fromkeys(records[0].dataset.name for records in boards)
        raise ConfigError(
            f"the folder has {len(boards)} leaderboards ({', '.join(names)}); choose a data set "
            "with --dataset, or keep each benchmark in a folder of its own"
        )
    return boards[0]


@app.command()
@with_flags
def learning(output: OutputOption, wanted: ResultsFlags) -> None:
    """Plot scores against the number of train perturbations, from several --folds of one data set.

    The folder has one board per number of folds; --metric chooses the metric.
    """
    from dygenept.leaderboard.boards import leaderboard_of
    from dygenept.reports.plots.learning import learning_curves, plot_learning
    from dygenept.reports.plots.style import check_plot_file, write_plot
    from dygenept.results.store import ResultsStore
    from dygenept_cli.views.boards import chosen_boards

    check_plot_file(output)
    with chosen_boards(wanted.results, dataset=wanted.dataset, metrics=wanted.metrics) as boards:
        metric = next(iter(wanted.metrics), None) or leaderboard_of(boards[0]).lead
        records = [record for board in boards for record in board]
    first = records[0].dataset
    if len({record.dataset.sha256 for record in records}) > 1:
        raise ConfigError("the folder has several data sets; choose one with --dataset")
    curves = learning_curves(records, ResultsStore(wanted.results), metric)
    made = plot_learning(curves, metric, dataset=first.name, is_simulated=first.simulated)
    write_plot(made, output)
    console.note(f"plot written to {output}")


@app.command()
@with_flags
def coverage(
    output: OutputOption,
    where: DataFlags,
    facets: str = flag("Facet set or knowledge file.", default="go_minilm", metavar="X|FILE"),
    kg: options.KgOption = None,
    gene: list[str] | None = flag("Gene; may be given several times."),
    dataset: str | None = flag("The genes that it perturbs.", metavar="NAME|FILE"),
) -> None:
    """Plot of how many genes each facet is known, inferred or unknown."""
    from dygenept.data.catalog import open_dataset
    from dygenept.knowledge.catalog import open_knowledge
    from dygenept.reports.plots.models import coverage as draw
    from dygenept.reports.plots.style import check_plot_file, write_plot
    from dygenept_cli.flags.models import graph_choice

    check_plot_file(output)
    environment = where.environment()
    runtime = environment.runtime()
    genes = list(gene or ())
    if dataset is not None:
        genes += open_dataset(dataset, environment, runtime).target_genes
    if not genes:
        raise ConfigError("say of which genes: --dataset NAME, or --gene G")
    found = open_knowledge(
        facets,
        tuple(dict.fromkeys(genes)),
        environment=environment,
        runtime=runtime,
        kg=graph_choice(kg, None),
    )
    write_plot(draw(found), output)
    console.note(f"plot written to {output}")


@app.command()
@with_flags
def history(
    checkpoint: options.CheckpointOption, output: OutputOption, where: MachineFlags
) -> None:
    """Plot the training of a model that `dygenept train` kept."""
    from dygenept.reports.plots.models import history as draw
    from dygenept.reports.plots.style import check_plot_file, write_plot
    from dygenept.runs.saved_model import load_model

    check_plot_file(output)
    environment = where.environment()
    model, manifest = load_model(checkpoint, environment, environment.runtime())
    made = draw(manifest.model, model.state.histories, is_simulated=manifest.dataset.simulated)
    write_plot(made, output)
    console.note(f"plot written to {output}")
