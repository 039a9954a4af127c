"""One job, one run: two benches on one results folder never compute the same job at once."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER = ".locks"


def lock_path(results: Path, key: str) -> Path:
    """Where the lock of a job is. It stays there, so a job without one was never begun."""
    return results / FOLDER / f"{key}.lock"


@contextmanager
def job_lock(results: Path, key: str, *, wait: bool) -> Iterator[bool]:
    """Keep the lock of a job while the body runs.

    The operating system drops the lock when its process ends, however it ends. Where a file system
    knows no locks the job runs without one: records are still written whole or not at all.

    So does it where no lock can be made, unless the disk is full, which no record would survive.

    Args:
        results: Results folder; locks are ``.locks/<key>.lock`` in it.
        key: Name of the job's record.
        wait: Wait while another run has it.

    Yields:
        True if the job is this run's; False if another run has it (``wait`` is False).
    """
    from filelock import FileLock, Timeout

    path = lock_path(results, key)
    # A job is scored in another thread than the one in which it was begun.
    lock = FileLock(path, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        yield False
        return
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        logger.warning("no lock in %s (%s); do not share this folder", path.parent, error)
        yield True
        return
    try:
        yield True
    finally:
        lock.release()
