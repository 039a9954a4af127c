"""What a record says of the machine: versions, numbers of threads and the device."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata

from dygenept.machine.threads import OPENMP_VARIABLE, n_processors, openmp_threads

VERSIONED = (
    "dygenept",
    "torch",
    "numpy",
    "scipy",
    "anndata",
    "pandas",
    "polars",
    "scikit-learn",
    "transformers",
    "entmax",
)


def installed_versions() -> Mapping[str, str]:
    """Versions of Python and of the distributions that results depend on."""
    return {"python": sys.version.split()[0], **distribution_versions(VERSIONED)}


def distribution_versions(names: Iterable[str]) -> dict[str, str]:
    """Versions of those of some distributions that are installed."""
    found = {name: _version(name) for name in names}
    return {name: version for name, version in found.items() if version is not None}


@functools.cache
def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def thread_counts() -> Mapping[str, int | None]:
    """Numbers of threads that may change the last digits of a sum.

    Returns:
        ``processors`` given to this process; ``OMP_NUM_THREADS``, None where it is not set; and
        ``torch``, where torch has been imported.
    """
    counts: dict[str, int | None] = {
        "processors": n_processors(),
        OPENMP_VARIABLE: openmp_threads(),
    }
    # Importing torch to ask it would cost more than a closed-form baseline takes.
    if torch := sys.modules.get("torch"):
        counts["torch"] = torch.get_num_threads()
    return counts


def device_name(device: str) -> str:
    """Name a device for a record, with the card behind it."""
    if device.startswith("cuda"):
        import torch

        return f"{device} ({torch.cuda.get_device_name(device)})"
    return device
