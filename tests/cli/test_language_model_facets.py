"""Facets of a language model, and knowledge files of other projects, from the command line."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from local_endpoint import EndpointAnswer, LocalEndpoint, well_behaved

from dygenept.knowledge.store.knowledge_files import read_knowledge
from dygenept.testing import write_toy_h5ad
from dygenept.testing.toy import TOY_TARGETS


class Result(Protocol):
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, object]:
        """Read stdout as one JSON document."""
        ...


Cli = Callable[..., Result]


def test_language_model_writes_facets_and_a_failed_gene_is_asked_again(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LLM_API_KEY", raising=False)
    (tmp_path / "genes.txt").write_text("KLF1\nMAPK1\nTP53\n")
    with LocalEndpoint() as endpoint:
        arguments = [
            *("precompute", "--step", "1,2,3,4", "--genes", "genes.txt", "--output", "out"),
            *("--writer", "llm", "--encoder", "tfidf", "--json", "--quiet"),
            *("--set", "writer.model=m", "--set", f"writer.base_url={endpoint.base_url}"),
            *("--set", "writer.max_attempts=1"),
        ]
        plan = cli(*arguments, "--dry-run")
        assert plan.code == 0, plan.err
        assert "KLF1" in plan.out
        assert endpoint.requests == []

        endpoint.respond = lambda request: (
            EndpointAnswer("{}", 500) if request.gene == "TP53" else well_behaved(request)
        )
        failed = cli(*arguments)
        assert failed.code == 2
        assert "failed for 1 of 3 gene(s): TP53" in failed.err
        assert not (tmp_path / "out" / "facets.jsonl").exists()

        endpoint.respond = well_behaved
        endpoint.requests.clear()
        done = cli(*arguments)
        assert done.code == 0, done.err
        assert [request.gene for request in endpoint.requests] == ["TP53"]
    knowledge = read_knowledge(tmp_path / "out" / "knowledge.safetensors")
    assert knowledge.genes == ("KLF1", "MAPK1", "TP53")
    np.testing.assert_array_equal(knowledge.confidence[:, :3], [[1, 0, 1]] * 3)


def test_bench_reads_one_vector_a_gene_from_a_pickle(cli: Cli, tmp_path: Path) -> None:
    write_toy_h5ad(tmp_path / "toy.h5ad")
    rng = np.random.default_rng(0)
    vectors = {gene: rng.normal(size=12).tolist() for gene in TOY_TARGETS}
    (tmp_path / "vectors.pickle").write_bytes(pickle.dumps(vectors))
    done = cli(
        *("bench", "--dataset", "toy.h5ad", "--model", "dygenept_small", "--folds", "2"),
        *("--facets", "vectors.pickle", "--cell-encoder", "none", "--json", "--quiet"),
        *("--set", "training.epochs=1", "--set", "training.steps_per_epoch=1"),
        *("--set", "training.warm_start=false"),
    )
    assert done.code == 0, done.err
    assert "vectors.pickle" in done.out
    assert done.json()["leaderboard"]
