"""What a record says of the machine, and memory: versions, threads, device, peak, collection."""

from __future__ import annotations

import functools
import gc
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from dygenept.machine.threads import OPENMP_VARIABLE, n_processors, openmp_threads

logger = logging.getLogger(__name__)

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


def reset_peak_memory(device: str) -> None:
    """Restart the count of peak memory."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    # Linux can reset the high-water mark; elsewhere the peak is the whole process's.
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        try:
            clear.write_text("5")
        except OSError:
            logger.debug("cannot reset the peak of resident memory on this system")


def peak_memory(device: str) -> int:
    """Peak of memory in bytes: of the card, or of this process on a CPU."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def give_back_memory() -> None:
    """Give memory back that was freed: glibc keeps what each thread has had, for that thread."""
    if sys.platform == "linux":
        import ctypes

        # Other C libraries lack it, and keep less.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep Python from looking for cycles while many objects are made that have none.

    Of a page on 280,000 scores that search is a fifth of the processor time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
