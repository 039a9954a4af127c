"""The records that a run's board shows: its own among those that the results folder has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dygenept.leaderboard.board_key import BoardKey
from dygenept.results.record_index import RecordHeader, RecordIndex
from dygenept.results.records import RunRecord


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
