from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest

from dygenept.leaderboard.boards import leaderboard_of
from dygenept.leaderboard.formats import TextFormat, render
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]
HOSTILE = "=a|b`c\\d<img src=x onerror=1>&\x1b[2J](x%#$_{}~^"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("csv", "'=a|b`c\\d<img src=x onerror=1>&\\x1b[2J](x%#$_{}~^"),
        ("markdown", r"=a\|b\`c\\d\<img src=x onerror=1\>\&\\x1b[2J]\(x%\#$\_{}\~^"),
        (
            "latex",
            r"=a\textbar{}b`c\textbackslash{}d\textless{}img src=x onerror=1\textgreater{}\&"
            r"\textbackslash{}x1b[2J](x\%\#\$\_\{\}\textasciitilde{}\textasciicircum{}",
        ),
        ("json", json.dumps(HOSTILE)),
    ],
)
def test_names_are_escaped_as_each_format_needs_it(
    record: MakeRecord, chosen: TextFormat, expected: str
) -> None:
    text = render([leaderboard_of([record(model=HOSTILE, dataset=HOSTILE)])], chosen)
    assert text.count(expected) >= 2
    assert text.replace("\n", "").isprintable()


def test_numbers_in_csv_stay_numbers(record: MakeRecord) -> None:
    board = leaderboard_of([record(values=(-0.5, -0.5))])
    (row,) = csv.DictReader(io.StringIO(render([board], "csv")))
    assert float(row["pooled"]) == -0.5
