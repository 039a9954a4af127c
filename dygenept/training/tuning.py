"""How a step trades precision, memory and time: autocast and recomputed activations."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

from dygenept.errors import ConfigError
from dygenept.model.assembly import DyGenePT
from dygenept.training.options import TrainingOptions


@runtime_checkable
class RecomputesLayers(Protocol):
    """A cell encoder that can compute its trained layers again in the backward pass."""

    def recompute_layers(self, wanted: bool) -> None:
        """Keep no activations inside trained layers, or keep them again."""
        ...


def autocast_dtype(options: TrainingOptions, device: torch.device) -> torch.dtype | None:
    """Return the type that training computes in under autocast; None for float32 throughout.

    Raises:
        ConfigError: If bf16 is asked for and the device lacks it.
    """
    if options.precision == "float32":
        return None
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported():
            return torch.bfloat16
        if options.precision == "bf16":
            raise ConfigError(
                f"training.precision is bf16, but {torch.cuda.get_device_name(device)} has no "
                "bfloat16; use --set training.precision=float32"
            )
        return None
    return torch.bfloat16 if options.precision == "bf16" else None


def recompute_layers(network: DyGenePT) -> None:
    """Make the cell encoder recompute its trained layers.

    Raises:
        ConfigError: If it cannot.
    """
    encoder = network.cell_encoder
    if not isinstance(encoder, RecomputesLayers):
        raise ConfigError(
            f"training.gradient_checkpointing is on, but the cell encoder "
            f"{type(encoder).__name__} cannot recompute its layers (scgpt can); use --set "
            "training.gradient_checkpointing=false"
        )
    encoder.recompute_layers(True)
