"""Memory of this process: its peak, what is given back, and searches for cycles of objects."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

# Arrays of more bytes are never kept, and what mallopt calls its options.
LARGE = 1 << 28
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX, _USUAL = -1, -3, -8, 1 << 25
_KEPT: list[bool] = []


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
    """Give memory back that was freed: glibc keeps what each thread has had, for that thread.

    It keeps it where ``freed_memory_kept`` says so.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None and not _KEPT:
        trim(0)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let freed memory stay with this process, whose next arrays would be given new pages.

    The system clears each page that it gives, which takes longer than many a pass over it. Arrays
    of more than ``LARGE`` bytes are given back at once all the same, and the rest at the end.
    """
    tune = _of_glibc("mallopt")
    if tune is None or _KEPT:
        yield
        return
    # Threads share one heap, lest each keep memory of its own; others are given back once empty.
    for option, value in ((_ARENA_MAX, 1), (_MMAP_THRESHOLD, LARGE), (_TRIM_THRESHOLD, 2 * LARGE)):
        tune(option, value)
    _KEPT.append(True)
    try:
        yield
    finally:
        _KEPT.clear()
        # As far as glibc would have gone by itself.
        tune(_MMAP_THRESHOLD, _USUAL)
        tune(_TRIM_THRESHOLD, 2 * _USUAL)
        give_back_memory()


def _of_glibc(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; others than glibc lack these, and keep less."""
    if sys.platform != "linux":
        return None
    import ctypes

    return getattr(ctypes.CDLL(None), name, None)


@contextmanager
def objects_settled() -> Iterator[None]:
    """Let Python look for cycles only among objects that are made from now on.

    Modules and a data set are some hundred thousand objects that stay until the end; a search goes
    through them all, again and again, while jobs make their own. Objects that a caller has settled
    stay as they are.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


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
