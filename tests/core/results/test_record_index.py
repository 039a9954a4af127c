from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from dygenept.leaderboard.board_key import group_records, indexed_boards
from dygenept.leaderboard.boards import leaderboard_of
from dygenept.leaderboard.groups import grouped_rows
from dygenept.leaderboard.rows import (
    LeaderboardRow,
    leaderboard_rows,
)
from dygenept.results import record_index
from dygenept.results.record_index import FILE_NAME, RecordIndex
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore

MakeRecord = Callable[..., RunRecord]
VALUES = {"a": (0.5, 0.25, 0.75), "b": (0.5, None, 0.125), "perturbed_mean": (0.25, 0.3, 0.1)}


@pytest.fixture
def folder(tmp_path: Path, record: MakeRecord, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records of two data sets, three models and two folds."""
    monkeypatch.setenv("DYGENEPT_HOME", str(tmp_path / "home"))
    store = ResultsStore(tmp_path / "results")
    number = 0
    for dataset in ("toy", "other"):
        for model, values in VALUES.items():
            for fold in range(2):
                number += 1
                key = f"{number:032d}"
                made = record(
                    key=key, model=model, fold=fold, values=values, dataset=dataset,
                    subgroups={"x": ("g0+ctrl",), "y": ("g1+ctrl", "g2+ctrl")},
                )  # fmt: skip
                store.write(made)
    return store.directory


def documents(folder: Path, *, by: str | None = None, save: bool = True) -> list[object]:
    """Return every board by way of the index."""
    index = RecordIndex(folder)
    boards = [leaderboard_of(of, by=by).document() for of in indexed_boards(index).values()]
    if save:
        index.save()
    return boards


def expected(folder: Path, *, by: str | None = None) -> list[object]:
    """Return every board by reading every record."""
    groups = group_records(ResultsStore(folder).records())
    return [leaderboard_of(records, by=by).document() for records in groups.values()]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the records that are read from now on."""
    names: list[str] = []
    read = ResultsStore.usable

    def counted(self: ResultsStore, paths: list[Path]) -> Iterator[tuple[Path, RunRecord]]:
        for path in paths:
            names.append(path.stem)
            yield from read(self, [path])

    monkeypatch.setattr(ResultsStore, "usable", counted)
    return names


@pytest.mark.parametrize("by", [None, "subgroup"])
def test_boards_are_the_same_with_and_without_an_index(
    folder: Path, opened: list[str], by: str | None
) -> None:
    wanted = expected(folder, by=by)
    assert documents(folder, by=by) == wanted
    opened.clear()
    assert documents(folder, by=by) == wanted
    # One record of each board tells what it is about.
    assert len(opened) == 2


def test_added_edited_and_deleted_records_are_noticed(
    folder: Path, record: MakeRecord, opened: list[str]
) -> None:
    documents(folder)
    store = ResultsStore(folder)
    store.write(record(key="9" * 32, model="new", fold=0, dataset="toy", values=(0.9, 0.8, 0.7)))
    assert documents(folder) == expected(folder)
    edited = store.path_of(f"{1:032d}")
    status = edited.stat()
    edited.write_text(edited.read_text().replace('"value": 0.75', '"value": 0.85'))
    # Not even a time that is put back hides an edit of the same size.
    os.utime(edited, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert edited.stat().st_size == status.st_size
    changed = documents(folder)
    assert changed == expected(folder)
    assert "0.85" in edited.read_text()
    edited.unlink()
    assert documents(folder) == expected(folder) != changed
    opened.clear()
    documents(folder)
    assert len(opened) == 2


def test_what_is_derived_of_records_that_are_gone_is_forgotten(
    folder: Path, record: MakeRecord
) -> None:
    for by in (None, "subgroup"):
        documents(folder, by=by)
    before = len(RecordIndex(folder)._kept.derived)
    for number in range(3):
        made = record(key=f"9{number:031d}", model=f"more{number}", values=VALUES["a"])
        ResultsStore(folder).write(made)
        documents(folder)
    after = RecordIndex(folder)
    assert before == 4
    # The board of the other data set keeps both of its kinds of rows, the changed one has one.
    assert len(after._kept.derived) == 3


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other code", "a folder"])
def test_a_damaged_index_is_built_again(folder: Path, opened: list[str], damage: str) -> None:
    wanted = documents(folder)
    place = folder / FILE_NAME
    content = place.read_bytes()
    if damage == "cut":
        place.write_bytes(content[:-100])
    elif damage == "flipped":
        place.write_bytes(content.replace(b"0.5", b"0.9"))
    elif damage == "empty":
        place.write_bytes(b"")
    elif damage == "other code":
        record_index._code.cache_clear()
    else:
        place.unlink()
        place.mkdir()
    if damage == "other code":
        index = RecordIndex(folder)
        index._kept.code = "other"
        index._is_changed = True
        index.save()
    opened.clear()
    assert documents(folder) == wanted
    assert len(opened) >= 12


def test_where_the_folder_can_only_be_read_the_index_is_in_the_cache(
    folder: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = record_index.write_whole

    def refuse(path: Path, content: bytes) -> None:
        if folder in path.parents:
            raise OSError(30, "Read-only file system", str(path))
        write(path, content)

    monkeypatch.setattr(record_index, "write_whole", refuse)
    wanted = documents(folder)
    assert not (folder / FILE_NAME).exists()
    opened.clear()
    assert documents(folder) == wanted == expected(folder)
    assert len(opened) == 2 + 12
    monkeypatch.setattr(
        record_index, "write_whole", lambda path, content: refuse(folder / "x", b"")
    )
    ResultsStore(folder).path_of(f"{1:032d}").unlink()
    assert documents(folder) == expected(folder)


def test_a_damaged_record_is_left_out_of_the_index(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    documents(folder)
    path = ResultsStore(folder).path_of(f"{2:032d}")
    path.write_text("{")
    boards = documents(folder)
    assert f"{path.name}.damaged" in caplog.text
    assert boards == expected(folder)


@pytest.mark.parametrize("by", [None, "subgroup"])
def test_rows_of_an_index_are_derived_once_and_are_those_of_its_records(
    folder: Path, opened: list[str], by: str | None
) -> None:
    def rows(records: Sequence[RunRecord]) -> tuple[LeaderboardRow, ...]:
        return leaderboard_rows(records) if by is None else grouped_rows(records, by)

    index = RecordIndex(folder)
    boards = indexed_boards(index)
    plain = group_records(ResultsStore(folder).records())
    opened.clear()
    for _ in range(2):
        assert {key: rows(of) for key, of in boards.items()} == {
            key: rows(of) for key, of in plain.items()
        }
    # Each record is read for the first rows alone.
    assert len(opened) == len(set(opened)) == 12
    # Rows of some units are no rows of the board, and are not kept as such.
    records = next(iter(boards.values()))
    some = leaderboard_rows(records, keep=lambda unit: unit.fold == 0)
    assert {row.total.n_folds for row in some} == {1}
    assert {row.total.n_folds for row in leaderboard_rows(records)} == {2}
