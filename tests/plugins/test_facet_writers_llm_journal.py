"""The journal of the facet writer ``llm``: nothing lost, nothing asked or written twice."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from local_endpoint import (
    EndpointAnswer,
    EndpointRequest,
    LocalEndpoint,
    completion,
    well_behaved,
)

from dygenept.errors import DataError, DataUnavailableError
from dygenept.plugin.interfaces import CorpusEntry, GeneFacets
from dygenept.types import Runtime
from dygenept_plugins.facet_writers.llm import LlmConfig, LlmFacetWriter
from dygenept_plugins.facet_writers.llm.journal import FORMAT, Journal

N_GENES = 20
WRITE = """
import sys
from dygenept.plugin.interfaces import CorpusEntry
from dygenept.types import Runtime
from dygenept_plugins.facet_writers.llm import LlmConfig, LlmFacetWriter
corpus = [CorpusEntry(f"G{i}", f"G{i}", f"gene {i}") for i in range(int(sys.argv[3]))]
config = LlmConfig(model="m", base_url=sys.argv[1], journal=sys.argv[2], concurrency=3)
LlmFacetWriter(config).write_from(corpus, Runtime())
"""


def corpus(n_genes: int = N_GENES) -> list[CorpusEntry]:
    return [CorpusEntry(f"G{i}", f"G{i}", f"gene {i}") for i in range(n_genes)]


def write(endpoint: LocalEndpoint, path: Path, n_genes: int = N_GENES) -> tuple[GeneFacets, ...]:
    config = LlmConfig(model="m", base_url=endpoint.base_url, journal=str(path), concurrency=3)
    return LlmFacetWriter(config).write_from(corpus(n_genes), Runtime())


def answered(path: Path) -> Counter[str]:
    """Genes with an answer, and how often; torn lines are passed over."""
    genes: Counter[str] = Counter()
    for line in path.read_bytes().split(b"\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        genes[record["gene"]] += record["outcome"] == "answer"
    return genes


def test_killed_run_resumes_with_exactly_the_missing_calls(
    endpoint: LocalEndpoint, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    dead = threading.Event()

    def respond(request: EndpointRequest) -> EndpointAnswer:
        if request.number > 9:
            # From here on the writer waits for answers that it will not live to see.
            dead.wait(30)
        return well_behaved(request)

    endpoint.respond = respond
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, endpoint.base_url, str(path), str(N_GENES)]
    )
    try:
        deadline = time.monotonic() + 60
        while len(endpoint.requests) < 12 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        dead.set()
    done = set(answered(path))
    assert len(done) == 9
    # The kill came in the middle of a line.
    with path.open("ab") as stream:
        stream.write(b'{"format": "dygenept-llm-journal-1", "gene": "G19", "outcome": "ans')
    before = path.read_bytes()

    endpoint.respond = well_behaved
    endpoint.requests.clear()
    written = write(endpoint, path)

    missing = {f"G{i}" for i in range(N_GENES)} - done
    assert Counter(request.gene for request in endpoint.requests) == Counter(missing)
    assert [item.gene for item in written] == [f"G{i}" for i in range(N_GENES)]
    assert all(
        item.texts[0] == f"{item.gene} acts in transcriptional regulation. Its loss impairs it."
        for item in written
    )
    assert path.read_bytes().startswith(before)
    assert set(answered(path).values()) == {1}
    endpoint.requests.clear()
    assert write(endpoint, path) == written
    assert endpoint.requests == []


@pytest.mark.parametrize("cut", [1, 2, 30, 200])
def test_torn_last_line_costs_that_answer_alone(
    endpoint: LocalEndpoint, tmp_path: Path, cut: int
) -> None:
    path = tmp_path / "journal.jsonl"
    first = write(endpoint, path, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    endpoint.requests.clear()
    assert write(endpoint, path, 3) == first
    # A line that lacks its line feed alone is whole.
    assert len(endpoint.requests) == (0 if cut == 1 else 1)
    assert all(count == 1 for count in answered(path).values())
    endpoint.requests.clear()
    assert write(endpoint, path, 3) == first
    assert endpoint.requests == []


def test_damaged_line_in_the_middle_is_passed_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.jsonl"
    good = {"format": FORMAT, "outcome": "answer", "key": "k", "texts": ["a", None]}
    lines = [
        json.dumps(good).encode(),
        b"\xff\xfe not even text",
        b"[1, 2]",
        json.dumps({**good, "format": "something else", "key": "l"}).encode(),
        json.dumps({**good, "texts": [1], "key": "n"}).encode(),
        json.dumps({**good, "texts": ["second"], "key": "k"}).encode(),
        json.dumps({**good, "outcome": "failure", "key": "o"}).encode(),
    ]
    path.write_bytes(b"\n".join(lines))
    kept = Journal(path).read()
    assert kept.answers == {"k": ("a", None)}
    assert kept.n_damaged == 4
    assert "4 damaged line(s)" in caplog.text


def test_two_processes_at_once_ask_for_every_gene_once(
    endpoint: LocalEndpoint, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    endpoint.respond = lambda request: EndpointAnswer(well_behaved(request).body, delay_s=0.02)
    command = [sys.executable, "-c", WRITE, endpoint.base_url, str(path), "12"]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert len(endpoint.requests) == 12
    assert set(answered(path).values()) == {1}


def test_text_of_any_script_survives_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    texts = ["α-Tubulin β\u2028γ. 蛋白质\U0001f9ec.", "lone \ud800", None]
    with journal.writing():
        journal.append({"outcome": "answer", "key": "k", "texts": texts})
    assert journal.read().answers == {"k": tuple(texts)}


def test_threads_never_mix_their_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")

    def append(number: int) -> None:
        for index in range(20):
            text = f"{number}" * 5000
            journal.append({"outcome": "answer", "key": f"{number}-{index}", "texts": [text]})

    with journal.writing():
        threads = [threading.Thread(target=append, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    kept = journal.read()
    assert (len(kept.answers), kept.n_damaged) == (80, 0)


def test_write_that_a_full_disk_cut_short_spoils_no_later_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    real_write = os.write

    def short_write(descriptor: int, content: bytes) -> int:
        real_write(descriptor, content[:10])
        raise OSError(28, "No space left on device")

    with journal.writing():
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", short_write)
            with pytest.raises(DataUnavailableError, match="No space left"):
                journal.append({"outcome": "answer", "key": "a", "texts": ["a"]})
        journal.append({"outcome": "answer", "key": "b", "texts": ["b"]})
    assert journal.read().answers == {"b": ("b",)}


def test_run_makes_no_call_that_it_cannot_keep(endpoint: LocalEndpoint, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way of a folder")
    with pytest.raises((DataUnavailableError, DataError), match="journal"):
        write(endpoint, blocked / "journal.jsonl")
    assert endpoint.requests == []


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert Journal(tmp_path / "none.jsonl").read().answers == {}
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_a_server_sends_brings_the_key_into_the_journal(
    endpoint: LocalEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "a-key-of-somebody-4711"
    monkeypatch.setenv("LLM_API_KEY", key)
    packed = base64.b64encode(f"user:{key}".encode()).decode()

    def respond(request: EndpointRequest) -> EndpointAnswer:
        if request.number == 1:
            body = {"error": {"message": f"wrong key {key[:12]}…", "code": packed, "type": key}}
            return EndpointAnswer(json.dumps(body), 500, {"X-Key": key})
        texts = dict.fromkeys(request.facets, f"It binds {key}. It acts.")
        escaped = "".join(f"\\u{ord(sign):04x}" for sign in key)
        written = json.dumps({"gene": request.gene, "facets": texts}).replace(key, escaped, 1)
        document = json.loads(completion(written, finish_reason=f"stop#{key}").body)
        document |= {"id": packed, "model": f"https://me:{key}@e.org/m#{key}"}
        return EndpointAnswer(json.dumps(document))

    endpoint.respond = respond
    path = tmp_path / "journal.jsonl"
    config = LlmConfig(
        model="m", base_url=endpoint.base_url, journal=str(path), concurrency=1, backoff_s=0.01
    )
    (facets,) = LlmFacetWriter(config).write_from(corpus(1), Runtime())
    kept = path.read_text() + repr(facets)
    assert '"outcome": "answer"' in kept
    assert "It binds [key]. It acts." in kept
    for piece in (key[:8], key[-8:], packed[8:24]):
        assert piece not in kept
