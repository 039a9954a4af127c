"""Text encoder ``api`` against a server on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from local_endpoint import (
    EndpointAnswer,
    EndpointRequest,
    LocalEndpoint,
    text_vector,
    well_behaved,
)

from dygenept.errors import ConfigError, DataUnavailableError
from dygenept.knowledge.building import FacetSource, build_knowledge
from dygenept.types import Progress, Runtime
from dygenept_plugins.facet_writers.go import GoConfig, GoFacetWriter
from dygenept_plugins.text_encoders.api import ApiConfig, ApiEncoder

TEXTS = tuple(f"text number {index}" for index in range(10))
Make = Callable[..., ApiEncoder]


@pytest.fixture
def make(endpoint: LocalEndpoint) -> Make:
    def build_encoder(**options: object) -> ApiEncoder:
        quick = {
            "model": "m",
            "base_url": endpoint.base_url,
            "batch_size": 3,
            "backoff_s": 0.01,
            "max_backoff_s": 0.02,
            "max_attempts": 3,
        }
        return ApiEncoder(ApiConfig.model_validate({**quick, **options}))

    return build_encoder


def bad_first(bad: EndpointAnswer) -> Callable[[EndpointRequest], EndpointAnswer]:
    """Answer the first request badly, and all others well."""
    return lambda request: bad if request.number == 1 else well_behaved(request)


def test_vectors_come_back_in_order_over_all_batches(make: Make, endpoint: LocalEndpoint) -> None:
    vectors = make(is_normalized=False).encode(TEXTS, Runtime())
    np.testing.assert_allclose(vectors, [text_vector(text) for text in TEXTS], rtol=1e-6)
    assert vectors.dtype == np.float32
    assert sorted(len(item.body["input"]) for item in endpoint.requests) == [1, 3, 3, 3]  # type: ignore[arg-type]


def test_vectors_are_of_unit_length_by_default(make: Make) -> None:
    vectors = make().encode(TEXTS, Runtime())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_request_holds_model_width_and_key(
    make: Make, endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_API_KEY", "secret-key")
    vectors = make(dimensions=4).encode(TEXTS[:1], Runtime())
    (request,) = endpoint.requests
    assert request.path == "/v1/embeddings"
    assert request.headers["authorization"] == "Bearer secret-key"
    assert (request.body["model"], request.body["dimensions"]) == ("m", 4)
    assert request.body["encoding_format"] == "float"
    assert vectors.shape == (1, 4)


def test_answer_out_of_order_is_put_in_order(make: Make, endpoint: LocalEndpoint) -> None:
    def reverse(request: EndpointRequest) -> EndpointAnswer:
        document = json.loads(well_behaved(request).body)
        document["data"].reverse()
        return EndpointAnswer(json.dumps(document))

    expected = make().encode(TEXTS, Runtime())
    endpoint.respond = reverse
    np.testing.assert_array_equal(make().encode(TEXTS, Runtime()), expected)


def test_rate_limit_is_waited_out(make: Make, endpoint: LocalEndpoint) -> None:
    endpoint.respond = bad_first(EndpointAnswer("{}", 429, {"Retry-After": "0.3"}))
    make(concurrency=1).encode(TEXTS[:1], Runtime())
    first, second = endpoint.requests
    assert second.time_s - first.time_s >= 0.3


def _embeddings(*vectors: object, **changed: object) -> EndpointAnswer:
    items = [
        {"index": index, "embedding": vector, **changed} for index, vector in enumerate(vectors)
    ]
    return EndpointAnswer(json.dumps({"data": items}))


@pytest.mark.parametrize(
    "bad",
    [
        EndpointAnswer("oops", 500),
        EndpointAnswer("not JSON"),
        EndpointAnswer("{}"),
        _embeddings([1.0, 2.0]),
        _embeddings([1.0, 2.0], [1.0, 2.0], [1.0, 2.0]),
        _embeddings([1.0, 2.0], [1.0, 2.0], index=0),
        _embeddings([1.0, 2.0], [1.0]),
        _embeddings([1.0, 2.0], ["a", "b"]),
        _embeddings([1.0, 2.0], [float("nan"), 1.0]),
        _embeddings([1.0, 2.0], [1e39, 1.0]),
        _embeddings([], []),
        _embeddings("AAAA", "AAAA"),
    ],
    ids=[
        "500",
        "no JSON",
        "no data",
        "too few",
        "too many",
        "one index twice",
        "two widths",
        "words",
        "NaN",
        "too large",
        "empty",
        "base64",
    ],
)
def test_wrong_answer_is_asked_again_and_never_used(
    make: Make, endpoint: LocalEndpoint, bad: EndpointAnswer
) -> None:
    endpoint.respond = bad_first(bad)
    vectors = make(is_normalized=False).encode(TEXTS[:2], Runtime())
    np.testing.assert_allclose(vectors, [text_vector(text) for text in TEXTS[:2]], rtol=1e-6)
    endpoint.respond = lambda _: bad
    with pytest.raises(DataUnavailableError, match=r"'m'.*failed"):
        make(max_attempts=2).encode(TEXTS[:2], Runtime())


def test_width_other_than_asked_for_is_refused(make: Make, endpoint: LocalEndpoint) -> None:
    endpoint.respond = lambda request: _embeddings(*[[1.0] * 8 for _ in request.body["input"]])  # type: ignore[attr-defined]
    with pytest.raises(DataUnavailableError, match="shape"):
        make(dimensions=4, max_attempts=1).encode(TEXTS[:1], Runtime())


def test_refused_request_ends_the_run_at_once(make: Make, endpoint: LocalEndpoint) -> None:
    endpoint.respond = lambda _: EndpointAnswer('{"error": {"message": "no such model"}}', 404)
    with pytest.raises(DataUnavailableError, match="no such model"):
        make(concurrency=1).encode(TEXTS, Runtime())
    assert len(endpoint.requests) == 1


def test_interrupted_run_embeds_only_what_is_missing(
    make: Make, endpoint: LocalEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dygenept.knowledge.store.embedding.CHUNK", 4)

    def build_it() -> None:
        build_knowledge(
            FacetSource("x", GoFacetWriter(GoConfig()), make(batch_size=4)),
            ["KLF1", "MAPK1"],
            Runtime(cache_dir=tmp_path),
        )

    endpoint.respond = lambda item: (
        well_behaved(item) if item.number <= 2 else EndpointAnswer("{}", 400)
    )
    with pytest.raises(DataUnavailableError):
        build_it()
    sent = {text for item in endpoint.requests[:2] for text in item.body["input"]}  # type: ignore[attr-defined]
    endpoint.respond = well_behaved
    endpoint.requests.clear()
    build_it()
    again = {text for item in endpoint.requests for text in item.body["input"]}  # type: ignore[attr-defined]
    assert len(sent) == 8
    assert again
    assert not again & sent


def test_long_text_is_cut_and_odd_text_can_be_sent(make: Make, endpoint: LocalEndpoint) -> None:
    make(max_chars=5).encode(["abcdefgh", "α\ud800β"], Runtime())
    assert endpoint.requests[0].body["input"] == ["abcde", "α?β"]


def test_no_text_makes_no_call(make: Make, endpoint: LocalEndpoint) -> None:
    assert make().encode([], Runtime()).shape == (0, 0)
    assert make(dimensions=3).encode([], Runtime()).shape == (0, 3)
    assert endpoint.requests == []


def test_progress_ends_at_the_number_of_texts(make: Make) -> None:
    seen: list[Progress] = []
    make().encode(TEXTS, Runtime(report=seen.append))
    assert seen[-1] == Progress("embed", 10, 10)


def test_identity_follows_what_changes_vectors(make: Make) -> None:
    base = make().identity
    assert make(batch_size=9, concurrency=1, max_attempts=9).identity == base
    changed = [{"model": "n"}, {"dimensions": 2}, {"is_normalized": False}, {"max_chars": 9}]
    others = {make(**options).identity for options in changed}
    assert len(others | {base}) == 5


def test_missing_key_and_secret_in_the_url_are_refused() -> None:
    with pytest.raises(DataUnavailableError, match="export LLM_API_KEY"):
        ApiEncoder(ApiConfig(model="m", base_url="https://llm.example.org/v1")).encode(
            ["a"], Runtime()
        )
    with pytest.raises(ConfigError, match="base_url"):
        ApiEncoder(ApiConfig(model="m", base_url="https://a:b@llm.example.org/v1"))
