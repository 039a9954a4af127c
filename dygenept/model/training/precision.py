"""How a step trades precision, memory and time: autocast, recomputed activations, compilation."""

from __future__ import annotations

import torch

from dygenept.errors import ConfigError
from dygenept.model.network import DyGenePT
from dygenept.model.training.options import TrainingOptions
from dygenept.plugin.interfaces import CompilesLayers, RecomputesLayers


def autocast_dtype(options: TrainingOptions, device: torch.device) -> torch.dtype | None:
    """Return the type that training computes in under autocast; None for float32 throughout.

    Raises:
        ConfigError: If bf16 is asked for and the device lacks it.
    """
    if options.precision == "float32":
        return None
    if device.type == "cuda":
        if has_bfloat16(device):
            return torch.bfloat16
        if options.precision == "bf16":
            raise ConfigError(
                f"training.precision is bf16, but {torch.cuda.get_device_name(device)} has no "
                "bfloat16; use --set training.precision=float32"
            )
        # ``auto`` on an older GPU: emulated bfloat16 is slower than float32.
        return None
    # On a CPU only where it is asked for.
    return torch.bfloat16 if options.precision == "bf16" else None


def autocast(options: TrainingOptions, device: torch.device) -> torch.autocast:
    """Return the context that training computes in: steps, validation, encoding of the controls.

    Raises:
        ConfigError: As ``autocast_dtype``.
    """
    dtype = autocast_dtype(options, device)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def has_bfloat16(device: torch.device) -> bool:
    """Say whether a GPU computes in bfloat16 natively; older ones emulate it, slowly."""
    return bool(torch.version.hip) or torch.cuda.get_device_properties(device).major >= 8


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


def compile_parts(network: DyGenePT) -> None:
    """Compile what a step spends its time in: the cell encoder's layers and the decoder.

    What gathers cells and genes on the way in is left alone: it works on positions, and every
    batch would compile it again.
    """
    if isinstance(network.cell_encoder, CompilesLayers):
        network.cell_encoder.compile_layers()
    network.decoder.compile()
