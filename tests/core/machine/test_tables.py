"""Arrays in unnamed files are what arrays in memory are, and few of their pages stay."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import DataError
from dygenept.machine import tables

VALUES = np.random.default_rng(0).normal(size=(50, 30))


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """The same values in a file, which passes go through a few rows at a time."""
    monkeypatch.setattr(tables, "PART_VALUES", 100)
    monkeypatch.setattr(tables, "COLUMN_VALUES", 200)
    table = tables.zeros(VALUES.shape, np.float64, folder=tmp_path)
    assert not table.any()
    table[:] = VALUES
    return table


def test_what_is_made_of_an_array_is_where_the_array_is(stored: np.ndarray) -> None:
    rows = np.array([7, 3, 3, 49])
    for table in (stored, VALUES):
        for made in (
            tables.rows_of(table, rows),
            tables.empty_like(table[3:].T, (2, 3), np.float32),
            tables.filled(table, table.shape, lambda part, table=table: table[part] + 1),
        ):
            assert tables.in_file(made) == (table is stored)


def test_values_are_those_of_memory(stored: np.ndarray) -> None:
    mask = VALUES[:, 0] > 0
    for rows in ([7, 3, 3], np.array([], dtype=np.int64), mask):
        np.testing.assert_array_equal(tables.rows_of(stored, rows), VALUES[np.asarray(rows)])
    doubled = tables.filled(stored, VALUES.shape, lambda part: stored[part] * 2)
    np.testing.assert_array_equal(doubled, VALUES * 2)
    by_column = tables.filled_by_columns(
        stored, (4, 30), lambda columns: stored[[5, 1, 1, 0], columns], n_read=50
    )
    np.testing.assert_array_equal(by_column, VALUES[[5, 1, 1, 0]])
    np.testing.assert_array_equal(tables.mean_row(stored), VALUES.mean(axis=0))
    np.testing.assert_array_equal(
        tables.squared_lengths(stored), np.einsum("ng,ng->n", VALUES, VALUES)
    )
    stored[4, 2] = np.inf
    assert np.flatnonzero(~tables.finite_rows(stored)).tolist() == [4]


def test_pages_that_are_given_back_keep_what_was_written(stored: np.ndarray) -> None:
    tables._LIVE.give_back()
    np.testing.assert_array_equal(stored, VALUES)


def test_a_file_has_no_name_and_is_gone_with_its_array(tmp_path: Path) -> None:
    table = tables.zeros((3, 4), np.float64, folder=tmp_path)
    view = table[1:]
    assert list(tmp_path.iterdir()) == []

    def mapped() -> int:
        return Path("/proc/self/maps").read_text().count(str(tmp_path))

    if sys.platform == "linux":
        del table
        assert mapped() == 1
        view[0] = 1.0
        del view
        gc.collect()
        assert mapped() == 0


def test_a_disk_without_room_is_said_before_a_value_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"the disk of .* is full: cells and tables"):
        tables.zeros((3, 4), np.float64, folder=tmp_path)


PASSES = """
import re, sys
from pathlib import Path
import numpy as np
from dygenept.machine import tables

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10

tables.RESIDENT = 1 << 23
before = peak()
table = tables.zeros((2000, 5000), np.float64, folder=Path(sys.argv[1]))
for part in tables.row_parts(*table.shape):
    table[part] = np.arange(part.start, part.stop)[:, None]
assert tables.mean_row(table)[0] == 999.5
assert tables.squared_lengths(table)[1999] == 1999.0**2 * 5000
print((peak() - before) / table.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_pass_over_a_file_keeps_few_of_its_pages(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PASSES, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # 80 MB, of which a part of 17 MB is made in memory.
    assert float(done.stdout) < 0.7
