"""Which torch device a run computes on."""

from __future__ import annotations

from dygenept.errors import ConfigError, nearest
from dygenept.machine import processes


def pick_device(wanted: str) -> str:
    """Resolve ``auto`` and check that a named device is there; under torchrun, one per process.

    Raises:
        ConfigError: If the device is unknown or absent.
    """
    if wanted == "cpu":
        return wanted
    import torch

    if wanted == "auto":
        return processes.local_device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ConfigError(
            f"unknown device {wanted!r}; {nearest(wanted, ('auto', 'cpu', 'cuda'))}"
        ) from error
    n_devices = torch.cuda.device_count() if device.type == "cuda" else 0
    if (device.index or 0) >= n_devices:
        raise ConfigError(
            f"device {wanted!r} is not on this machine ({n_devices} CUDA devices); "
            "use --device auto"
        )
    return processes.local_device(wanted)
