"""A publisher's server on this machine that answers as a test scripts it, well or badly."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        body: The whole file.
        status: HTTP status.
        headers: Further headers.
        announces: Say how long the body is.
        cut_at: Reset the connection after so many bytes of what is sent.
        pause_s: Wait before each byte from the tenth on.
        drips_head: Send the head of the answer byte by byte, with these pauses.
        keeps_ranges: Send a part where one is asked for, if ``ETag`` or ``Last-Modified`` fits.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    announces: bool = True
    cut_at: int | None = None
    pause_s: float = 0.0
    keeps_ranges: bool = False
    drips_head: bool = False


class ScriptedServer:
    """Answers by path: one answer for ever, or one after another, of which the last stays.

    Attributes:
        url: Its address, without a slash at the end.
        answers: By path; may be changed while it runs. Other paths get 404.
        requests: Path and headers (names in lower case) of every request so far.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers: dict[str, Answer | list[Answer]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._lock = threading.Lock()

    def next_answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        with self._lock:
            self.requests.append((path, {name.lower(): text for name, text in headers.items()}))
            found = self.answers.get(path, Answer(b"none", 404))
            if isinstance(found, Answer):
                return found
            return found.pop(0) if len(found) > 1 else found[0]


@contextmanager
def serving() -> Iterator[ScriptedServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = scripted.next_answer(self.path, dict(self.headers.items()))
            body, status, headers = answer.body, answer.status, dict(answer.headers)
            if answer.drips_head:
                with suppress(OSError):
                    for sign in b"HTTP/1.0 200 OK\r\nX: " + b"x" * 500:
                        self.wfile.write(bytes([sign]))
                        time.sleep(answer.pause_s)
                return
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            versions = (headers.get("ETag"), headers.get("Last-Modified"))
            is_same = self.headers.get("If-Range") in versions
            if asked and answer.keeps_ranges and is_same:
                start, whole = int(asked[1]), len(body)
                body, status = body[start:], 206 if start < whole else 416
                span = f"{start}-{whole - 1}" if start < whole else "*"
                headers["Content-Range"] = f"bytes {span}/{whole}"
            self.send_response(status)
            if answer.announces:
                headers.setdefault("Content-Length", str(len(body)))
            for name, text in {"Content-Type": "application/octet-stream", **headers}.items():
                self.send_header(name, text)
            self.end_headers()
            with suppress(OSError):
                self._send(answer, body)

        def _send(self, answer: Answer, body: bytes) -> None:
            sent = body[: answer.cut_at]
            if answer.pause_s:
                self.wfile.write(sent[:10])
                for place in range(10, len(sent)):
                    time.sleep(answer.pause_s)
                    self.wfile.write(sent[place : place + 1])
            else:
                self.wfile.write(sent)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        scripted = ScriptedServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield scripted
        finally:
            server.shutdown()
            thread.join()
