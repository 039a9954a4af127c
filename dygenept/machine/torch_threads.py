"""Processor threads of small networks: one, so that results depend on no thread count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

# Below this, threads wait for each other longer than they compute, above all on a busy machine.
SMALL_NETWORK = 5_000_000


@contextmanager
def suited_threads(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Run a small network on the CPU with one thread; leave torch's setting alone otherwise.

    Sums in another order change the last digits, and small data sets can turn on them.
    """
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    if device.type != "cpu" or n_parameters >= SMALL_NETWORK:
        yield
        return
    with one_thread():
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Give torch one thread for a block; the setting is the process's and is put back."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
