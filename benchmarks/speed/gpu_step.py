"""One training step of the full DyGenePT model on synthetic tensors: time, FLOP/s, memory.

Runs on a machine with torch, numpy and scipy alone, from a checkout (nothing need be installed):

    python benchmarks/speed/gpu_step.py --json step.json          # a GPU, full size
    python benchmarks/speed/gpu_step.py --small                   # a CPU, small size

For each length, cache on and off, bf16 and float32, compiled and not, it reports the median time
of a whole step (batch to the device, forward, backward, clip, AdamW), control cells per second,
the rate of the transformer's matrix products against the rate that one large matrix product of the
same precision reaches on the same device in the same run, and the peak of memory. The trained
layers are also timed alone, forward and backward.
"""

# ruff: noqa: E402 - the checkout goes onto the path first
from __future__ import annotations

import argparse
import gc
import importlib.util
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
for name, folder in (("dygenept", ROOT), ("dygenept_plugins", ROOT / "plugins")):
    if importlib.util.find_spec(name) is None:
        sys.path.insert(0, str(folder))

import torch
from step_model import build, sparsemax_or_softmax

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
from dygenept_plugins.networks.scgpt_cells import ScGptCellState

DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True, slots=True)
class Row:
    """What one case came to; ``error`` says why there is nothing else."""

    length: int
    is_cached: bool
    precision: str
    is_compiled: bool
    step_ms: float | None = None
    cells_per_s: float | None = None
    tflops: float | None = None
    share_of_matmul: float | None = None
    trained_ms: float | None = None
    trained_tflops: float | None = None
    trained_share_of_matmul: float | None = None
    peak_gb: float | None = None
    error: str | None = None


def seconds(work: Callable[[], object], device: torch.device, n: int) -> float:
    """Return the median time of ``n`` runs, after two that do not count."""
    times = []
    for _ in range(n + 2):
        synchronise(device)
        started = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - started)
    return median(times[2:])


def synchronise(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_rate(size: Size, dtype: torch.dtype, device: torch.device) -> float:
    """Measure FLOP/s of one large square matrix product."""
    left, right = (
        torch.randn(size.matrix, size.matrix, device=device, dtype=dtype) for _ in range(2)
    )
    best = min(seconds(lambda: left @ right, device, 3) for _ in range(5))
    return 2 * size.matrix**3 / best


def reset_peak(device: torch.device) -> None:
    """Start a new peak of memory."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def peak_gb(device: torch.device) -> float | None:
    """Return the peak since ``reset_peak``: a GPU's allocations, else resident memory."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 1e9
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    found = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(found.split()[1]) * 1024 / 1e9


def measure(
    size: Size, case: Row, *, device: torch.device, n_steps: int, rates: dict[str, float]
) -> Row:
    """Measure one case."""
    reset_peak(device)
    dtype = DTYPES[case.precision]
    options = TrainingOptions(
        precision="bf16" if case.precision == "bf16" else "float32", compile=case.is_compiled
    )
    network = build(size, length=case.length, is_cached=case.is_cached, dtype=dtype).to(device)
    controls = control_cells(size, case.length)
    network.prepare(ControlPool(controls.expression, gene_names(size), [0] * size.batch))
    batch = batch_of(size, controls)
    trainer = trainer_of(batch, controls, options, device)
    optimizer = make_optimizer(network, options, device)
    stepper = trainer.stepper(network).train()
    if device.type == "cuda":
        batch = batch.map(torch.Tensor.pin_memory)
    step_s = seconds(lambda: trainer.step(stepper, optimizer, (batch,)), device, n_steps)
    peak = peak_gb(device)
    layers_s = seconds(trained_layers(network, size, case, device), device, n_steps)
    trained = trained_flop(size, case.length)
    whole = trained + (0 if case.is_cached else frozen_flop(size, case.length))
    rate = rates[case.precision]
    return replace(
        case,
        step_ms=1e3 * step_s,
        cells_per_s=size.batch / step_s,
        tflops=whole / step_s / 1e12,
        share_of_matmul=whole / step_s / rate,
        trained_ms=1e3 * layers_s,
        trained_tflops=trained / layers_s / 1e12,
        trained_share_of_matmul=trained / layers_s / rate,
        peak_gb=peak,
    )


def trained_layers(
    network: DyGenePT, size: Size, case: Row, device: torch.device
) -> Callable[[], object]:
    """Return forward and backward of the trained layers alone, on states of their input's size."""
    encoder = network.cell_encoder
    assert isinstance(encoder, ScGptCellState)
    backbone = encoder.backbone
    hidden = torch.randn(size.batch, case.length, size.d_model, device=device)

    def work() -> None:
        is_bf16 = case.precision == "bf16"
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_bf16):
            out = backbone.run(hidden, None, first=encoder.n_frozen, n_final=1)
        network.zero_grad(set_to_none=True)
        out.float().square().mean().backward()

    return work


