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
from functools import partial
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
for name, folder in (("dygenept", ROOT), ("dygenept_plugins", ROOT / "plugins")):
    if importlib.util.find_spec(name) is None:
        sys.path.insert(0, str(folder))

import numpy as np
import torch
from scipy import sparse

from dygenept.interfaces import CellEncoderContext, ControlPool, GeneEncoderContext
from dygenept.knowledge.facets import FACETS
from dygenept.model.assembly import PADDING, DyGenePT, Parts
from dygenept.model.control_pool import ControlCells
from dygenept.model.losses import BatchCounts
from dygenept.training.batches import Batch, BatchSource, ConditionSet
from dygenept.training.loop import Trainer, make_optimizer
from dygenept.training.options import TrainingOptions
from dygenept.types import GeneKnowledge
from dygenept_plugins.networks.attention import FacetAttention, Normaliser, softmax
from dygenept_plugins.networks.facets import FacetEncoder
from dygenept_plugins.networks.latent_arithmetic import LatentArithmetic
from dygenept_plugins.networks.scgpt import ScGpt, ScGptSize
from dygenept_plugins.networks.scgpt_cache import CacheOptions
from dygenept_plugins.networks.scgpt_cells import CellOptions, ScGptCellState
from dygenept_plugins.networks.scgpt_tokens import Vocabulary

