from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dygenept.leaderboard.board_key import among_recorded
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore

MakeRecord = Callable[..., RunRecord]


def kept(folder: Path, *records: RunRecord) -> None:
    for record in records:
        ResultsStore(folder).write(record)


def test_a_run_is_shown_among_what_the_folder_has(record: MakeRecord, tmp_path: Path) -> None:
    own = record(key="a", model="mine")
    kept(tmp_path, own, record(key="b", model="ridge"), record(key="c", dataset="other"))
    found = among_recorded([own], tmp_path)
    assert {item.model for item in found.records} == {"mine", "ridge"}
    assert found.new == {"mine"}


def test_where_all_are_new_none_is_marked(record: MakeRecord, tmp_path: Path) -> None:
    own = [record(key="a", model="mine"), record(key="b", model="ridge")]
    kept(tmp_path, *own)
    assert among_recorded(own, tmp_path).new == frozenset()
    assert among_recorded(own, tmp_path / "nowhere").records == own


def test_a_runs_own_record_counts_before_a_later_one(record: MakeRecord, tmp_path: Path) -> None:
    own = record(key="a", model="mine", values=(0.1,))
    later = record(key="b", model="mine", values=(0.9,), created="2027-01-01T00:00:00+00:00")
    other_fold = record(key="c", model="mine", fold=1)
    kept(tmp_path, own, later, other_fold)
    found = among_recorded([own], tmp_path)
    assert {item.key for item in found.records} == {"a", "c"}


def test_what_was_not_written_is_shown_by_itself(record: MakeRecord, tmp_path: Path) -> None:
    kept(tmp_path, record(key="b", model="ridge"))
    own = record(key="a", model="mine")
    assert list(among_recorded([own], tmp_path).records) == [own]
