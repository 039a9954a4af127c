"""MiniLM on facet texts, beside sentence-transformers with the same weights and texts.

Texts a second stand in ``extra_info`` of each measurement; the aim is 100 on two cores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.types import Runtime
from dygenept_plugins.facet_writers.go import GoConfig, GoFacetWriter
from dygenept_plugins.text_encoders import minilm
from dygenept_plugins.text_encoders.minilm import MinilmConfig, MinilmEncoder

# Where nothing is measured a few do.
N_TEXTS, N_TRIED = 200, 6

pytestmark = pytest.mark.benchmark(group="text encoders", min_rounds=2, warmup=False)


@pytest.fixture(scope="module")
def texts(request: pytest.FixtureRequest) -> list[str]:
    n_texts = N_TEXTS if request.config.getoption("benchmark_enable") else N_TRIED
    genes = load_gene_tables().protein_coding[: 10 * n_texts : 10]
    written = GoFacetWriter(GoConfig()).write(genes, Runtime())
    return sorted({text for item in written for text in item.texts if text})[:n_texts]


def _say_rate(benchmark: BenchmarkFixture, texts: Sequence[str]) -> None:
    # Without --benchmark-enable nothing is measured.
    if benchmark.stats is not None:
        benchmark.extra_info["texts_per_second"] = round(len(texts) / benchmark.stats["min"], 1)


@pytest.fixture(scope="module")
def encoder() -> MinilmEncoder:
    """An encoder whose weights are read."""
    made = MinilmEncoder(MinilmConfig())
    made.encode(["a gene"], Runtime())
    return made


def test_minilm(benchmark: BenchmarkFixture, encoder: MinilmEncoder, texts: list[str]) -> None:
    vectors = benchmark(lambda: encoder.encode(texts, Runtime()))
    assert vectors.shape == (len(texts), 384)
    _say_rate(benchmark, texts)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_peer_sentence_transformers(
    benchmark: BenchmarkFixture, encoder: MinilmEncoder, texts: list[str]
) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    folder: Path = minilm._model_file("config.json").parent
    peer = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    peer.max_seq_length = 256

    def encode() -> np.ndarray:
        return np.asarray(peer.encode(texts, normalize_embeddings=True, show_progress_bar=False))

    vectors = benchmark(encode)
    ours = encoder.encode(texts[:20], Runtime())
    np.testing.assert_allclose(vectors[:20], ours, atol=1e-4)
    _say_rate(benchmark, texts)
