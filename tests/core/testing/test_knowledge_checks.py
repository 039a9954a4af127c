"""Checks of data sources and gene knowledge must catch what breaks a rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from dygenept.errors import DataUnavailableError
from dygenept.plugin.interfaces import (
    DatasetStatus,
    GeneFacets,
    KnowledgeGraph,
)
from dygenept.testing import ToyShape, check_plugin, toy_data


def encode(change: Callable[..., Any]) -> Callable[..., Any]:
    return lambda inner, texts, runtime: change(inner.encode(texts, runtime))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (encode(lambda v: v.astype(np.float64)), "float32"),
        (encode(lambda v: v[1:]), "texts must give"),
        (encode(lambda v: v * np.float32(np.nan)), "NaN"),
        (encode(np.ones_like), "different texts give the same"),
        (encode(lambda v: v + np.arange(len(v), dtype=np.float32)[:, None]), "same text twice"),
        (encode(lambda v: v + np.float32(len(v))), "corpus_dependent"),
        (lambda inner, texts, runtime: inner.encode(texts or ["none"], runtime), r"\(0, D\)"),
    ],
)
def test_a_wrong_text_encoder_is_caught(
    breaks: Callable[[str, Any, str], None], wrong: Callable[..., object], match: str
) -> None:
    breaks("text_encoders", {"encode": wrong}, match)


def write(change: Callable[[tuple[GeneFacets, ...]], Any]) -> Callable[..., Any]:
    return lambda inner, genes, runtime: change(inner.write(genes, runtime))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (write(list), "tuple of GeneFacets"),
        (write(lambda found: found[::-1]), "in the order"),
        (write(lambda found: found[:-1]), "in the order"),
        (write(lambda found: tuple(replace(f, texts=f.texts[:7]) for f in found)), "7 texts"),
        (write(lambda found: tuple(replace(f, texts=("",) * 8) for f in found)), "never empty"),
        (write(lambda found: tuple(replace(f, texts=("a gene",) * 8) for f in found)), "not exist"),
        (write(lambda found: tuple(replace(f, texts=(None,) * 8) for f in found)), "knows none"),
    ],
)
def test_a_wrong_facet_writer_is_caught(
    breaks: Callable[[str, Any, str], None], wrong: Callable[..., object], match: str
) -> None:
    breaks("facet_writers", {"write": wrong}, match)


def graph(change: Callable[[Any], Any]) -> Callable[..., KnowledgeGraph]:
    def changed_graph(inner: Any, genes: Sequence[str], runtime: Any) -> KnowledgeGraph:
        found = inner.graph(genes, runtime)
        return replace(found, weights=change(found.weights))

    return changed_graph


def more_genes(inner: Any, genes: Sequence[str], runtime: Any) -> KnowledgeGraph:
    found: KnowledgeGraph = inner.graph((*genes, "BRCA1"), runtime)
    return found


def by_degree(inner: Any, genes: Sequence[str], runtime: Any) -> KnowledgeGraph:
    found: KnowledgeGraph = inner.graph(genes, runtime)
    return replace(found, weights=sparse.csr_matrix(found.weights / max(1, found.weights.nnz)))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (graph(lambda w: w.tocsc()), "must be CSR"),
        (graph(lambda w: sparse.csr_matrix(w * 7)), r"\(0, 1\]"),
        (graph(lambda w: sparse.csr_matrix(w + sparse.identity(w.shape[0]) * 0.5)), "to itself"),
        (graph(lambda w: sparse.csr_matrix(sparse.triu(w))), "not symmetric"),
        (graph(lambda w: sparse.csr_matrix(w.shape)), "connects none"),
        (more_genes, "not asked for"),
        (by_degree, "depends on the other genes"),
    ],
)
def test_a_wrong_knowledge_graph_is_caught(
    breaks: Callable[[str, Any, str], None], wrong: Callable[..., object], match: str
) -> None:
    breaks("kg_sources", {"graph": wrong}, match)


def absent(error: str) -> dict[str, Callable[..., object]]:
    def load(inner: Any, data_dir: Path, runtime: Any) -> None:
        raise DataUnavailableError(error.replace("PATH", str(data_dir / "absent.h5ad")))

    def status(inner: Any, data_dir: Path) -> DatasetStatus:
        return DatasetStatus(data_dir / "absent.h5ad", False, "not on disk")

    return {"load": load, "status": status}


def littering(inner: Any, data_dir: Path) -> DatasetStatus:
    (data_dir / "log.txt").write_text("asked")
    found: DatasetStatus = inner.status(data_dir)
    return found


def downloading(inner: Any, data_dir: Path, runtime: Any) -> object:
    import socket

    socket.create_connection(("127.0.0.1", 9), timeout=1)
    return inner.load(data_dir, runtime)


def differing(inner: Any, data_dir: Path, runtime: Any) -> object:
    return toy_data(ToyShape(seed=int(np.random.default_rng().integers(10**6))))


def inconsistent(inner: Any, data_dir: Path, runtime: Any) -> object:
    data = inner.load(data_dir, runtime)
    return replace(data, condition_codes=np.where(data.condition_codes == 0, -1, 1))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        (absent("no network"), "must name the path"),
        ({"status": littering}, "status wrote"),
        ({"load": downloading}, "no network during a conformance check"),
        ({"load": inconsistent}, "every condition needs a cell"),
        ({"load": differing}, "status says that it is not there|two different data sets|exist"),
    ],
)
def test_a_wrong_data_source_is_caught(
    breaks: Callable[[str, Any, str], None], wrong: dict[str, Callable[..., object]], match: str
) -> None:
    breaks("datasets", wrong, match)


def test_a_data_set_that_is_not_on_disk_may_say_so(
    altered: Callable[[str, Any], Any],
) -> None:
    check_plugin(altered("datasets", absent("put it at PATH")))
