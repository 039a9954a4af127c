"""``dygenept explain``: which facets of the target genes a kept model relies on."""

from __future__ import annotations

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.environment import MachineFlags


def explain(
    checkpoint: options.CheckpointOption,
    wanted: options.ConditionFlags,
    where: MachineFlags,
    output: options.OutputFlags,
) -> None:
    """Show the attention weight of each facet, and what the model's parts contribute."""
    from dataclasses import asdict

    from dygenept.machine.devices import pick_device
    from dygenept.runs.explain import explain_from_checkpoint
    from dygenept_cli.views.predictions import show_contribution, show_facet_weights

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
    if output.as_json:
        console.print_json(
            {
                "model": found.model,
                "contribution": dict(found.contribution),
                "explanations": [asdict(item) for item in found.genes],
            }
        )
    else:
        show_facet_weights(found.model, found.genes)
        show_contribution(found.contribution)
