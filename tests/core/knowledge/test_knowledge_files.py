from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import DataError, DataUnavailableError, PluginError
from dygenept.knowledge.building import FacetSource, build_knowledge
from dygenept.knowledge.facets.controls import random_knowledge, shuffle_knowledge
from dygenept.knowledge.genes.matching import select_genes
from dygenept.knowledge.store.embedding_cache import EmbeddingCache
from dygenept.knowledge.store.knowledge_files import read_knowledge, write_knowledge
from dygenept.machine.folders import default_cache_dir
from dygenept.plugin.interfaces import GeneFacets
from dygenept.types import FACETS, FloatArray, GeneKnowledge, Progress, Runtime

GENES = ("KLF1", "MAPK1", "TP53", "BAK1")


class LetterWriter:
    """Writes the gene's name in the facets named by its length; nothing for a gene called X."""

    identity = "letters-1"

    def write(self, genes: Sequence[str], runtime: Runtime) -> tuple[GeneFacets, ...]:
        return tuple(GeneFacets(gene, self._texts(gene)) for gene in genes)

    def _texts(self, gene: str) -> tuple[str | None, ...]:
        n_known = 0 if gene == "X" else len(gene)
        return tuple("shared" if k == 0 else f"{gene}{k}" for k in range(n_known)) + (None,) * (
            len(FACETS) - n_known
        )


class CountingEncoder:
    """Letter counts; remembers every text it was asked for."""

    identity = "counts-1"

    def __init__(self, *, corpus_dependent: bool = False) -> None:
        self.corpus_dependent = corpus_dependent
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
        self.asked.extend(texts)
        runtime.report(Progress("embed", len(texts), len(texts)))
        vectors = [[len(text), *map(ord, text[:2].ljust(2))] for text in texts]
        scale = len(set(texts)) if self.corpus_dependent else 1
        return np.array(vectors, dtype=np.float32).reshape(-1, 3) * scale


def _build(
    encoder: CountingEncoder, *, genes: Sequence[str] = GENES, cache_dir: Path | None = None
) -> GeneKnowledge:
    return build_knowledge(
        FacetSource("toy", LetterWriter(), encoder), genes, Runtime(cache_dir=cache_dir)
    )


def _corrupt(cache_dir: Path) -> Path:
    (shard,) = (cache_dir / "embeddings").rglob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:40])
    return shard


def test_known_facet_has_its_texts_vector_and_confidence_one() -> None:
    knowledge = _build(CountingEncoder())
    assert knowledge.genes == GENES
    assert knowledge.values.shape == (4, 8, 3)
    assert knowledge.values.dtype == np.float32
    np.testing.assert_array_equal(knowledge.values[1, 2], [6, ord("M"), ord("A")])
    np.testing.assert_array_equal(knowledge.confidence.sum(axis=1), [4, 5, 4, 4])


def genes_without_knowledge(knowledge: GeneKnowledge) -> tuple[str, ...]:
    is_known = knowledge.confidence.any(axis=1)
    return tuple(gene for gene, known in zip(knowledge.genes, is_known, strict=True) if not known)


def test_unknown_facet_is_zero_with_confidence_zero() -> None:
    knowledge = _build(CountingEncoder(), genes=("KLF1", "X"))
    assert not knowledge.values[knowledge.confidence == 0].any()
    assert genes_without_knowledge(knowledge) == ("X",)


def test_text_of_several_genes_is_embedded_once() -> None:
    encoder = CountingEncoder()
    _build(encoder)
    assert encoder.asked.count("shared") == 1
    assert len(encoder.asked) == len(set(encoder.asked))


def test_gene_asked_for_twice_counts_once() -> None:
    assert _build(CountingEncoder(), genes=("KLF1", "KLF1")).genes == ("KLF1",)


def test_no_gene_and_no_known_gene_give_empty_knowledge_of_the_right_width() -> None:
    assert _build(CountingEncoder(), genes=()).values.shape == (0, 8, 3)
    assert _build(CountingEncoder(), genes=("X",)).values.shape == (1, 8, 3)


def test_second_data_set_embeds_only_new_texts(tmp_path: Path) -> None:
    first, second = CountingEncoder(), CountingEncoder()
    _build(first, genes=GENES[:2], cache_dir=tmp_path)
    knowledge = _build(second, cache_dir=tmp_path)
    assert second.asked
    assert not set(first.asked) & set(second.asked)
    np.testing.assert_array_equal(knowledge.values, _build(CountingEncoder()).values)


def test_without_cache_folder_everything_is_computed_anew() -> None:
    first, second = CountingEncoder(), CountingEncoder()
    _build(first)
    _build(second)
    assert first.asked == second.asked


