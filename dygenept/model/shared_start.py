"""One closed-form start for all processes of a training: the writer's.

A start chooses between facets, identity shares and penalties by errors that may differ by rounding
from process to process. Two that chose otherwise would have networks of other structure, and wait
for each other in vain. So the writer alone computes it, and the others take over what it found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from dygenept.machine import collectives, processes
from dygenept.model.network import DyGenePT
from dygenept.model.training.checkpoint import changing_tensors
from dygenept.model.type_readout import PREFIX, saved_type_readout

T = TypeVar("T")


def by_writer(network: DyGenePT, compute: Callable[[], T]) -> T:
    """Let the writer fit something of a network, and give every process its weights and result.

    The others wait without a limit, as a start may take longer than a collective. In one process
    this is ``compute()`` and nothing else.

    Args:
        network: Of the same parts in every process. ``compute`` may change its trainable weights,
            its persistent buffers and what it adds by cell type, and leaves it in evaluation mode.
        compute: Called in the writer alone; it takes part in no collective, and what it returns
            can be pickled.

    Returns:
        What it returned, in every process.
    """
    world = processes.current()
    if world.size == 1:
        return compute()
    found: T | None = None
    with processes.writer_first():
        if world.is_writer:
            found = compute()
    by_type = {
        name: tuple(value.shape)
        for name, value in changing_tensors(network).items()
        if name.startswith(PREFIX)
    }
    result, shapes = collectives.told((found, by_type))
    network.eval()
    if not world.is_writer:
        device = next(network.parameters()).device
        laid_out = saved_type_readout({name: torch.empty(shape) for name, shape in shapes.items()})
        network.by_type = None if laid_out is None else laid_out.to(device)
    collectives.broadcast(list(changing_tensors(network).values()))
    given: T = result
    return given
