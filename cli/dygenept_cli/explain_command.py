"""``dygenept explain``: which facets of the target genes a kept model relies on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dygenept_cli import options


def explain(
    checkpoint: Annotated[
        Path,
        typer.Option("--checkpoint", metavar="DIR", help="Folder that `dygenept train` wrote."),
    ],
    perturbation: Annotated[
        list[str],
        typer.Option(
            "--perturbation",
            metavar="A+B",
            help="Genes perturbed together, such as KLF1+MAPK1; may be given several times.",
        ),
    ],
    cell_type: Annotated[
        str | None, typer.Option("--cell-type", help="Explain only in this cell type.")
    ] = None,
    device: options.DeviceOption = "auto",
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Show the attention weight of each facet of each target gene."""
    from dataclasses import asdict

    from rich.table import Table
    from rich.text import Text

    from dygenept.machine.devices import pick_device
    from dygenept.machine.progress import shown_progress
    from dygenept.runs.explain import explain_from_checkpoint
    from dygenept_cli import context

    environment = context.load_environment(registry, plugin, device=device)
    with shown_progress(quiet=quiet) as report:
        name, explained = explain_from_checkpoint(
            checkpoint,
            perturbation,
            environment,
            cell_type=cell_type,
            runtime=environment.runtime(report, device=pick_device(device)),
        )
    if as_json:
        context.print_json(
            {
                "schema_version": 1,
                "model": name,
                "explanations": [asdict(item) for item in explained],
            }
        )
        return
    table = Table()
    table.add_column("facet", no_wrap=True)
    for item in explained:
        head = f"{item.gene} in {item.perturbation}\n{item.cell_type}"
        table.add_column(Text(head), justify="right", overflow="fold")
    for row, facet in enumerate(item.facet for item in explained[0].facets):
        cells = []
        for item in explained:
            of = item.facets[row]
            cells.append(f"{of.weight:.3f}" if of.confidence > 0 else "unknown")
        table.add_row(facet, *cells)
    context.stdout().print(Text(f"{name}: attention weights over facets"), table)
    for item in explained:
        if not item.is_known:
            context.note(f"note: nothing is known of {item.gene}; it stands as the null gene")
    context.note("mean over control cells, heads and ensemble members; a gene's weights sum to 1")
