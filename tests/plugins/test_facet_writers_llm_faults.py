"""The facet writer ``llm`` and an endpoint that fails, refuses, or wants to be asked slowly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from local_endpoint import (
    EndpointAnswer,
    EndpointRequest,
    LocalEndpoint,
    completion,
    facet_answer,
    first_then,
    well_behaved,
)

from dygenept.errors import DataUnavailableError
from dygenept.plugin.interfaces import CorpusEntry
from dygenept.types import Runtime
from dygenept_plugins.endpoints import asking
from dygenept_plugins.facet_writers.llm import LlmFacetWriter

MakeWriter = Callable[..., LlmFacetWriter]
Journal = Callable[[], list[dict[str, object]]]
CORPUS = tuple(
    CorpusEntry(gene=f"G{i}", symbol=f"G{i}", description=f"gene number {i}") for i in range(6)
)


def test_rate_limit_is_waited_out_as_long_as_the_server_asks(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    slow = EndpointAnswer('{"error": {"message": "slow down"}}', 429, {"Retry-After": "0.3"})
    endpoint.respond = first_then(slow, gene="G0")
    make_writer(concurrency=1).write_from(CORPUS[:3], Runtime())
    refused, *later = endpoint.requests
    assert len(later) == 3
    # No request at all, for any gene, before the time is over.
    assert min(request.time_s for request in later) - refused.time_s >= 0.3


def test_rate_limit_holds_back_every_thread(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    slow = EndpointAnswer("{}", 429, {"Retry-After": "0.3"})
    started = time.monotonic()

    def respond(request: EndpointRequest) -> EndpointAnswer:
        # The first three go out together; only one of them is told to wait.
        return slow if request.number == 1 else well_behaved(request)

    endpoint.respond = respond
    make_writer(concurrency=3).write_from(CORPUS, Runtime())
    early = [item for item in endpoint.requests if item.time_s - started < 0.25]
    assert len(early) <= 5
    assert len(endpoint.requests) == 7


def test_longer_wait_than_allowed_is_a_failure_at_once(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    endpoint.respond = lambda _: EndpointAnswer("{}", 429, {"Retry-After": "3600"})
    started = time.monotonic()
    with pytest.raises(DataUnavailableError, match="status 429"):
        make_writer().write_from(CORPUS[:1], Runtime())
    assert time.monotonic() - started < 2
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 529, 408])
def test_server_error_is_asked_again(
    make_writer: MakeWriter, endpoint: LocalEndpoint, status: int
) -> None:
    endpoint.respond = first_then(EndpointAnswer("<html>oops</html>", status), times=2)
    written = make_writer().write_from(CORPUS[:1], Runtime())
    assert written[0].texts[0]
    assert len(endpoint.requests) == 3


def test_time_out_is_asked_again(
    make_writer: MakeWriter, endpoint: LocalEndpoint, journal: Journal
) -> None:
    late = EndpointAnswer("{}", delay_s=0.6)
    endpoint.respond = first_then(late, gene="G1")
    written = make_writer(timeout_s=0.2).write_from(CORPUS[:3], Runtime())
    assert all(item.texts[0] for item in written)
    assert [item["fault"] for item in journal() if item["outcome"] == "error"] == ["timeout"]


def test_unreachable_endpoint_is_a_failure(make_writer: MakeWriter) -> None:
    with pytest.raises(DataUnavailableError, match=r"failed for 1 of 1 gene"):
        make_writer(base_url="http://127.0.0.1:9/v1").write_from(CORPUS[:1], Runtime())


def test_schema_that_the_server_refuses_is_asked_for_more_loosely(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    refusal = json.dumps({"error": {"message": "response_format json_schema is not supported"}})

    def respond(request: EndpointRequest) -> EndpointAnswer:
        form = request.body.get("response_format")
        is_schema = isinstance(form, dict) and form["type"] == "json_schema"
        return EndpointAnswer(refusal, 400) if is_schema else well_behaved(request)

    endpoint.respond = respond
    make_writer().write_from(CORPUS, Runtime())
    forms = [request.body["response_format"]["type"] for request in endpoint.requests]  # type: ignore[index]
    # Threads that were refused together do not skip a form, and later genes do not ask again.
    assert forms.count("json_object") == 6
    assert forms.count("json_schema") <= 3


def test_server_that_knows_no_response_format_is_asked_without(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    def respond(request: EndpointRequest) -> EndpointAnswer:
        if "response_format" in request.body:
            return EndpointAnswer('{"detail": "extra fields not permitted"}', 422)
        return completion(f"Sure!\n```json\n{facet_answer(request.gene, request.facets)}\n```\nOk?")

    endpoint.respond = respond
    written = make_writer(max_attempts=1).write_from(CORPUS, Runtime())
    assert all(item.texts[0] for item in written)


def test_request_that_is_refused_fails_alone_and_at_once(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    long = EndpointAnswer('{"error": {"message": "maximum context length exceeded"}}', 400)
    endpoint.respond = first_then(long, times=10**6, gene="G3")
    with pytest.raises(DataUnavailableError, match=r"1 of 6 gene.*G3 \(status 400"):
        make_writer(concurrency=1).write_from(CORPUS, Runtime())
    assert sum(request.gene == "G3" for request in endpoint.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, "{}"),
        (404, '{"error": {"message": "no such model"}}'),
        (429, '{"error": {"message": "pay first", "code": "insufficient_quota"}}'),
    ],
)
def test_fault_that_no_other_gene_can_escape_stops_the_run(
    make_writer: MakeWriter, endpoint: LocalEndpoint, status: int, body: str
) -> None:
    endpoint.respond = lambda _: EndpointAnswer(body, status)
    with pytest.raises(DataUnavailableError, match="the run was stopped"):
        make_writer(concurrency=1).write_from(CORPUS, Runtime())
    assert len(endpoint.requests) == 1


def test_run_stops_after_many_failures_in_a_row(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    endpoint.respond = lambda _: EndpointAnswer("{}", 500)
    with pytest.raises(DataUnavailableError, match="2 in a row were given up"):
        make_writer(concurrency=1, max_attempts=1, stop_after=2).write_from(CORPUS, Runtime())
    assert len(endpoint.requests) == 2


def test_requests_are_spaced_by_the_rate_limit(
    make_writer: MakeWriter, endpoint: LocalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, started = [100.0], []

    class Waits(threading.Event):
        """Does not wait: the clock goes on by so much."""

        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0.0
            return self.is_set()

    def respond(request: EndpointRequest) -> EndpointAnswer:
        started.append(now[0])
        return well_behaved(request)

    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(asking, "time", clock)
    monkeypatch.setattr(asking, "threading", SimpleNamespace(Event=Waits, Lock=threading.Lock))
    endpoint.respond = respond
    make_writer(concurrency=1, requests_per_minute=1200).write_from(CORPUS, Runtime())
    assert started == pytest.approx([100.0, 100.05, 100.1, 100.15, 100.2, 100.25])


def test_requests_run_at_once_up_to_the_limit(
    make_writer: MakeWriter, endpoint: LocalEndpoint
) -> None:
    together = threading.Barrier(6, timeout=30)

    def respond(request: EndpointRequest) -> EndpointAnswer:
        # Broken, and with it the answer, unless all six have come.
        together.wait()
        return well_behaved(request)

    endpoint.respond = respond
    make_writer(concurrency=6, timeout_s=60.0).write_from(CORPUS, Runtime())
    assert len(endpoint.requests) == 6
