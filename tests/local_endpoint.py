"""A server on this machine that speaks the OpenAI API, and misbehaves as instructed.

For tests of whatever calls an endpoint: it answers chat completions with facet texts and embedding
requests with vectors, and records every request.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

WIDTH = 8
_RECORD = re.compile(r"<gene_record>(.*)</gene_record>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """One request as received.

    Attributes:
        path: Such as ``/v1/chat/completions``.
        headers: Headers, names in lower case.
        body: The JSON body.
        time_s: When it came, on the monotonic clock.
        number: Position among all requests, from 1.
    """

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, object]
    time_s: float
    number: int

    @property
    def messages(self) -> tuple[str, ...]:
        """Contents of the chat messages."""
        messages = self.body.get("messages")
        assert isinstance(messages, list)
        return tuple(str(message["content"]) for message in messages)

    @property
    def gene(self) -> str:
        """Gene of the record in a chat request."""
        match = _RECORD.search(self.messages[1])
        assert match is not None, "the request contains no gene record"
        return str(json.loads(match[1])["gene"])

    @property
    def facets(self) -> tuple[str, ...]:
        """Facets that a chat request asks for, read from its system message."""
        match = re.search(r"spelled so: (\[.*?\])", self.messages[0])
        assert match is not None, "the request names no facets"
        return tuple(json.loads(match[1]))


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """What the server sends.

    Attributes:
        body: The whole body.
        status: HTTP status.
        headers: Further headers.
        delay_s: Wait before anything is sent.
    """

    body: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


Respond = Callable[[EndpointRequest], EndpointAnswer]


def completion(text: str | None, **message: object) -> EndpointAnswer:
    """Return a chat completion with this text; keywords change the choice."""
    choice = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": text},
        **message,
    }
    document = {
        "id": "chatcmpl-local",
        "object": "chat.completion",
        "created": 0,
        "model": "local-model-1",
        "choices": [choice],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 400, "total_tokens": 1400},
    }
    return EndpointAnswer(json.dumps(document))


def facet_answer(gene: str, facets: Sequence[str], **changed: str | None) -> str:
    """Return a right answer of a model: two sentences a facet, the second facet unknown.

    Args:
        gene: The gene.
        facets: The facets.
        **changed: Other texts, by facet name.
    """
    texts: dict[str, str | None] = {
        facet: f"{gene} acts in {facet.lower()}. Its loss impairs it." for facet in facets
    }
    if len(facets) > 1:
        texts[facets[1]] = "<NULL>"
    return json.dumps({"gene": gene, "facets": texts | changed})


def well_behaved(request: EndpointRequest) -> EndpointAnswer:
    """Answer as a good server does."""
    if request.path.endswith("/embeddings"):
        return EndpointAnswer(json.dumps(_embeddings(request.body)))
    return completion(facet_answer(request.gene, request.facets))


def first_then(bad: EndpointAnswer, *, times: int = 1, gene: str | None = None) -> Respond:
    """Return a way to answer badly at first, gene by gene, then well.

    Args:
        bad: The bad answer.
        times: How often each gene gets it.
        gene: The only gene that gets it; None means every gene.
    """
    seen: Counter[str] = Counter()

    def respond(request: EndpointRequest) -> EndpointAnswer:
        seen[request.gene] += 1
        is_bad = gene in (None, request.gene) and seen[request.gene] <= times
        return bad if is_bad else well_behaved(request)

    return respond


class LocalEndpoint:
    """The server; a context manager.

    Args:
        respond: Makes each answer; may be changed while it runs.
    """

    def __init__(self, respond: Respond = well_behaved) -> None:
        self.respond = respond
        self.requests: list[EndpointRequest] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def base_url(self) -> str:
        """Base URL, with ``/v1``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _record(self, path: str, headers: Mapping[str, str], body: bytes) -> EndpointRequest:
        with self._lock:
            request = EndpointRequest(
                path=path,
                headers={name.lower(): value for name, value in headers.items()},
                body=json.loads(body),
                time_s=time.monotonic(),
                number=len(self.requests) + 1,
            )
            self.requests.append(request)
        return request

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                request = endpoint._record(self.path, dict(self.headers.items()), content)
                answer = endpoint.respond(request)
                time.sleep(answer.delay_s)
                payload = answer.body.encode(errors="surrogatepass")
                headers = {"Content-Type": "application/json", **answer.headers}
                try:
                    self.send_response(answer.status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(payload)))
                    self.end_headers()
                    self.wfile.write(payload)
                except (BrokenPipeError, ConnectionResetError):
                    # The caller gave up waiting, or is dead.
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                return

        return Handler


def text_vector(text: str, width: int = WIDTH) -> list[float]:
    """Return the vector that the server gives a text; a function only of the text."""
    digest = hashlib.sha256(text.encode()).digest()
    return [byte / 127.5 - 1.0 for byte in digest[:width]]


def _embeddings(body: Mapping[str, object]) -> dict[str, object]:
    texts = body["input"]
    assert isinstance(texts, list)
    dimensions = body.get("dimensions", WIDTH)
    assert isinstance(dimensions, int)
    return {
        "object": "list",
        "model": body["model"],
        "data": [
            {"object": "embedding", "index": index, "embedding": text_vector(text, dimensions)}
            for index, text in enumerate(texts)
        ],
        "usage": {"prompt_tokens": 5 * len(texts), "total_tokens": 5 * len(texts)},
    }
