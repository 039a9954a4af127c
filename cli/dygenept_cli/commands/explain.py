"""``dygenept explain``: what the predictions of a kept model rely on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import ConfigError
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.environment import MachineFlags
from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from dygenept.runs.explain import ModelExplanation


def explain(
    checkpoint: options.CheckpointOption,
    wanted: options.ConditionFlags,
    where: MachineFlags,
    output: options.OutputFlags,
    plot: Path | None = flag(
        "Draw a heat map too: .svg, .png or .pdf (extra `plot`).", metavar="FILE"
    ),
) -> None:
    """Show the attention weight of each facet, or why none is read, and what each part contributes.

    Of a model of a table of effects, also which train perturbations a prediction is drawn from.
    """
    from dygenept.machine.devices import pick_device
    from dygenept.runs.explain import explain_from_checkpoint
    from dygenept.runs.saved_model import read_saved_model
    from dygenept_cli.views.predictions import (
        OF_ATTENTION,
        SHARES_OF_LIKENESS,
        show_contribution,
        show_facet_weights,
        show_starts,
    )

    if plot is not None:
        from dygenept.reports.plots.style import check_plot_file

        check_plot_file(plot)
    environment = where.environment()
    with output.progress() as report:
        found = explain_from_checkpoint(
            checkpoint,
            wanted.perturbation,
            environment,
            cell_type=wanted.cell_type,
            runtime=environment.runtime(report, device=pick_device(where.device)),
            allow_unknown=wanted.allow_unknown,
        )
    shown = [item for item in found.genes if item.not_read is None]
    if plot is not None and not shown:
        why = "nothing of the networks is added to the start"
        if found.genes:
            why = f"of {found.genes[0].gene} {found.genes[0].not_read}"
        raise ConfigError(f"there is no attention to plot: {why}; leave out --plot")
    if plot is not None:
        _draw(found, plot, is_simulated=read_saved_model(checkpoint).dataset.simulated)
    if output.as_json:
        console.print_json(
            {
                "model": found.model,
                "contribution": dict(found.contribution),
                "explanations": [asdict(item) for item in found.genes],
                "starts": [asdict(item) for item in found.starts],
            }
        )
        return
    if found.genes:
        show_facet_weights(found.model, found.genes)
    if found.starts:
        show_starts(found.model, found.starts, has_attention=bool(found.genes))
    leave_out = OF_ATTENTION if found.genes and not shown else ()
    if any(item.is_means_alone for item in found.starts):
        leave_out = (*leave_out, *SHARES_OF_LIKENESS)
    show_contribution(found.contribution, leave_out=leave_out)


def _draw(found: ModelExplanation, plot: Path, *, is_simulated: bool) -> None:
    from dygenept.reports.plots.models import FacetRow, attention
    from dygenept.reports.plots.style import write_plot

    several = len({item.cell_type for item in found.genes}) > 1
    rows = [
        FacetRow(
            name=f"{item.gene} in {item.perturbation}" + (f", {item.cell_type}" if several else ""),
            facets=tuple(of.facet for of in item.facets),
            weights=tuple(of.weight or 0.0 for of in item.facets),
            known=tuple(of.confidence > 0 for of in item.facets),
        )
        for item in found.genes
        if item.not_read is None
    ]
    write_plot(attention(found.model, rows, is_simulated=is_simulated), plot)
    console.note(f"plot written to {plot}")
