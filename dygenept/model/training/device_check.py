"""Does a device train as the CPU does? A few steps of the full model's shape on synthetic tensors.

The same steps run on the CPU in float32 and on the device in bf16, with the cache of frozen layers
on and off and in DistributedDataParallel, and their losses are compared. Needs torch, numpy and
scipy alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch
from torch import nn

from dygenept.model.network import DyGenePT
from dygenept.model.training.optimisation import make_optimizer
from dygenept.model.training.options import TrainingOptions
from dygenept.model.training.synthetic import (
    SMALL,
    Size,
    batch_of,
    control_cells,
    frozen_flop,
    gene_names,
    trained_flop,
    trainer_of,
)
from dygenept.plugin.interfaces import ControlPool

# The full model's layers and widths, with few cells, genes and steps: minutes on a GPU.
CHECKED = Size(batch=16, n_genes=2000, lengths=(400,))
CHECKED_SMALL = replace(SMALL, lengths=(120,))
N_STEPS = 5
# Relative; bf16 keeps 8 bits, and losses are means over many values.
TOLERANCE = {"bf16": 0.05, "float32": 0.001}

# From a size, and whether the cache of frozen layers is on, to a network with random weights.
Builder = Callable[[Size, bool], DyGenePT]


@dataclass(frozen=True, slots=True)
class StepCheck:
    """A few steps in one setting.

    Attributes:
        name: Precision, cache, and whether DistributedDataParallel wraps the network.
        losses: Loss of each step.
        gap: Largest difference from the CPU's float32 losses, relative to the loss.
        tolerance: What the gap may be.
        step_ms: Median time of a step after the first two, milliseconds.
        tflops: Rate of the transformer's matrix products, TFLOP/s.
    """

    name: str
    losses: tuple[float, ...]
    gap: float
    tolerance: float
    step_ms: float
    tflops: float

    @property
    def is_ok(self) -> bool:
        """True if the losses agree; NaN never does."""
        return self.gap <= self.tolerance


def check_device(build: Builder, size: Size, device: torch.device) -> Iterator[StepCheck]:
    """Yield a check per setting.

    Args:
        build: Makes the network; the same weights every time.
        size: Of the model and its batch; the first length counts.
        device: What is checked.
    """
    reference = _run(build, size, torch.device("cpu"), _Setting("float32", is_cached=True))
    for setting in (
        _Setting("float32", is_cached=True),
        _Setting("bf16", is_cached=True),
        _Setting("bf16", is_cached=False),
        _Setting("bf16", is_cached=True, is_parallel=True),
    ):
        found = _run(build, size, device, setting)
        gaps = np.abs(np.subtract(found.losses, reference.losses)) / np.abs(reference.losses)
        flop = trained_flop(size, size.lengths[0])
        if not setting.is_cached:
            flop += frozen_flop(size, size.lengths[0])
        yield StepCheck(
            name=setting.name,
            losses=found.losses,
            gap=float(gaps.max()),
            tolerance=TOLERANCE[setting.precision],
            step_ms=1e3 * found.step_s,
            tflops=flop / found.step_s / 1e12,
        )


@dataclass(frozen=True, slots=True)
class _Setting:
    precision: str
    is_cached: bool
    is_parallel: bool = False

    @property
    def name(self) -> str:
        cache = "on" if self.is_cached else "off"
        return f"{self.precision}, cache {cache}{', DDP' if self.is_parallel else ''}"


@dataclass(frozen=True, slots=True)
class _Steps:
    losses: tuple[float, ...]
    step_s: float


def _run(build: Builder, size: Size, device: torch.device, setting: _Setting) -> _Steps:
    is_bf16 = setting.precision == "bf16"
    options = TrainingOptions(precision="bf16" if is_bf16 else "float32")
    network = build(size, setting.is_cached).to(device)
    controls = control_cells(size, size.lengths[0])
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_bf16):
        network.prepare(ControlPool(controls.expression, gene_names(size), [0] * size.batch))
    batch = batch_of(size, controls)
    trainer = trainer_of(batch, controls, options, device)
    optimizer = make_optimizer(network, options, device)
    losses, seconds = [], []
    with _wrapped(network, device, is_parallel=setting.is_parallel) as stepper:
        # Dropout would draw other numbers on another device.
        stepper.eval()
        for _ in range(N_STEPS):
            _synchronise(device)
            started = time.perf_counter()
            loss = trainer.step(stepper, optimizer, (batch,))
            _synchronise(device)
            seconds.append(time.perf_counter() - started)
            losses.append(float(loss))
    return _Steps(tuple(losses), median(seconds[2:]))


@contextmanager
def _wrapped(network: DyGenePT, device: torch.device, *, is_parallel: bool) -> Iterator[nn.Module]:
    """Wrap a network for a process group of one, where that is asked for."""
    if not is_parallel:
        yield network
        return
    from torch import distributed
    from torch.distributed import HashStore  # type: ignore[attr-defined]
    from torch.nn.parallel import DistributedDataParallel

    is_cuda = device.type == "cuda"
    distributed.init_process_group(
        "nccl" if is_cuda else "gloo", store=HashStore(), rank=0, world_size=1
    )
    try:
        yield DistributedDataParallel(network, device_ids=[device.index or 0] if is_cuda else None)
    finally:
        distributed.destroy_process_group()


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
