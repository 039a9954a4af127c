"""How many threads a matrix pass may start, and how many torch gets for a small network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import nn

OPENMP_VARIABLE = "OMP_NUM_THREADS"
MAX_THREADS = 8
# Below this, threads wait for each other longer than they compute, above all on a busy machine.
SMALL_NETWORK = 5_000_000

T = TypeVar("T")
R = TypeVar("R")

_SHARERS: ContextVar[int] = ContextVar("sharers", default=1)


def n_processors() -> int:
    """Return the processors given to this process, which may be fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def openmp_threads() -> int | None:
    """Return the number of threads that the environment allows OpenMP; None where it names none."""
    allowed = os.environ.get(OPENMP_VARIABLE, "")
    return int(allowed) if allowed.isdigit() and int(allowed) > 0 else None


def n_threads() -> int:
    """Return the threads of a matrix pass: one per processor, at most eight or OpenMP's limit.

    Threads that compute side by side have a part of them each.
    """
    in_all = max(1, min(n_processors(), openmp_threads() or MAX_THREADS, MAX_THREADS))
    return max(1, in_all // _SHARERS.get())


def sharing_pool(n_sharers: int) -> ThreadPoolExecutor:
    """Return threads that compute side by side, of which each starts no more than its part."""
    return ThreadPoolExecutor(n_sharers, initializer=_SHARERS.set, initargs=(n_sharers,))


def in_threads(compute: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Compute each item, in as many threads as ``n_threads`` says; in this one where that is one.

    Args:
        compute: Releases the interpreter's lock for most of its time.
        items: What it takes.

    Returns:
        What it returns, in the order of the items.
    """
    if n_threads() == 1:
        return [compute(item) for item in items]
    with ThreadPoolExecutor(n_threads()) as pool:
        return list(pool.map(compute, items))


@contextmanager
def pages_touched(array: npt.NDArray[np.generic]) -> Iterator[None]:
    """Have the pages of an empty array's memory brought in beside a block, if there are threads.

    Their first use may take longer than what is written there. The array is all zeros after the
    block, which must leave it alone.

    Args:
        array: Just allocated, of any shape.
    """
    if n_threads() == 1:
        yield
        return
    with ThreadPoolExecutor(1) as beside:
        touching = beside.submit(array.fill, 0)
        yield
        touching.result()


@contextmanager
def suited_threads(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Run a small network on the CPU with one thread; leave torch's setting as it is otherwise.

    Sums in another order change the last digits, and small data sets can turn on them.
    """
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    if device.type != "cpu" or n_parameters >= SMALL_NETWORK:
        yield
        return
    with one_thread():
        yield


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Give matrix products of numpy one thread for a block; the setting is the process's.

    Of a product with few columns the library's threads add parts of each sum, so that the last
    bits depend on their number. Other threads of the block may still compute side by side.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1, user_api="blas"):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Give torch one thread for a block; the setting is the process's and is put back."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
