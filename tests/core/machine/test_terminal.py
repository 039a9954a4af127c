from __future__ import annotations

import logging

import pytest
from rich.table import Table
from rich.text import Text

from dygenept.machine.terminal import log_handler, safe_console

HOSTILE = "\x1b[2J[bold]x[/foo]:smile:\x9b\u202e"
SHOWN = "\\x1b[2J[bold]x[/foo]:smile:\\x9b\\u202e"


def test_names_are_text_wherever_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    table.add_row(Text(f"{HOSTILE} of a text"))
    console = safe_console(width=80)
    console.print(table)
    console.print(HOSTILE, "and [2]")
    shown = capsys.readouterr().out
    assert shown.count(SHOWN) == 5
    assert shown.replace("\n", "").isprintable()
    assert "and [2]" in shown


def test_a_message_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    forged = ("\x1b\nERROR: forged",)
    log_handler().emit(logging.LogRecord("x", logging.WARNING, "", 0, "of %s", forged, None))
    assert capsys.readouterr().err == "WARNING: of \\x1b\\nERROR: forged\n"
