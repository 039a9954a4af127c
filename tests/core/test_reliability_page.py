"""The page of faults names only tests and scripts that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| ")]
FAULTS = [row for row in ROWS if len(row) == 4 and row[3].strip() != "backed by"]


def test_there_are_rows() -> None:
    assert len(FAULTS) > 40


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row[0].strip()[:60])
def test_every_fault_is_backed_by_a_test_or_script_of_the_repository(row: list[str]) -> None:
    names = re.findall(r"`((?:tests|scripts|benchmarks)/[\w/.]+)`", row[3])
    assert names, row[0]
    for name in names:
        assert (ROOT / name).is_file(), name
