"""How many threads a matrix pass may start."""

from __future__ import annotations

import os

MAX_THREADS = 8


def n_threads() -> int:
    """Return the processors given to this process, at most eight, fewer where OpenMP is told so."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    limit = int(allowed) if allowed.isdigit() and int(allowed) > 0 else MAX_THREADS
    try:
        n_processors = len(os.sched_getaffinity(0))
    except AttributeError:
        n_processors = os.cpu_count() or 1
    return max(1, min(n_processors, limit, MAX_THREADS))
