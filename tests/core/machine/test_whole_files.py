from __future__ import annotations

import os
import resource
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dygenept.knowledge.store.knowledge_files import write_knowledge
from dygenept.machine.whole_files import replaced_whole, write_whole
from dygenept.results.store import ResultsStore
from dygenept.testing import toy_knowledge
from dygenept.types import Condition, Perturbation, Predictions


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let the system refuse what a file has beyond 100 KB, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_has_the_permissions_of_any_new_file_whoever_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with replaced_whole(path) as temporary:
        temporary.unlink()
        temporary.write_text("text")
        temporary.chmod(0o600)
    assert mode(path) == 0o644
    os.umask(0o077)
    write_whole(tmp_path / "private", b"private")
    assert mode(tmp_path / "private") == 0o600


def test_a_file_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o660)
    write_whole(path, b"new")
    assert (mode(path), path.read_bytes()) == (0o660, b"new")


def test_links_are_followed_even_to_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to("folder/target")
    for content in (b"first", b"second"):
        write_whole(link, content)
        assert link.is_symlink()
        assert (tmp_path / "folder" / "target").read_bytes() == content
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="symbolic links"):
        write_whole(tmp_path / "circle", b"x")
    assert (tmp_path / "circle").is_symlink()


def test_a_fifo_stays_one_and_gets_the_content(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_bytes()))
    reader.start()
    write_whole(fifo, b"content" * 20_000)
    reader.join(10)
    assert got == [b"content" * 20_000]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["fifo"]


def test_descriptors_and_stdout_are_written_in_place(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    write_whole(Path("-"), b"to stdout")
    assert capsysbinary.readouterr().out == b"to stdout"
    with (tmp_path / "log").open("wb") as file:
        file.write(b"before,")
        file.flush()
        write_whole(Path(f"/dev/fd/{file.fileno()}"), b"within,")
        file.write(b"after")
    assert (tmp_path / "log").read_bytes() == b"before,within,after"


def test_a_disk_that_takes_no_more_is_the_systems_error_whatever_a_library_raises(
    tmp_path: Path, small_files: None
) -> None:
    path = tmp_path / "file.parquet"
    table = pl.DataFrame({"x": np.random.default_rng(0).random(200_000)})

    def fail() -> None:
        with replaced_whole(path) as temporary:
            try:
                table.write_parquet(temporary)
            except Exception as error:
                # As polars does where a page is flushed late.
                raise RuntimeError("no number of an error") from error

    with pytest.raises(OSError, match="File too large") as caught:
        fail()
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


def test_records_predictions_and_knowledge_can_be_read_by_others(tmp_path: Path) -> None:
    conditions = (Condition(Perturbation("A+ctrl", ("A",)), "K562"),)
    predictions = Predictions(conditions, np.zeros((1, 1)))
    kept = ResultsStore(tmp_path).write_predictions("k", predictions, ["x"])
    write_knowledge(toy_knowledge(), tmp_path / "k.safetensors")
    assert mode(tmp_path / kept) == mode(tmp_path / "k.safetensors") == 0o644


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old", flush=True)

    def fail() -> None:
        with replaced_whole(path) as temporary:
            temporary.write_bytes(b"ha")
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        fail()
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
