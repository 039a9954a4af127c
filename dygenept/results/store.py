"""The results folder: one append-only JSON record per job, predictions beside it.

A record's file name is a hash of what determines it, so that a run knows what is computed already.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from dygenept.errors import ResultsError
from dygenept.machine.whole_files import replaced_whole, write_whole
from dygenept.results.records import RunRecord
from dygenept.types import Condition, Predictions


def key_of(parts: Mapping[str, object]) -> str:
    """Hash what determines a record: 32 hexadecimal digits of the SHA-256 of its JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name in the same folder, then rename.

    Raises:
        ResultsError: If the folder cannot be written.
    """
    try:
        write_whole(path, content, flush=True)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error


def check_can_write(folder: Path) -> None:
    """Refuse a folder that cannot be made or written, before any work; it is not made here.

    Raises:
        ResultsError: If it is a file or cannot be written.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ResultsError(f"cannot write into {folder}: {existing} is a file; name another folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ResultsError(
            f"cannot write into {folder}: {existing} is not writable; name another folder"
        )


class ResultsStore:
    """A folder of results: ``splits/``, ``runs/`` and ``predictions/``."""

    def __init__(self, directory: Path, *, is_writer: bool = True) -> None:
        """Name the folder.

        Args:
            directory: The folder.
            is_writer: False writes nothing: of several processes that compute the same results,
                one writes them.
        """
        self.directory = directory
        self.is_writer = is_writer

    def path_of(self, key: str) -> Path:
        """Where the record with this key is, or belongs."""
        return self.directory / "runs" / f"{key}.json"

    def read(self, key: str) -> RunRecord | None:
        """Return a record, or None if it is not written yet."""
        path = self.path_of(key)
        return read_record(path) if path.is_file() else None

    def write(self, record: RunRecord) -> Path:
        """Write a record; an existing one with the same key is replaced."""
        path = self.path_of(record.key)
        if not self.is_writer:
            return path
        write_atomically(path, (record.model_dump_json(indent=1) + "\n").encode())
        return path

    def records(self) -> Iterator[RunRecord]:
        """Yield every record of the folder, by file name.

        Raises:
            ResultsError: If the folder does not exist or a record cannot be read.
        """
        if not self.directory.is_dir():
            raise ResultsError(
                f"no results folder {self.directory}; run `dygenept bench --results "
                f"{self.directory}` first or name another with --results"
            )
        for path in sorted((self.directory / "runs").glob("*.json")):
            yield read_record(path)

    def write_predictions(self, key: str, predictions: Predictions, gene_ids: Sequence[str]) -> str:
        """Keep predictions as Parquet, one row per condition, one column per gene (log1p).

        Returns:
            The file's path relative to the results folder.
        """
        import polars as pl

        relative = f"predictions/{key}.parquet"
        if not self.is_writer:
            return relative
        path = self.directory / relative
        values = predictions.expression.astype(np.float32)
        labels = pl.DataFrame(
            {
                "perturbation": [condition.label for condition in predictions.conditions],
                "cell_type": [condition.cell_type for condition in predictions.conditions],
            },
            schema={"perturbation": pl.String, "cell_type": pl.String},
        )
        table = labels.hstack(pl.from_numpy(values, schema=list(gene_ids)))
        with replaced_whole(path) as temporary:
            table.write_parquet(temporary)
        return relative

    def read_predictions(
        self, record: RunRecord, conditions: Sequence[Condition]
    ) -> Predictions | None:
        """Return kept predictions in the order of ``conditions``; None where they are not kept."""
        import polars as pl

        if record.predictions is None:
            return None
        path = self.directory / record.predictions
        if not path.is_file():
            return None
        table = pl.read_parquet(path)
        rows = {
            (label, cell_type): row
            for row, (label, cell_type) in enumerate(
                zip(table["perturbation"], table["cell_type"], strict=True)
            )
        }
        wanted = [rows.get((condition.label, condition.cell_type)) for condition in conditions]
        if None in wanted:
            return None
        values = table.drop("perturbation", "cell_type").to_numpy().astype(np.float64)
        return Predictions(tuple(conditions), values[[row for row in wanted if row is not None]])


def read_record(path: Path) -> RunRecord:
    """Read one record.

    Raises:
        ResultsError: If it is not a record; the message says which file to delete.
    """
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ResultsError(
            f"{path} is not a result record ({where}: {first['msg'].lower()}); "
            "delete it and run the bench again"
        ) from error