N_TRAINED = 2
N_TARGETS = 100
DTYPES = {"bf16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True, slots=True)
class Size:
    """Sizes of the model and of what it reads."""

    n_layers: int = 12
    d_model: int = 512
    n_heads: int = 8
    width: int = 768
    attention_heads: int = 8
    hidden_dims: tuple[int, ...] = (512, 256)
    n_genes: int = 5000
    n_tokens: int = 60_697
    batch: int = 64
    lengths: tuple[int, ...] = (1200, 3000)
    matrix: int = 8192


SMALL = Size(
    n_layers=4,
    d_model=64,
    n_heads=4,
    width=64,
    attention_heads=4,
    hidden_dims=(64, 32),
    n_genes=400,
    n_tokens=500,
    batch=8,
    lengths=(120, 300),
    matrix=1024,
)


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


def sparsemax_or_softmax() -> tuple[str, Normaliser]:
    """Return entmax's sparsemax where it is installed, else softmax; over 8 facets it is small."""
    if importlib.util.find_spec("entmax") is None:
        return "softmax", softmax
    from entmax import sparsemax

    return "sparsemax", partial(sparsemax, dim=-1)


def build(size: Size, *, length: int, is_cached: bool, dtype: torch.dtype) -> DyGenePT:
    """Build the model with random weights, on the CPU."""
    genes = tuple(f"G{i}" for i in range(size.n_genes))
    targets = genes[:N_TARGETS]
    rng = np.random.default_rng(0)
    knowledge = GeneKnowledge(
        name="synthetic",
        sha256="",
        genes=targets,
        facet_names=FACETS,
        values=rng.standard_normal((N_TARGETS, len(FACETS), size.width)).astype(np.float32),
        confidence=np.ones((N_TARGETS, len(FACETS)), dtype=np.float32),
    )
    vocabulary = Vocabulary.of_genes(genes)
    transformer = ScGptSize(
        n_tokens=max(size.n_tokens, vocabulary.n_tokens),
        pad_token=vocabulary.pad,
        d_model=size.d_model,
        n_layers=size.n_layers,
        n_heads=size.n_heads,
        d_hid=size.d_model,
        dropout=0.2,
    )
    options = CellOptions(
        n_bins=51,
        max_length=length,
        sampling_seed=0,
        freeze_layers=-N_TRAINED,
        pooling="cls",
        cache=CacheOptions(place="memory" if is_cached else "off", dtype=dtype, max_bytes=10**11),
    )
    _, normalise = sparsemax_or_softmax()
    parts = Parts(
        gene_encoder=lambda context: FacetEncoder(context, facet_signs=True),
        cell_encoder=lambda context: ScGptCellState(
            ScGpt(transformer), context=context, vocabulary=vocabulary, options=options
        ),
        attention=lambda width: FacetAttention(
            width=width, num_heads=size.attention_heads, normalise=normalise
        ),
        decoder=lambda context: LatentArithmetic(
            width=context.width, n_genes=context.n_genes, hidden_dims=size.hidden_dims
        ),
    )
    torch.manual_seed(0)
    return DyGenePT(
        parts,
        genes=GeneEncoderContext(knowledge, targets, size.width),
        cells=CellEncoderContext(genes, targets, size.width, seed=0),
        n_genes=size.n_genes,
    )


def control_cells(size: Size, length: int) -> ControlCells:
    """Make one control cell a row of the batch, each with ``length`` tokens, ``<cls>`` included."""
    rng = np.random.default_rng(1)
    chosen = [np.sort(rng.permutation(size.n_genes)[: length - 1]) for _ in range(size.batch)]
    indptr = np.arange(size.batch + 1) * (length - 1)
    values = rng.gamma(2.0, 0.7, size.batch * (length - 1)).astype(np.float32) + 0.01
    expression = sparse.csr_matrix(
        (values, np.concatenate(chosen), indptr), shape=(size.batch, size.n_genes)
    )
    return ControlCells(expression, np.zeros(size.batch, dtype=np.int32), 1)


def batch_of(size: Size, controls: ControlCells) -> Batch:
    """Make a batch: single genes and pairs, every row with a control cell of its own."""
    rng = np.random.default_rng(2)
    genes = torch.from_numpy(rng.integers(0, N_TARGETS, (size.batch, 2)))
    genes[::2, 1] = PADDING
    control = torch.from_numpy(controls.expression.toarray())
    reference = 0.1 * torch.from_numpy(rng.standard_normal(control.shape).astype(np.float32))
    return Batch(
        gene_indices=genes,
        control_indices=torch.arange(size.batch),
        control=control,
        target=reference + 0.1,
        reference=reference,
        de_indices=torch.from_numpy(rng.integers(0, size.n_genes, (size.batch, 20))),
        counts=BatchCounts(n_values=control.numel(), n_de=20 * size.batch),
    )


def layer_flop(size: Size, length: int, n_queries: int) -> tuple[int, int, int]:
    """Count a layer's forward operations for one cell: input maps, other maps, attention."""
    square = 2 * size.d_model**2
    inputs = square * n_queries + 2 * square * length
    others = square * n_queries + 2 * square * n_queries
    return inputs, others, 4 * n_queries * length * size.d_model


def trained_flop(size: Size, length: int) -> int:
    """Count forward and backward of the trained layers over a batch.

    The last layer computes ``<cls>`` alone. A backward pass costs twice the forward one; the first
    trained layer's input needs no gradient.
    """
    total = 0
    for place in range(N_TRAINED):
        inputs, others, attention = layer_flop(
            size, length, 1 if place == N_TRAINED - 1 else length
        )
        total += 3 * (inputs + others + attention) - (inputs if place == 0 else 0)
    return total * size.batch


def frozen_flop(size: Size, length: int) -> int:
    """Count the forward pass of the frozen layers over a batch."""
    return (size.n_layers - N_TRAINED) * sum(layer_flop(size, length, length)) * size.batch


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
    genes = tuple(f"G{i}" for i in range(size.n_genes))
    network.prepare(ControlPool(controls.expression, genes, [0] * size.batch))
    batch = batch_of(size, controls)
    known = ConditionSet(
        batch.gene_indices,
        np.zeros(size.batch, dtype=np.int64),
        batch.reference,
        batch.de_indices,
    )
    trainer = Trainer(
        source=BatchSource(known, controls, None, options),
        validation=None,
        positions=np.arange(1),
        options=options,
        seed=0,
        device=device,
        report=lambda epoch, text: None,
    )
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
