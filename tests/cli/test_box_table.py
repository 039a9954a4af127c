"""A table that is drawn without rich is the one that rich draws."""

from __future__ import annotations

import io
import re
from typing import Literal

import pytest
from rich.console import Console, RenderableType

from dygenept.leaderboard.columns import Cell
from dygenept.leaderboard.wide import Heading, WideTable
from dygenept_cli.views.board_tables import box_table, folded_table

TABLE = WideTable(
    (Heading("rank"), Heading("model", is_text=True), Heading("mse_top20", True, "↓")),
    (
        ("baseline", (Cell("1"), Cell("ridge"), Cell("0.100", "*", tones=("best",)))),
        ("ceiling", (Cell("2"), Cell("双子座"), Cell("0.2", tones=("uncalibrated",)))),
        ("submitted", (Cell("3"), Cell("mine"), Cell("–"))),
    ),
)


def drawn(table: RenderableType, encoding: str, colours: Literal["standard"] | None) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="replace")
    is_terminal = colours is not None
    console = Console(file=file, width=80, force_terminal=is_terminal, color_system=colours)
    console.print(table)
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_it_is_drawn_as_rich_draws_it(encoding: str) -> None:
    words = ("toy · 9 cells × 3 genes · 2 perturbations, seed 42", "a caption of some words " * 5)
    ours, theirs = (drawn(of(TABLE, *words), encoding, None) for of in (box_table, folded_table))
    assert ours == theirs


def test_values_keep_their_style_on_a_terminal() -> None:
    ours, theirs = (
        drawn(of(TABLE, "toy", ""), "utf-8", "standard") for of in (box_table, folded_table)
    )
    assert re.sub(r"\x1b\[[\d;]*m", "", ours) == re.sub(r"\x1b\[[\d;]*m", "", theirs)
    assert "\x1b[1m  0.100 *\x1b[0m" in ours
    assert "\x1b[2m    0.2\x1b[0m" in ours


@pytest.mark.parametrize("width", [30, 40, 60, 80])
def test_a_name_survives_in_a_narrow_terminal(width: int) -> None:
    headings = (
        *(Heading("rank"), Heading("model", is_text=True)),
        Heading("perturbation_discrimination", True, "↑"),
        *(Heading("95 %\ninterval", is_text=True), Heading("gap\nclosed")),
    )
    cells = ("1", "linear_loo_of_a_lab", "0.746", "[0.63, 0.84]", "0.51")
    table = WideTable(headings, (("ceiling", tuple(map(Cell, cells))),))
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as capture:
        console.print(folded_table(table, "", "", width=width))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    # The first letters of the name stay together, and the value is whole.
    assert any("linear_loo_o" in line and "0.746" in line for line in lines)
    assert ("0.63, 0.84" in capture.get()) == (width >= 60)
    assert ("gap" in capture.get()) == (width == 80)
