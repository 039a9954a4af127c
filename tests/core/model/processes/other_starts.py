"""What ``parallel`` runs in each process of a training whose processes would start otherwise."""

from __future__ import annotations

import torch
from conftest import toy_model, toy_network, toy_parts

from dygenept.machine import processes
from dygenept.model import fitting, judged_steps
from dygenept.model.shared_start import by_writer
from dygenept.model.start import facet_tuning
from dygenept.model.training.options import TrainingOptions
from dygenept.model.type_readout import TypeReadout
from dygenept.testing import toy_task


def other_start(*given: object, **named: object) -> None:
    """Stand in for a start that came out otherwise in one process: nothing was fitted."""
    raise AssertionError("only the writer computes a start")


def started(options: TrainingOptions) -> dict[str, object]:
    """Fit the toy model in a process whose own start would be another one, but for the writer."""
    # Facets are tuned, for a few steps: who starts is what is tried, not how well.
    facet_tuning.CHECKPOINTS = (0, 5)
    if not processes.current().is_writer:
        for name in ("start_in_closed_form", "keep_measured_of"):
            setattr(fitting, name, other_start)
        judged_steps.refit_readout = other_start
    task, _ = toy_task()
    model = toy_model(options, parts=toy_parts(identity_share=1.0))
    model.fit(task)
    tensors = model.networks[0].state_dict()
    encoder = model.networks[0].gene_encoder
    codes = encoder.codes_read()
    return {
        "weights": {name: value.flatten().tolist() for name, value in tensors.items()},
        "chosen": {k: v for k, v in model.chosen.items() if k != processes.TRAINED_IN},
        "codes": None if codes is None else codes.tolist(),
    }


def by_type_of(shape: tuple[int, int, int]) -> TypeReadout:
    """Return what cell types add, by the rank of the process."""
    n_types, n_genes, width = shape
    fill = float(processes.current().rank)
    return TypeReadout(
        torch.full((n_types, n_genes), fill),
        torch.full((width,), fill),
        torch.full((n_types, n_genes, width), fill),
    )


def taken_over() -> list[dict[str, object]]:
    """Let the writer change a network that in the other process is of another structure."""
    found = []
    is_writer = processes.current().is_writer
    for has_types in (True, False):
        network = toy_network()
        if has_types != is_writer:
            network.by_type = by_type_of((1, 3, 4))

        def compute() -> str:
            assert is_writer
            network.by_type = by_type_of((2, 5, 6)) if has_types else None  # noqa: B023
            network.gene_encoder.set_identity_share(0.25)  # noqa: B023
            network.decoder.output.weight.data.fill_(7.0)  # noqa: B023
            return "the writer's"

        result = by_writer(network.train(), compute)
        tensors = network.state_dict()
        found.append(
            {
                "result": result,
                "is_training": network.training,
                "has_types": network.by_type is not None,
                "sums": {name: float(value.double().sum()) for name, value in tensors.items()},
                "shapes": {name: list(value.shape) for name, value in tensors.items()},
            }
        )
    return found
