"""Boards of a folder of many records: every record read, the index built, and the index there.

At full size (``DYGENEPT_SPEED_SCALE=1``) the folder has 20,000 records on 400 leaderboards.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dygenept.leaderboard.board_key import group_records
from dygenept.results.record_index import FILE_NAME
from dygenept.results.store import ResultsStore
from dygenept_cli.views.boards import chosen_boards, laid_out, written

SCALE = float(os.environ.get("DYGENEPT_SPEED_SCALE", "0.005"))
Shown = Callable[[Path], str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("records")
    made = runpy.run_path(str(Path(__file__).with_name("many_records.py")))
    made["write_records"](path, int(20_000 * SCALE))
    return path


def every_record(folder: Path) -> str:
    boards = list(group_records(ResultsStore(folder).records()).values())
    return written(laid_out(boards), "csv", metrics=(), all_metrics=False)


def with_index(folder: Path) -> str:
    with chosen_boards(folder, dataset=None, metrics=()) as boards:
        return written(laid_out(boards), "csv", metrics=(), all_metrics=False)


def without_its_file(folder: Path) -> str:
    (folder / FILE_NAME).unlink(missing_ok=True)
    return with_index(folder)


@pytest.mark.parametrize("show", [every_record, without_its_file, with_index])
def test_boards_of_many_records(benchmark: BenchmarkFixture, folder: Path, show: Shown) -> None:
    shown = benchmark.pedantic(show, args=(folder,), rounds=1)
    assert shown == every_record(folder)
