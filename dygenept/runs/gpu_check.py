"""``dygenept doctor --gpu``: the full model's shape, trained for a few steps on a device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dygenept.errors import ConfigError
from dygenept.model.assembly import named_assembly
from dygenept.model.overrides import Overrides
from dygenept.plugin.environment import Environment

if TYPE_CHECKING:
    from dygenept.model.network import DyGenePT
    from dygenept.model.training.device_check import StepCheck
    from dygenept.model.training.synthetic import Size


def check_gpu(environment: Environment) -> Iterator[StepCheck]:
    """Yield the checks of the environment's device.

    Args:
        environment: ``device`` may be ``cpu``, which runs the same checks at a small size.

    Raises:
        ConfigError: If there is no GPU and the CPU was not named.
    """
    import torch

    from dygenept.machine.devices import pick_device
    from dygenept.model.training.device_check import CHECKED, CHECKED_SMALL, check_device

    device = torch.device(pick_device(environment.device))
    if device.type == "cpu" and environment.device != "cpu":
        raise ConfigError(
            "this machine has no GPU that torch can use; --device cpu runs the same checks on the "
            "CPU at a small size"
        )
    size = CHECKED_SMALL if device.type == "cpu" else CHECKED

    def build(size: Size, is_cached: bool) -> DyGenePT:
        return _network(environment, size, is_cached=is_cached)

    yield from check_device(build, size, device)


def _network(environment: Environment, size: Size, *, is_cached: bool) -> DyGenePT:
    """Build ``dygenept`` with random weights in a given size."""
    import torch

    from dygenept.model.network import DyGenePT
    from dygenept.model.seeds import seeded_torch
    from dygenept.model.training.synthetic import N_TARGETS, N_TRAINED, gene_names, knowledge_of
    from dygenept.plugin.interfaces import CellEncoderContext, GeneEncoderContext

    sets = (
        f"width={size.width}",
        f"attention.num_heads={size.attention_heads}",
        f"decoder.hidden_dims=[{','.join(map(str, size.hidden_dims))}]",
        "cell_encoder.checkpoint=random",
        f"cell_encoder.n_layers={size.n_layers}",
        f"cell_encoder.d_model={size.d_model}",
        f"cell_encoder.n_heads={size.n_heads}",
        f"cell_encoder.max_length={size.lengths[0]}",
        f"cell_encoder.freeze_layers={-N_TRAINED}",
        f"cell_encoder.cache={'memory' if is_cached else 'off'}",
    )
    assembly, _ = named_assembly("dygenept", environment, Overrides(parts={}, sets=sets))
    genes = gene_names(size)
    targets = genes[:N_TARGETS]
    with seeded_torch(0, torch.device("cpu")):
        return DyGenePT(
            assembly.network_parts(),
            genes=GeneEncoderContext(knowledge_of(size), targets, size.width),
            cells=CellEncoderContext(genes, targets, size.width, seed=0),
            n_genes=size.n_genes,
        )
