"""Training in several processes under torchrun: one process group, one writer, a clean end.

Every process has the whole model and the whole data set and runs its part of each batch;
gradients are summed by torch's DistributedDataParallel. This module imports torch only where a
process group exists, so that a plain start of the command line stays fast.
"""

from __future__ import annotations

import inspect
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, Any

from dygenept.errors import ConfigError, DistributedError
from dygenept.machine.stopping import end_with_launcher

if TYPE_CHECKING:
    import torch
    from torch import nn

logger = logging.getLogger(__name__)

# What records call the number of processes that shared a training, where there were several.
TRAINED_IN = "trained_in_processes"
# How often a process asks whether the writer is done, and the store's key for that.
ASKING_S = 0.2
DONE_KEY = "writer-done"
TIMEOUT_VARIABLE = "DYGENEPT_DISTRIBUTED_TIMEOUT"
DEFAULT_TIMEOUT_S = 600.0
# Of all that sets the variables below, only torchrun is known to stay until its processes end.
TORCHRUN_VARIABLE = "TORCHELASTIC_RUN_ID"
LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# Words of torch's own messages for a peer that is gone or silent; gloo raises a bare RuntimeError.
LOST_PEER = ("gloo", "nccl", "connection closed", "connection reset", "timed out", "process group")


@dataclass(frozen=True, slots=True)
class World:
    """The processes of a training.

    Attributes:
        rank: Position of this process.
        size: Number of processes.
        local_rank: Position among the processes of this machine; also its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_writer(self) -> bool:
        """True in the one process that writes files and prints results."""
        return self.rank == 0


ALONE = World()


def launched() -> World:
    """Read what torchrun says of this process; one process without it."""
    if not all(os.environ.get(name) for name in LAUNCHED):
        return ALONE
    try:
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        return World(rank, size, int(os.environ.get("LOCAL_RANK", rank)))
    except ValueError as error:
        raise ConfigError(
            f"RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers ({error}); start with "
            "`torchrun --nproc_per_node=N -m dygenept_cli.main train …`, or unset them"
        ) from error


def current() -> World:
    """Return the world of the open session; one process outside a session."""
    world = launched()
    if world.size == 1:
        return ALONE
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return ALONE
    return World(distributed.get_rank(), distributed.get_world_size(), world.local_rank)


def local_device(device: str) -> str:
    """Return the device of this process: its own GPU under torchrun.

    Raises:
        ConfigError: If one GPU is named for several processes, or there are too few.
    """
    world = launched()
    if world.size == 1 or not device.startswith("cuda"):
        return device
    import torch

    if device != "cuda":
        raise ConfigError(
            f"--device {device} names one GPU for {world.size} processes; use --device cuda, and "
            "CUDA_VISIBLE_DEVICES to choose GPUs"
        )
    if world.local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"process {world.rank} wants GPU {world.local_rank}, but this machine has "
            f"{torch.cuda.device_count()}; lower --nproc_per_node"
        )
    return f"cuda:{world.local_rank}"


@contextmanager
def session(device: str) -> Iterator[World]:
    """Open the process group of a torchrun launch for a block; nothing where there is none.

    Args:
        device: Device of this process; decides between NCCL and gloo.

    Raises:
        DistributedError: If another process ends or stays silent for the timeout
            ($DYGENEPT_DISTRIBUTED_TIMEOUT seconds, 600 by default).
    """
    world = launched()
    if world.size == 1 or current().size > 1:
        yield world
        return
    import torch
    from torch import distributed
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

    if os.environ.get(TORCHRUN_VARIABLE):
        end_with_launcher()
    is_cuda = device.startswith("cuda")
    if is_cuda:
        torch.cuda.set_device(torch.device(device))
    with told_to_stop(), lost_peers():
        limit = timedelta(seconds=timeout_s())
        store, _, _ = next(rendezvous("env://", world.rank, world.size, timeout=limit))
        _turns.append(Turns(PrefixStore(DONE_KEY, store)))
        distributed.init_process_group(
            "nccl" if is_cuda else "gloo",
            store=PrefixStore("collectives", store),
            rank=world.rank,
            world_size=world.size,
            timeout=limit,
        )
        try:
            yield world
        finally:
            _turns.pop()
        distributed.barrier()
        # After an error the group is left open: closing it would wait for processes that are gone.
        distributed.destroy_process_group()


def timeout_s() -> float:
    """Seconds that a process waits for the others.

    Raises:
        ConfigError: If the variable is not a positive number.
    """
    text = os.environ.get(TIMEOUT_VARIABLE, str(DEFAULT_TIMEOUT_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds > 0:
        raise ConfigError(f"{TIMEOUT_VARIABLE} must be a number of seconds above 0, not {text!r}")
    return seconds


@contextmanager
def lost_peers() -> Iterator[None]:
    """Turn torch's errors about a lost process into one that says what to do.

    Raises:
        DistributedError: As said.
    """
    from torch import distributed

    try:
        yield
    except RuntimeError as error:
        text = str(error).lower()
        kinds = (distributed.DistError,)
        if not isinstance(error, kinds) and not any(word in text for word in LOST_PEER):
            raise
        raise DistributedError(
            f"process {launched().rank} of {launched().size} stops: another process ended or did "
            f"not answer within {timeout_s():g} s ({' '.join(str(error).split())[:160]}); see the "
            "first error above, then run the same command again to go on from the last checkpoint"
        ) from error


@contextmanager
def told_to_stop() -> Iterator[None]:
    """Turn SIGTERM, which torchrun sends when another process has ended, into an error.

    Raises:
        DistributedError: On SIGTERM.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise DistributedError(
            f"process {launched().rank} of {launched().size} was asked to stop, most likely "
            "because another process ended; see the first error above, then run the same command "
            "again to go on from the last checkpoint"
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(slots=True)
class Turns:
    """Blocks that the writer does before the others.

    They wait by asking a store: a collective would end after its timeout, and the writer may have
    hours of texts to embed.

    Attributes:
        store: What all processes of the session read and write.
        n_done: Blocks so far; every process goes through the same ones.
    """

    store: Any
    n_done: int = 0

    def wait(self) -> None:
        """Return when the writer has done the next block, however long that takes."""
        key = str(self.n_done)
        while not self.store.check([key]):
            time.sleep(ASKING_S)
        self.n_done += 1

    def done(self) -> None:
        """Say that the next block is done."""
        self.store.set(str(self.n_done), "")
        self.n_done += 1


# Of the open session.
_turns: list[Turns] = []


@contextmanager
def writer_first() -> Iterator[None]:
    """Let the writer do a block before the others, who then find what it has cached.

    The others wait without a limit, and end with the writer.
    """
    world = current()
    if world.size == 1:
        yield
        return
    turns = _turns[-1]
    if not world.is_writer:
        turns.wait()
    yield
    if world.is_writer:
        turns.done()


def parallel(network: nn.Module, device: torch.device, *, find_unused: bool = True) -> nn.Module:
    """Wrap a network so that its backward pass sums gradients over processes.

    Args:
        network: The network.
        device: Where it is.
        find_unused: Look in every step for weights that got no gradient, which costs time; needed
            where there are any.
    """
    if current().size == 1:
        return network
    from torch.nn.parallel import DistributedDataParallel

    # Buffers are frozen tables that all processes have; the option's name changed in torch 2.13.
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
    options: dict[str, Any] = {name: False}
    return DistributedDataParallel(
        network,
        device_ids=[device.index] if device.type == "cuda" else None,
        find_unused_parameters=find_unused,
        **options,
    )


def local_gradients(network: nn.Module, *, is_last: bool) -> AbstractContextManager[object]:
    """Keep gradients in this process for a block, unless it is a step's last piece."""
    from torch.nn.parallel import DistributedDataParallel

    if is_last or not isinstance(network, DistributedDataParallel):
        return nullcontext()
    return network.no_sync()
