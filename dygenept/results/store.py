"""The results folder: one append-only JSON record per job, predictions beside it.

A record's file name is a hash of what determines it, so that a run knows what is computed already.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np
from pydantic import ValidationError

from dygenept.errors import ResultsError
from dygenept.machine.reading import read_parquet, reading
from dygenept.machine.tables import in_file
from dygenept.machine.whole_files import (
    remove_leftovers,
    replaced_whole,
    sweep_leftovers,
    write_whole,
)
from dygenept.results.records import RunRecord
from dygenept.results.wide_tables import write_in_groups
from dygenept.types import Condition, DoubleArray, FloatArray, Predictions

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)

# The largest records, of thousands of perturbations and every metric, have some megabytes.
MAX_BYTES = 1 << 28
MOST_NAMED = 10


def key_of(parts: Mapping[str, object]) -> str:
    """Hash what determines a record: 32 hexadecimal digits of the SHA-256 of its JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name in the same folder, then rename; leftovers of it are removed.

    Raises:
        ResultsError: If the folder cannot be written.
    """
    try:
        remove_leftovers(path)
        write_whole(path, content, flush=True)
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error


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
        self._swept: set[Path] = set()
        self._begun_anew: set[str] = set()

    def begins_anew(self, key: str) -> None:
        """Remember that nobody began the job with this key before: nothing of it is half written.

        Its files are then written without a look at all others of the folder.
        """
        self._begun_anew.add(key)

    def clear_leftovers(self, path: Path) -> None:
        """Remove what killed processes left half written, before a file is written.

        Of all files of the folder before the first of them; then of this file, unless its job was
        never begun before.
        """
        if path.parent not in self._swept:
            sweep_leftovers(path.parent)
            self._swept.add(path.parent)
        elif path.name.partition(".")[0] not in self._begun_anew:
            remove_leftovers(path)

    def path_of(self, key: str) -> Path:
        """Where the record with this key is, or belongs."""
        return self.directory / "runs" / f"{key}.json"

    def read(self, key: str) -> RunRecord | None:
        """Return a record, or None if it is not written yet; a damaged one is set aside."""
        path = self.path_of(key)
        return self._usable(path, is_named=True) if os.path.lexists(path) else None

    def write(self, record: RunRecord) -> Path:
        """Write a record; an existing one with the same key is replaced."""
        path = self.path_of(record.key)
        if not self.is_writer:
            return path
        content = (record.model_dump_json(indent=1) + "\n").encode()
        try:
            self.clear_leftovers(path)
            write_whole(path, content, flush=True)
        except OSError as error:
            raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error
        # JSON has no tuples: a record that would not come back as it is will be read.
        if record.model_dump(mode="json", include={"config"})["config"] == record.config:
            _AT_HAND[_digest(content)] = record
        return path

    def paths(self) -> list[Path]:
        """Return the files of all records, by name.

        Raises:
            ResultsError: If the folder does not exist.
        """
        if not self.directory.is_dir():
            raise ResultsError(
                f"no results folder {self.directory}; run `dygenept bench --results "
                f"{self.directory}` first or name another with --results"
            )
        return sorted((self.directory / "runs").glob("*.json"), key=lambda path: path.name)

    def records(self) -> Iterator[RunRecord]:
        """Yield every record of the folder, by file name; damaged ones are named and set aside.

        Raises:
            ResultsError: If the folder does not exist.
        """
        return (record for _, record in self.usable(self.paths()))

    def usable(self, paths: Iterable[Path]) -> Iterator[tuple[Path, RunRecord]]:
        """Yield files with their records; those that cannot be read are named and set aside."""
        n_left_out = 0
        for path in paths:
            record = self._usable(path, is_named=n_left_out < MOST_NAMED)
            if record is None:
                n_left_out += 1
            else:
                yield path, record
        if n_left_out > MOST_NAMED:
            logger.warning("%d more records cannot be read", n_left_out - MOST_NAMED)

    def _usable(self, path: Path, *, is_named: bool) -> RunRecord | None:
        try:
            return read_record(path)
        except DamagedRecordError as error:
            aside = _set_aside(path) if self.is_writer else None
            kept = "it is left out" if aside is None else f"it is set aside as {aside.name}"
            text = f"{error}; {kept}, and the next bench computes it again"
        except ResultsError as error:
            text = f"{error}; it is left out"
        if is_named:
            logger.warning("%s", text)
        return None

    def write_predictions(self, key: str, predictions: Predictions, gene_ids: Sequence[str]) -> str:
        """Keep predictions as Parquet, one row per condition, one column per gene (log1p).

        Scored again they give the same bits: values are kept in float64, or in float32 where that
        loses nothing. A spread that metrics have asked for is kept beside them.

        Returns:
            The file's path relative to the results folder.
        """
        relative = f"predictions/{key}.parquet"
        if not self.is_writer:
            return relative
        tables = {relative: predictions.expression}
        if predictions.spread is not None:
            tables[_spread_path(relative)] = predictions.spread
        for path, values in tables.items():
            numbers = values.astype(np.float64, copy=False)
            self.write_table(path, predictions.conditions, numbers, gene_ids)
        return relative

    def write_table(
        self,
        relative: str,
        conditions: Sequence[Condition],
        values: DoubleArray | FloatArray,
        gene_ids: Sequence[str],
    ) -> None:
        """Write a number for each condition and gene as Parquet, in float32 where that suffices.

        A table in a file is written some rows at a time.

        Raises:
            ResultsError: If the names are no columns of a table, or it cannot be written.
        """
        import polars as pl

        is_filed = in_file(values)
        # Of a table in a file a row tells whether its names are columns.
        kept = values[:1] if is_filed else _narrowed(values)
        named = conditions[: len(kept)]
        path = self.directory / relative
        try:
            labels = pl.DataFrame(
                {
                    "perturbation": [condition.label for condition in named],
                    "cell_type": [condition.cell_type for condition in named],
                },
                schema={"perturbation": pl.String, "cell_type": pl.String},
            )
            table = labels.hstack(_columns(kept, gene_ids))
            self.clear_leftovers(path)
            with replaced_whole(path, flush=True) as temporary:
                if is_filed:
                    write_in_groups(temporary, conditions, values, gene_ids)
                    return
                # Predictions hardly compress, and nobody looks for columns by their range.
                table.write_parquet(temporary, compression="snappy", statistics=False)
        except pl.exceptions.PolarsError as error:
            raise ResultsError(f"cannot keep predictions as a table: {error}") from error
        except OSError as error:
            raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error

    def predictions_path(self, record: RunRecord) -> Path | None:
        """Where a record's predictions are; None where they are not kept in this folder."""
        if record.predictions is None:
            return None
        path = self.directory / record.predictions
        # A record of somebody else's may name any file.
        is_inside = path.resolve().is_relative_to(self.directory.resolve())
        return path if is_inside and path.is_file() else None

    def read_predictions(
        self, record: RunRecord, conditions: Sequence[Condition], gene_ids: Sequence[str]
    ) -> Predictions | None:
        """Return kept predictions, (conditions, genes); None where they are not kept, or damaged.

        Damaged ones are named in the log.
        """
        path = self.predictions_path(record)
        if path is None:
            return None
        values = self._kept_values(path, conditions, gene_ids)
        if values is None:
            return None
        spread, beside = None, path.parent / Path(_spread_path(path.name))
        if beside.is_file():
            spread = self._kept_values(beside, conditions, gene_ids)
        return Predictions(tuple(conditions), values, spread=spread)

    def _kept_values(
        self, path: Path, conditions: Sequence[Condition], gene_ids: Sequence[str]
    ) -> DoubleArray | None:
        try:
            table = read_kept_table(path)
        except ResultsError as error:
            logger.warning("%s; they are computed again", error)
            return None
        rows = {
            (label, cell_type): row
            for row, (label, cell_type) in enumerate(
                zip(table["perturbation"], table["cell_type"], strict=True)
            )
        }
        wanted = [rows.get((condition.label, condition.cell_type)) for condition in conditions]
        if None in wanted or not set(gene_ids) <= set(table.columns):
            logger.warning("%s lacks conditions or genes; predictions are computed again", path)
            return None
        values: DoubleArray = table.select(gene_ids).to_numpy().astype(np.float64)
        return values[[row for row in wanted if row is not None]]