def test_truncated_cache_file_is_recomputed_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    true = _build(CountingEncoder(), cache_dir=tmp_path)
    shard = _corrupt(tmp_path)
    encoder = CountingEncoder()
    with caplog.at_level(logging.WARNING):
        again = _build(encoder, cache_dir=tmp_path)
    assert "damaged" in caplog.text
    assert encoder.asked
    np.testing.assert_array_equal(again.values, true.values)
    assert shard.stat().st_size > 40


def test_cache_folder_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "embeddings").write_text("a file where a folder belongs")
    with caplog.at_level(logging.WARNING):
        knowledge = _build(CountingEncoder(), cache_dir=tmp_path)
    assert "not cached" in caplog.text
    assert knowledge.confidence.any()


def test_two_encoders_do_not_share_vectors(tmp_path: Path) -> None:
    other = CountingEncoder()
    other.identity = "counts-2"
    _build(CountingEncoder(), cache_dir=tmp_path)
    _build(other, cache_dir=tmp_path)
    assert other.asked


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(40)]

    def write(part: int) -> None:
        mine = texts[part::8]
        vectors = np.full((len(mine), 2), part, dtype=np.float32)
        EmbeddingCache(tmp_path, "one").write(mine, vectors)

    threads = [threading.Thread(target=write, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = EmbeddingCache(tmp_path, "one").read(texts)
    assert {text: int(vector[0]) for text, vector in found.items()} == {
        text: number % 8 for number, text in enumerate(texts)
    }
    assert not list(tmp_path.rglob("*.partial"))


def test_corpus_dependent_encoder_sees_its_whole_corpus_at_once(tmp_path: Path) -> None:
    first = CountingEncoder(corpus_dependent=True)
    _build(first, genes=GENES[:2], cache_dir=tmp_path)
    second = CountingEncoder(corpus_dependent=True)
    knowledge = _build(second, cache_dir=tmp_path)
    assert set(second.asked) > set(first.asked)
    third = CountingEncoder(corpus_dependent=True)
    np.testing.assert_array_equal(_build(third, cache_dir=tmp_path).values, knowledge.values)
    assert third.asked == []


def test_knowledge_of_other_genes_has_another_hash() -> None:
    hashes = {
        _build(CountingEncoder()).sha256,
        _build(CountingEncoder(), genes=GENES[:2]).sha256,
        _build(CountingEncoder(corpus_dependent=True)).sha256,
    }
    assert len(hashes) == 3
    assert _build(CountingEncoder()).sha256 in hashes


def test_progress_counts_over_all_missing_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dygenept.knowledge.store.embedding.CHUNK", 4)
    seen: list[Progress] = []
    build_knowledge(
        FacetSource("toy", LetterWriter(), CountingEncoder()),
        GENES,
        Runtime(cache_dir=tmp_path, report=seen.append),
    )
    steps = [progress.step for progress in seen]
    assert steps == sorted(steps)
    assert {progress.total for progress in seen} == {steps[-1]}
    assert {progress.stage for progress in seen} == {"embed"}


def test_interrupted_embedding_keeps_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dygenept.knowledge.store.embedding.CHUNK", 4)

    class Interrupted(CountingEncoder):
        def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
            if self.asked:
                raise KeyboardInterrupt
            return super().encode(texts, runtime)

    first = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        _build(first, cache_dir=tmp_path)
    second = CountingEncoder()
    _build(second, cache_dir=tmp_path)
    assert len(first.asked) == 4
    assert not set(first.asked) & set(second.asked)


def test_encoder_that_returns_nan_is_refused() -> None:
    class Broken(CountingEncoder):
        def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
            return np.full((len(texts), 3), np.nan, dtype=np.float32)

    with pytest.raises(PluginError, match="counts-1"):
        _build(Broken())


def test_encoder_that_raises_is_named_and_one_that_returns_lists_is_read() -> None:
    class Raising(CountingEncoder):
        def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
            raise KeyError("vocabulary")

    class Listing(CountingEncoder):
        def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
            return super().encode(texts, runtime).tolist()  # type: ignore[no-any-return]

    with pytest.raises(PluginError, match="text encoder counts-1 raised KeyError: 'vocabulary'"):
        _build(Raising())
    np.testing.assert_array_equal(_build(Listing()).values, _build(CountingEncoder()).values)


def test_writer_that_gives_an_empty_text_is_refused() -> None:
    class Empty(LetterWriter):
        def write(self, genes: Sequence[str], runtime: Runtime) -> tuple[GeneFacets, ...]:
            return tuple(GeneFacets(gene, ("",) * len(FACETS)) for gene in genes)

    with pytest.raises(PluginError, match="must be a text or None, never empty"):
        build_knowledge(FacetSource("toy", Empty(), CountingEncoder()), GENES, Runtime())


def test_writer_that_skips_a_gene_is_refused() -> None:
    class Skipping(LetterWriter):
        def write(self, genes: Sequence[str], runtime: Runtime) -> tuple[GeneFacets, ...]:
            return super().write(genes[1:], runtime)

    with pytest.raises(PluginError, match="one entry per gene"):
        build_knowledge(FacetSource("toy", Skipping(), CountingEncoder()), GENES, Runtime())


def test_written_knowledge_reads_back_equal(tmp_path: Path) -> None:
    knowledge = _build(CountingEncoder())
    write_knowledge(knowledge, tmp_path / "sub" / "toy.safetensors")
    again = read_knowledge(tmp_path / "sub" / "toy.safetensors")
    np.testing.assert_array_equal(again.values, knowledge.values)
    np.testing.assert_array_equal(again.confidence, knowledge.confidence)
    assert replace(again, values=knowledge.values, confidence=knowledge.confidence) == knowledge


def test_missing_knowledge_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailableError, match=r"none\.safetensors"):
        read_knowledge(tmp_path / "none.safetensors")


def test_damaged_or_foreign_knowledge_file_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "toy.safetensors"
    write_knowledge(_build(CountingEncoder()), path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match="cannot be read as gene knowledge"):
        read_knowledge(path)
    save_file({"weights": np.zeros(3)}, path)
    with pytest.raises(
        DataError, match=r"cannot be read as gene knowledge of dygenept .*lacks 'dygenept'"
    ):
        read_knowledge(path)


def test_knowledge_file_with_confidence_out_of_range_is_refused(tmp_path: Path) -> None:
    knowledge = _build(CountingEncoder())
    write_knowledge(replace(knowledge, confidence=knowledge.confidence * 2), tmp_path / "k")
    with pytest.raises(DataError, match="outside"):
        read_knowledge(tmp_path / "k")


def test_selected_genes_stand_in_the_order_asked_for() -> None:
    knowledge = _build(CountingEncoder())
    selected = select_genes(knowledge, ("TP53", "KLF1"))
    np.testing.assert_array_equal(selected.values, knowledge.values[[2, 0]])
    np.testing.assert_array_equal(selected.confidence, knowledge.confidence[[2, 0]])


def test_outdated_symbol_finds_the_current_gene_and_the_reverse() -> None:
    knowledge = _build(CountingEncoder(), genes=("MAP3K21", "C19orf26"))
    selected = select_genes(knowledge, ("KIAA1804", "CBARP", "NO_SUCH_GENE"))
    np.testing.assert_array_equal(selected.values[:2], knowledge.values)
    assert genes_without_knowledge(selected) == ("NO_SUCH_GENE",)


def test_shuffled_knowledge_gives_every_gene_anothers_row() -> None:
    knowledge = _build(CountingEncoder(), genes=(*GENES, "X"))
    shuffled = shuffle_knowledge(knowledge, rng=np.random.default_rng(0))
    rows = {row.tobytes() for row in knowledge.values[:4]}
    assert {row.tobytes() for row in shuffled.values[:4]} == rows
    assert all((shuffled.values[i] != knowledge.values[i]).any() for i in range(4))
    assert genes_without_knowledge(shuffled) == ("X",)
    assert shuffled.sha256 != knowledge.sha256


def test_shuffling_is_repeatable_and_depends_on_the_seed() -> None:
    knowledge = _build(CountingEncoder())
    first, again, other = (
        shuffle_knowledge(knowledge, rng=np.random.default_rng(seed)) for seed in (1, 1, 5)
    )
    np.testing.assert_array_equal(first.values, again.values)
    assert first.sha256 == again.sha256 != other.sha256


def test_gene_that_alone_knows_something_loses_it_in_a_shuffle() -> None:
    knowledge = _build(CountingEncoder(), genes=("KLF1", "X"))
    shuffled = shuffle_knowledge(knowledge, rng=np.random.default_rng(0))
    assert not shuffled.confidence.any()
    assert not shuffled.values.any()


def test_random_knowledge_keeps_norms_and_confidence_alone() -> None:
    knowledge = _build(CountingEncoder())
    drawn = random_knowledge(knowledge, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(drawn.confidence, knowledge.confidence)
    np.testing.assert_allclose(
        np.linalg.norm(drawn.values, axis=-1), np.linalg.norm(knowledge.values, axis=-1), rtol=1e-5
    )
    known = knowledge.confidence > 0
    assert (np.abs(drawn.values - knowledge.values).max(axis=-1)[known] > 1e-3).all()


def test_cache_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYGENEPT_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path
    monkeypatch.delenv("DYGENEPT_HOME")
    assert default_cache_dir().name == "dygenept"
