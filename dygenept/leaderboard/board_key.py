"""Which records share a leaderboard: those of one data set, suite, split and DE list.

A run's board shows its own among those that the results folder has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
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


@dataclass(frozen=True, slots=True)
class FolderBoard:
    """Records of one leaderboard.

    Attributes:
        records: One per model and fold.
        new: Models of the run; empty where the folder has no others.
    """

    records: Sequence[RunRecord]
    new: frozenset[str]


def among_recorded(own: Sequence[RunRecord], results: Path) -> FolderBoard:
    """Put a run's records among those of the same leaderboard that its folder has.

    A run's own record counts before another one of the same model and fold, whichever is later.

    Args:
        own: Records of the run, of one leaderboard.
        results: The results folder.
    """
    if not own or not (results / "runs").is_dir():
        return FolderBoard(own, frozenset())
    key = BoardKey.of(RecordHeader.of(own[0], stamp=""))
    taken = {(record.model, record.fold) for record in own}
    names = {f"{record.key}.json" for record in own}
    index = RecordIndex(results)
    found: dict[tuple[str, int], tuple[str, RecordHeader]] = {}
    for name, header in sorted(index.headers.items(), key=lambda item: item[1].created):
        is_own = name in names
        if BoardKey.of(header) == key and (is_own or (header.model, header.fold) not in taken):
            found[header.model, header.fold] = (name, header)
    if not taken <= found.keys():
        # What was not written, as by one of several processes.
        return FolderBoard(own, frozenset())
    models = {model for model, _ in found}
    mine = frozenset(record.model for record in own)
    index.save()
    records = index.records(dict(found.values()))
    return FolderBoard(records, mine if mine < models else frozenset())