def _narrowed(values: DoubleArray | FloatArray) -> DoubleArray | FloatArray:
    """Return values in float32 where that loses nothing."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32, copy=False)
    return narrow if narrow is values or np.array_equal(narrow, values) else values


def _columns(values: DoubleArray | FloatArray, names: Sequence[str]) -> pl.DataFrame:
    """Return a table with one column per name, (n, G).

    Of thousands of columns, each made by itself from numpy, it would take three times as long.
    """
    import polars as pl

    if not values.size:
        return pl.from_numpy(values, schema=list(names))
    rows = pl.Series("rows", np.ascontiguousarray(values))
    return rows.arr.to_struct(fields=list(names)).struct.unnest()


def _spread_path(predictions: str) -> str:
    return predictions.removesuffix(".parquet") + ".spread.parquet"


def read_kept_table(path: Path, genes: Sequence[str] | None = None) -> pl.DataFrame:
    """Read kept predictions: perturbation, cell_type, then one column of numbers per gene.

    Args:
        path: The file.
        genes: Genes that are read, in this order; None for all.

    Raises:
        ResultsError: If they are damaged, or lack a gene.
    """
    import polars as pl

    with reading(path, "kept predictions", error=ResultsError, mend="they are damaged"):
        table = read_parquet(path, None if genes is None else ["perturbation", "cell_type", *genes])
        numbers = table.drop("perturbation", "cell_type")
        is_whole = (
            all(table[name].dtype == pl.String for name in ("perturbation", "cell_type"))
            and all(dtype.is_numeric() for dtype in numbers.dtypes)
            and bool(np.isfinite(numbers.to_numpy()).all())
        )
    if not is_whole:
        raise ResultsError(f"predictions {path} are damaged (not a finite number for every gene)")
    return table


# How pydantic calls a field that a model, or a dataclass, does not have.
_UNKNOWN_FIELD = ("extra_forbidden", "unexpected_keyword_argument")
# Records that this process has written or read and still uses, by what their files contain: a run
# reads its own again for the board, and a record of every metric takes 30 ms to parse.
_AT_HAND: WeakValueDictionary[bytes, RunRecord] = WeakValueDictionary()


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


class DamagedRecordError(ResultsError):
    """A file among the records that nobody can read as one."""


def read_record(path: Path) -> RunRecord:
    """Read one record.

    Raises:
        DamagedRecordError: If it is not a record.
        ResultsError: If it cannot be read, or another version wrote it.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DamagedRecordError(f"{path} is not a result record (it is not a regular file)")
        if status.st_size > MAX_BYTES:
            raise DamagedRecordError(
                f"{path} is not a result record ({status.st_size:,} bytes, more than any has)"
            )
        content = path.read_bytes()
        at_hand = _AT_HAND.get(_digest(content))
        if at_hand is not None:
            return at_hand
        record = RunRecord.model_validate_json(content)
        _AT_HAND[_digest(content)] = record
        return record
    except FileNotFoundError as error:
        raise DamagedRecordError(f"{path} is not a result record (a link to nothing)") from error
    except OSError as error:
        raise ResultsError(f"{path} cannot be read ({error.strerror})") from error
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False)
        where = ".".join(str(part) for part in errors[0]["loc"]) or "file"
        is_newer = all(item["type"] in _UNKNOWN_FIELD for item in errors)
        if is_newer or any(
            item["loc"] == ("schema_version",) and item["type"] == "literal_error"
            for item in errors
        ):
            raise ResultsError(
                f"another version of dygenept wrote {path} ({where}: {errors[0]['msg'].lower()}); "
                "install the newest"
            ) from error
        raise DamagedRecordError(
            f"{path} is not a result record ({where}: {errors[0]['msg'].lower()})"
        ) from error


def _set_aside(path: Path) -> Path | None:
    """Rename a file out of the way of records, and return its new path; None if that is refused."""
    for number in range(1, 1000):
        aside = path.with_name(f"{path.name}.damaged{'' if number == 1 else f'-{number}'}")
        if not os.path.lexists(aside):
            try:
                path.rename(aside)
            except OSError:
                return None
            return aside
    return None
