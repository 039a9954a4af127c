"""Imputation by sparse products, beside a loop over genes of the same rule in the same run.

The graph is STRING's (14,115 genes), the tensor 8 facets of 768 numbers, 40 % of the facets
unknown. Measured at full size; a test run without measurement takes a fiftieth of the genes. Skips
where the shared data is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import sparse

from dygenept.knowledge.facets.imputation import Imputed, impute
from dygenept.knowledge.graph.sources import ImputationOptions
from dygenept.types import FACETS, GeneKnowledge

EDGES = Path(__file__).resolve().parents[3] / "shared" / "data" / "kg" / "string_edges.tsv.gz"
WIDTH = 768
UNKNOWN = 0.4
# Above the tensor itself, in sizes of the tensor.
MEMORY_BOUND = 1.5

pytestmark = pytest.mark.benchmark(group="imputation")


@dataclass(frozen=True, slots=True)
class Problem:
    knowledge: GeneKnowledge
    weights: sparse.csr_matrix


@pytest.fixture
def single_thread() -> Iterator[None]:
    """One gene's tensors are too small to share out; on a busy machine threads only wait."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def problem(request: pytest.FixtureRequest) -> Problem:
    if not EDGES.is_file():
        pytest.skip(f"no file {EDGES}: this measurement reads real data that does not ship")
    table = pl.read_csv(EDGES, separator="\t", infer_schema_length=0)
    genes = sorted({*table["gene_a"], *table["gene_b"]})
    if not request.config.getoption("benchmark_enable"):
        genes = genes[: len(genes) // 50]
    position = {gene: row for row, gene in enumerate(genes)}
    pairs = [
        (position[first], position[second])
        for first, second in table.iter_rows()
        if first in position and second in position and first != second
    ]
    rows, columns = np.array(pairs).T
    rng = np.random.default_rng(0)
    # The file has no scores: each pair gets one of STRING's evidence weights.
    weight = rng.choice(np.array([1.0, 0.8, 0.5, 0.3, 0.2], dtype=np.float32), len(pairs))
    one_way = sparse.csr_matrix((weight, (rows, columns)), shape=(len(genes), len(genes)))
    values = rng.standard_normal((len(genes), len(FACETS), WIDTH), dtype=np.float32)
    confidence = (rng.random((len(genes), len(FACETS))) >= UNKNOWN).astype(np.float32)
    values[confidence == 0] = 0
    return Problem(
        GeneKnowledge("speed", "0" * 64, tuple(genes), FACETS, values, confidence),
        sparse.csr_matrix(one_way.maximum(one_way.T)),
    )


def loop_over_genes(
    problem: Problem, options: ImputationOptions
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rule as tensor code is usually written: gene by gene, all facets of a gene at once."""
    values = torch.from_numpy(problem.knowledge.values)
    confidence = torch.from_numpy(problem.knowledge.confidence)
    native = confidence > 0
    norms = (values.norm(dim=2) * native).sum(0) / native.sum(0)
    order = []
    for row in range(problem.weights.shape[0]):
        part = slice(*problem.weights.indptr[row : row + 2])
        columns, strength = problem.weights.indices[part], problem.weights.data[part]
        first = np.lexsort((columns, -strength))
        order.append((torch.from_numpy(columns[first]).long(), torch.from_numpy(strength[first])))
    for number in range(1, options.num_rounds + 1):
        new_values, new_confidence = values.clone(), confidence.clone()
        cap = options.confidence_cap * 0.7**number
        for gene in torch.nonzero((confidence == 0).any(1)).flatten().tolist():
            neighbours, strength = order[gene]
            if not len(neighbours):
                continue
            informed = confidence[neighbours] > 0
            used = informed & (informed.cumsum(0) <= options.max_neighbors)
            enough = informed.sum(0) >= (2 if number == 1 else 1)
            filled = enough & (confidence[gene] == 0)
            if not filled.any():
                continue
            weight = strength[:, None] * used
            share = weight * confidence[neighbours]
            mean = torch.einsum("nk,nkd->kd", share, values[neighbours])
            mean = mean * (norms / mean.norm(dim=1).clamp_min(1e-12))[:, None]
            support = (used.sum(0) / 5).clamp_max(1.0)
            trust = support * share.sum(0) / weight.sum(0).clamp_min(1e-12)
            new_values[gene, filled] = mean[filled]
            new_confidence[gene, filled] = trust.clamp(0.05, cap)[filled]
        values, confidence = new_values, new_confidence
    return values, confidence


def peak_above(call: Callable[[], object]) -> int | None:
    """Bytes by which resident memory rises above what it is before a call; None where unknown."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def bytes_of(field: str) -> int:
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return 1024 * int(line.split()[1])

    try:
        # Linux sets the peak back to what is resident now.
        reset.write_text("5")
    except OSError:
        return None
    before = bytes_of("VmRSS")
    call()
    return bytes_of("VmHWM") - before


def record_peak(
    benchmark: BenchmarkFixture, problem: Problem, call: Callable[[], object]
) -> float | None:
    """Note the peak above the tensor, and return it in sizes of the tensor."""
    peak, size = peak_above(call), problem.knowledge.values.nbytes
    if peak is None:
        return None
    benchmark.extra_info["tensor_mb"] = round(size / 1e6)
    benchmark.extra_info["peak_above_tensor_mb"] = round(peak / 1e6)
    benchmark.extra_info["peak_above_tensor"] = round(peak / size, 2)
    return peak / size


def test_imputation_by_sparse_products(benchmark: BenchmarkFixture, problem: Problem) -> None:
    def call() -> Imputed:
        return impute(problem.knowledge, problem.weights, options=ImputationOptions())

    peak = record_peak(benchmark, problem, call)
    # What a call takes beside the tensor is small at full size alone.
    if peak is not None and benchmark.enabled:
        assert peak <= MEMORY_BOUND
    assert (benchmark(call).rounds > 0).any()


@pytest.mark.usefixtures("single_thread")
def test_peer_loop_over_genes(benchmark: BenchmarkFixture, problem: Problem) -> None:
    def call() -> tuple[torch.Tensor, torch.Tensor]:
        return loop_over_genes(problem, ImputationOptions())

    results: list[tuple[torch.Tensor, torch.Tensor]] = []
    # One round measures both time and memory: it takes long enough.
    record_peak(benchmark, problem, lambda: results.append(benchmark.pedantic(call, rounds=1)))
    values, confidence = results[0]
    imputed = impute(problem.knowledge, problem.weights, options=ImputationOptions()).knowledge
    np.testing.assert_allclose(confidence.numpy(), imputed.confidence, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(values.numpy(), imputed.values, rtol=1e-3, atol=1e-3)