def cases(size: Size, *, compile_too: bool) -> Iterable[Row]:
    """Yield every case."""
    for length, is_cached, precision, is_compiled in itertools.product(
        size.lengths, (True, False), DTYPES, (False, True) if compile_too else (False,)
    ):
        yield Row(length, is_cached, precision, is_compiled)


def shown(row: Row) -> str:
    """Return a row of the table."""
    head = f"{row.length:>6} {'on' if row.is_cached else 'off':>5} {row.precision:>8} "
    head += f"{'on' if row.is_compiled else 'off':>7}"
    if row.error is not None:
        return f"{head}  {row.error}"
    values = (row.step_ms, row.cells_per_s, row.tflops, row.share_of_matmul)
    layers = (row.trained_ms, row.trained_tflops, row.trained_share_of_matmul)
    step_ms, cells, tflops, share = (value or 0.0 for value in values)
    trained_ms, trained_tflops, trained_share = (value or 0.0 for value in layers)
    return (
        f"{head} {step_ms:>9.2f} {cells:>9.0f} {tflops:>8.3g} {share:>6.0%} "
        f"{trained_ms:>10.2f} {trained_tflops:>8.3g} {trained_share:>6.0%} {row.peak_gb or 0:>8.2f}"
    )


HEAD = (
    "length cache precision compile   step ms   cells/s  TFLOP/s  share trained ms  TFLOP/s  share"
    "  peak GB"
)


def main() -> int:
    """Measure, print a table and write JSON; return 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--small", action="store_true", help="a small model, for a CPU")
    parser.add_argument("--batch", type=int, help="control cells in a step")
    parser.add_argument("--lengths", help="tokens of a cell, such as 1200,3000")
    parser.add_argument("--steps", type=int, default=10, help="steps whose median is reported")
    parser.add_argument("--no-compile", action="store_true", help="leave out compiled cases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write JSON")
    given = parser.parse_args()
    wanted = given.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(wanted)
    size = SMALL if given.small else Size()
    if given.batch:
        size = replace(size, batch=given.batch)
    if given.lengths:
        size = replace(size, lengths=tuple(int(text) for text in given.lengths.split(",")))
    title = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    rates = {name: matmul_rate(size, dtype, device) for name, dtype in DTYPES.items()}
    sys.stdout.write(
        f"{title}, torch {torch.__version__}, {torch.get_num_threads()} CPU threads, batch "
        f"{size.batch}, attention {sparsemax_or_softmax()[0]}\nmatrix product {size.matrix}²: "
        + ", ".join(f"{name} {rate / 1e12:.2f} TFLOP/s" for name, rate in rates.items())
        + f"\n{HEAD}\n"
    )
    rows = []
    for case in cases(size, compile_too=not given.no_compile):
        try:
            row = measure(size, case, device=device, n_steps=given.steps, rates=rates)
        except RuntimeError as error:
            # Out of memory, or a compiler that is not there: the other cases still count.
            row = replace(
                case, error=f"{type(error).__name__}: {' '.join(str(error).split())[:90]}"
            )
        rows.append(row)
        sys.stdout.write(shown(row) + "\n")
        sys.stdout.flush()
    if given.json is not None:
        document = {
            "schema_version": 1,
            "device": title,
            "torch": torch.__version__,
            "attention": sparsemax_or_softmax()[0],
            "size": asdict(size),
            "matmul_tflops": {name: rate / 1e12 for name, rate in rates.items()},
            "rows": [asdict(row) for row in rows],
        }
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return int(any(row.error is not None for row in rows))


if __name__ == "__main__":
    sys.exit(main())
