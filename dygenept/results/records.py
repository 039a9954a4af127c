"""The results folder: one append-only JSON record a job, predictions beside it.

A record's file name is a hash of what determines it, so a run can tell what is already there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from dygenept.errors import ResultsError
from dygenept.machine.whole_files import replaced_whole, write_whole
from dygenept.types import ChildResources, Condition, Predictions

SCHEMA_VERSION = 1


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetRecord(_Record):
    """Which cells were used."""

    name: str
    sha256: str
    n_cells: int
    n_genes: int
    n_perturbations: int
    simulated: bool
    notes: tuple[str, ...] = ()


class SplitRecord(_Record):
    """Which folds were used; ``sha256`` names the manifest in ``splits/``."""

    name: str
    version: int
    seed: int
    n_folds: int
    sha256: str


class PluginRecord(_Record):
    """Provenance of one plugin that took part."""

    kind: str
    name: str
    distribution: str
    version: str


class ValueRecord(_Record):
    """One metric of one held-out condition; ``value`` is null with a reason where undefined."""

    perturbation: str
    cell_type: str
    value: float | None
    reason: str | None = None


class MetricRecord(_Record):
    """One metric over the held-out conditions of a fold."""

    name: str
    higher_is_better: bool
    neutral: float | None
    de_list: str | None
    values: tuple[ValueRecord, ...]


class TimingRecord(_Record):
    """Wall-clock seconds of each station."""

    fit_s: float
    predict_s: float
    score_s: float


class RunRecord(_Record):
    """All that is known of one (model, suite, data, split, fold, seed, config).

    ``effects`` holds the effect size of each held-out perturbation by cell type; records of
    earlier versions lack it.
    ``chosen`` holds what the model settled on itself, such as a penalty; ``child`` is there where
    it ran in an environment of its own.
    """

    schema_version: Literal[1] = 1
    key: str
    model: str
    base_model: str
    role: Literal["model", "baseline", "ceiling", "floor"]
    suite: str
    dataset: DatasetRecord
    split: SplitRecord
    fold: int
    seed: int
    config: Mapping[str, object]
    de_list: str
    de_origin: str
    subgroups: Mapping[str, tuple[str, ...]]
    effects: Mapping[str, Mapping[str, float]] = {}
    metrics: tuple[MetricRecord, ...]
    timings: TimingRecord
    peak_memory_bytes: int
    device: str
    versions: Mapping[str, str]
    plugins: tuple[PluginRecord, ...]
    notes: tuple[str, ...] = ()
    chosen: Mapping[str, float | int | str] = {}
    child: ChildResources | None = None
    predictions: str | None
    created: str


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
    """Refuse a folder that cannot be made or written, before any work; nothing is made.

    Raises:
        ResultsError: As said.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ResultsError(f"cannot write into {folder}: {there} is a file; name another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ResultsError(
            f"cannot write into {folder}: {there} may not be written; name another folder"
        )


class ResultsStore:
    """A folder of results: ``splits/``, ``runs/`` and ``predictions/``."""

    def __init__(self, directory: Path, *, is_writer: bool = True) -> None:
        """Name the folder.

        Args:
            directory: The folder.
            is_writer: False writes nothing: of several processes that make the same results, one
                keeps them.
        """
        self.directory = directory
        self.is_writer = is_writer

    def path_of(self, key: str) -> Path:
        """Where the record with this key is, or belongs."""
        return self.directory / "runs" / f"{key}.json"

    def read(self, key: str) -> RunRecord | None:
        """Return a record, or None where there is none yet."""
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
        """Keep predictions as Parquet, one row a condition, one column a gene (log1p scale).

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
        ResultsError: If it is no record; the message says which file to delete.
    """
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ResultsError(
            f"{path} is no result record ({where}: {first['msg'].lower()}); "
            "delete it and run the bench again"
        ) from error
