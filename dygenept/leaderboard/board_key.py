"""Which records share a leaderboard: those of one data set, suite, split and DE list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from dygenept.results.record_index import IndexedRecords, RecordHeader, RecordIndex
from dygenept.results.records import RunRecord

Member = TypeVar("Member")


@dataclass(frozen=True, slots=True)
class BoardKey:
    """What must agree before two results may stand in one leaderboard."""

    dataset: str
    dataset_sha256: str
    is_simulated: bool
    suite: str
    split_sha256: str
    de_list: str

    @classmethod
    def of(cls, record: RecordHeader) -> BoardKey:
        """Return the leaderboard that a record belongs to."""
        parts = (record.dataset, record.dataset_sha256, record.simulated, record.suite)
        return cls(*parts, record.split_sha256, record.de_list)


def group_records(records: Iterable[RunRecord]) -> dict[BoardKey, tuple[RunRecord, ...]]:
    """Sort records into leaderboards; simulated and real data never share one.

    Of two records of the same model and fold, the later one counts.
    """
    return _grouped((RecordHeader.of(record, stamp=""), record) for record in records)


def indexed_boards(index: RecordIndex) -> dict[BoardKey, IndexedRecords]:
    """Sort the records of a folder into leaderboards as ``group_records`` does, unread."""
    named = ((header, name) for name, header in index.headers.items())
    boards = {
        key: index.records({name: index.headers[name] for name in names})
        for key, names in _grouped(named).items()
    }
    index.forget(boards.values())
    return boards


def _grouped(items: Iterable[tuple[RecordHeader, Member]]) -> dict[BoardKey, tuple[Member, ...]]:
    groups: dict[BoardKey, dict[tuple[str, int], Member]] = {}
    for header, member in sorted(items, key=lambda item: (item[0].created, item[0].key)):
        groups.setdefault(BoardKey.of(header), {})[(header.model, header.fold)] = member
    return {key: tuple(members.values()) for key, members in groups.items()}
