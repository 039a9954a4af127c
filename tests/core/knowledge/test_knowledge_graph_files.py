from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dygenept.errors import DataError
from dygenept.knowledge.graph.files import (
    FileHead,
    Layout,
    find_files,
    line_blocks,
    read_bytes,
    read_head,
    verified_sha256,
)
from dygenept.machine.checksums import verify_file

LINES = [f"row {number}\tof a table" for number in range(5000)]
TEXT = "\n".join(LINES) + "\n"


def write(path: Path, text: str, *, gzipped: bool = False) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if gzipped else text.encode())
    return path


@pytest.mark.parametrize("gzipped", [False, True])
def test_plain_and_gzipped_files_read_alike_whatever_their_name(
    tmp_path: Path, gzipped: bool
) -> None:
    path = write(tmp_path / "table.tsv", TEXT, gzipped=gzipped)
    assert read_bytes(path).decode() == TEXT
    head = read_head(path)
    assert list(head.lines) == LINES[:200]
    blocks = list(line_blocks(path, n_bytes=1000))
    assert len(blocks) > 50
    assert b"".join(blocks).decode() == TEXT
    assert all(block.endswith(b"\n") for block in blocks)


def test_a_last_row_without_end_and_rows_longer_than_a_block_arrive_whole(tmp_path: Path) -> None:
    text = "short\n" + "long" * 100 + "\nlast"
    path = write(tmp_path / "table.tsv", text)
    assert b"".join(line_blocks(path, n_bytes=16)).decode() == text
    assert list(line_blocks(path, n_bytes=16))[-1] == b"last"


def test_a_cut_last_row_is_no_part_of_a_head(tmp_path: Path) -> None:
    path = write(tmp_path / "wide.tsv", "\n".join(["x" * 30_000] * 4))
    assert [len(line) for line in read_head(path).lines] == [30_000, 30_000]


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_archive_is_told(tmp_path: Path, damage: str) -> None:
    path = write(tmp_path / "table.tsv.gz", TEXT * 10, gzipped=True)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[100:140] = b"\xff" * 40
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="fetch it again"):
        read_bytes(path)
    with pytest.raises(DataError, match="fetch it again"):
        list(line_blocks(path))


def starts(letter: str, **more: object) -> Layout:
    def matches(head: FileHead) -> bool:
        return head.first.startswith(letter)

    return Layout(letter, matches, **more)  # type: ignore[arg-type]


def test_the_preferred_layout_wins_and_its_companion_is_found(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "names.txt", ".hidden", "a.txt.sha256.json"):
        write(tmp_path / name, f"{name[0]} is the first letter\n")
    companion = starts("b", is_companion=lambda head: head.first.startswith("n"))
    found = find_files(tmp_path, [companion, starts("a")])
    assert found is not None
    assert found.main == (tmp_path / "b.txt",)
    assert found.companions == (tmp_path / "names.txt",)
    assert found.all == (tmp_path / "b.txt", tmp_path / "names.txt")
    # A stranger beside a single file may be anything.
    (tmp_path / "stranger.gz").write_bytes(gzip.compress(TEXT.encode())[:40])
    single = find_files(tmp_path / "b.txt", [companion])
    assert single == found
    (tmp_path / "stranger.gz").unlink()
    assert find_files(tmp_path, [starts("x")]) is None
    assert find_files(tmp_path / "absent", [starts("a")]) is None


def test_only_a_layout_of_many_files_takes_several(tmp_path: Path) -> None:
    for name in ("a1", "a2"):
        write(tmp_path / name, "a\n")
    many = find_files(tmp_path, [starts("a", takes_many=True)])
    assert many is not None
    assert len(many.main) == 2
    with pytest.raises(DataError, match="a1, a2"):
        find_files(tmp_path, [starts("a")])


def test_a_hash_follows_the_content_and_a_fetched_file_its_record(tmp_path: Path) -> None:
    path = write(tmp_path / "table.tsv", TEXT)
    first = verified_sha256(path)
    assert verified_sha256(path) == first
    write(path, TEXT + "more\n")
    assert verified_sha256(path) != first
    verify_file(path)
    write(path, "altered\n")
    with pytest.raises(DataError, match="SHA-256"):
        verified_sha256(path)
