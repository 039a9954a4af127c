from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scripted_server import Answer, ScriptedServer

from dygenept.errors import DataError, DataUnavailableError
from dygenept.machine import fetched_files
from dygenept.machine.checksums import ChecksumRecord, read_record, record_path
from dygenept.machine.fetched_files import Wanted, fetch_file

TABLE = b"a\tb\t0.5\n" * 20_000
PAGE = b"<html>Please log in</html>"


def wanted(publisher: ScriptedServer, folder: Path, *paths: str, **more: object) -> Wanted:
    urls = tuple(publisher.url + path for path in paths or ("/a",))
    return Wanted(path=folder / "kg" / "a.tsv", urls=urls, **more)  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def record_of(file: Wanted, content: bytes, url: str | None = "http://e.org/a") -> None:
    """Leave what an older version left: whatever came, and its record."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    file.path.write_bytes(content)
    status = file.path.stat()
    record = ChecksumRecord(
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        modified_ns=status.st_mtime_ns,
        url=url,
    )
    record_path(file.path).write_text(record.model_dump_json())


def test_a_file_is_named_and_recorded_once_it_has_been_opened(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    publisher.answers["/a?key=hush"] = Answer(TABLE)
    file = wanted(publisher, tmp_path, "/a?key=hush")
    assert fetch_file(file)
    assert names(file.path.parent) == ["a.tsv", "a.tsv.sha256.json"]
    record = read_record(file.path)
    assert record is not None
    assert record.sha256 == hashlib.sha256(TABLE).hexdigest()
    assert record.url == f"{publisher.url}/a?key=***"
    assert not fetch_file(file)
    assert len(publisher.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(PAGE),
        Answer(b'{"error": "try later"}'),
        Answer(b"Access denied\n"),
        # Half of a table may end with a whole line.
        Answer(TABLE[: len(TABLE) // 2], announces=False),
    ],
)
def test_nothing_is_kept_of_what_is_no_data(
    publisher: ScriptedServer, tmp_path: Path, answer: Answer
) -> None:
    publisher.answers["/a"] = answer
    with pytest.raises(DataUnavailableError):
        fetch_file(wanted(publisher, tmp_path))
    assert names(tmp_path) == []


def test_a_body_of_unknown_length_is_taken_where_the_registry_says_the_length(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    publisher.answers["/a"] = Answer(TABLE, announces=False)
    assert fetch_file(wanted(publisher, tmp_path, size=len(TABLE)))


def test_a_mirror_is_tried_where_the_content_is_wrong(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    publisher.answers = {"/a": Answer(PAGE), "/b": Answer(b"x\ty\n"), "/c": Answer(TABLE)}
    sha256 = hashlib.sha256(TABLE).hexdigest()
    file = wanted(publisher, tmp_path, "/a", "/b", "/c", sha256=sha256)
    assert fetch_file(file)
    assert file.path.read_bytes() == TABLE
    publisher.answers["/c"] = Answer(status=404)
    with pytest.raises(DataUnavailableError) as caught:
        fetch_file(file, anew=True)
    for part in ("/a: what came is a web page", "/b: what came has SHA-256", "/c answered 404"):
        assert part in str(caught.value)
    assert file.path.read_bytes() == TABLE


def test_what_an_older_version_took_for_data_is_repaired(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    file = wanted(publisher, tmp_path)
    record_of(file, PAGE)
    publisher.answers["/a"] = Answer(PAGE)
    with pytest.raises(DataUnavailableError, match="web page"):
        fetch_file(file)
    publisher.answers["/a"] = Answer(TABLE)
    assert fetch_file(file)
    assert file.path.read_bytes() == TABLE
    record = read_record(file.path)
    assert record is not None
    assert record.size == len(TABLE)


def test_a_record_of_a_file_that_is_gone_is_named_and_can_be_forgotten(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    file = wanted(publisher, tmp_path)
    record_of(file, PAGE)
    file.path.unlink()
    publisher.answers["/a"] = Answer(TABLE)
    with pytest.raises(DataUnavailableError, match=r"delete .*a\.tsv\.sha256\.json.*--force"):
        fetch_file(file)
    assert fetch_file(file, anew=True)
    assert not fetch_file(file)


def test_a_file_that_somebody_put_there_is_never_replaced_unasked(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    file = wanted(publisher, tmp_path)
    publisher.answers["/a"] = Answer(TABLE)
    record_of(file, PAGE, url=None)
    with pytest.raises(DataError, match=r"was not fetched.*--force"):
        fetch_file(file)
    assert file.path.read_bytes() == PAGE
    assert fetch_file(file, anew=True)
    assert file.path.read_bytes() == TABLE


FETCH = """
import os, signal, sys
from pathlib import Path
from dygenept.machine.fetched_files import Wanted, fetch_file

def report(progress):
    if sys.argv[3] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)

fetch_file(Wanted(Path(sys.argv[1]), (sys.argv[2],)), report)
"""


def start(file: Wanted, then: str = "lives") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", FETCH, str(file.path), file.urls[0], then])


def test_processes_that_fetch_one_file_wait_for_each_other(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    publisher.answers["/a"] = Answer(TABLE[:60], pause_s=0.01)
    file = wanted(publisher, tmp_path)
    children = [start(file) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    assert len(publisher.requests) == 1
    assert names(file.path.parent) == ["a.tsv", "a.tsv.sha256.json"]


def test_processes_that_are_refused_one_file_do_not_disturb_each_other(
    publisher: ScriptedServer, tmp_path: Path
) -> None:
    publisher.answers["/a"] = Answer(PAGE)
    file = wanted(publisher, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        refusals = list(pool.map(lambda _: _refusal(file), range(8)))
    assert all("web page" in refusal for refusal in refusals)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def _refusal(file: Wanted) -> str:
    with pytest.raises(DataUnavailableError) as caught:
        fetch_file(file)
    return str(caught.value)


def test_a_fetch_that_was_killed_is_gone_on_with(publisher: ScriptedServer, tmp_path: Path) -> None:
    headers = {"ETag": '"v1"'}
    stalled = Answer(TABLE[:100_000], headers={**headers, "Content-Length": str(len(TABLE))})
    publisher.answers["/a"] = [stalled, Answer(TABLE, headers=headers, keeps_ranges=True)]
    file = wanted(publisher, tmp_path)
    part = file.path.with_name(".a.tsv.part")

    assert start(file, "dies").wait(60) == -signal.SIGKILL
    # How much of it had reached the disk is chance; from here on it is not.
    part.write_bytes(TABLE[:65_536])
    assert fetch_file(file)
    assert publisher.requests[-1][1]["range"] == "bytes=65536-"
    assert file.path.read_bytes() == TABLE


def test_who_waited_is_alone_although_the_lock_file_was_removed(tmp_path: Path) -> None:
    folder = tmp_path / "kg"
    folder.mkdir()
    inside: list[int] = []
    most: list[int] = []

    def visit(number: int) -> None:
        for _ in range(8):
            with fetched_files._alone(folder / "a.tsv"):
                inside.append(number)
                time.sleep(0.001)
                most.append(len(inside))
                inside.remove(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(visit, range(4)))
    assert most == [1] * 32
    assert names(folder) == []
