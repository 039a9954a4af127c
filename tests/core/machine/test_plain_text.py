from __future__ import annotations

import json

import pytest

from dygenept.machine.plain_text import csv_cell, from_csv_cell, printable, printable_json


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("KLF1+MAPK1 · α ≈ 1", "KLF1+MAPK1 · α ≈ 1"),
        ("a\u00a0b", "a\u00a0b"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("two\r\nlines\t", "two\\r\\nlines\\t"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("a\u2028b\x7f\ud800", "a\\u2028b\\x7f\\ud800"),
    ],
)
def test_no_control_character_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_json_is_escaped_and_stays_what_it_is() -> None:
    document = {"name": "\x9b2J\u202e\x7f\U000e0041 α", "values": [1, "two\nlines"]}
    text = printable_json(json.dumps(document, indent=2, ensure_ascii=False))
    assert json.loads(text) == document
    assert text.replace("\n", "").isprintable()
    assert "α" in text


@pytest.mark.parametrize("text", ["=1+1", "+A", "-B", "@x", "'=1"])
def test_a_spreadsheet_computes_no_name_and_the_name_comes_back(text: str) -> None:
    cell = csv_cell(text)
    assert isinstance(cell, str)
    assert not cell.startswith(("=", "+", "-", "@"))
    assert from_csv_cell(cell) == (text if text != "'=1" else "=1")


def test_numbers_and_other_names_are_left_as_they_are() -> None:
    for value in (-0.5, 3, None, True, "KLF1", "'quoted'", "A-B"):
        assert csv_cell(value) is value
    assert from_csv_cell("'quoted'") == "'quoted'"
    assert csv_cell("\tx") == "'\\tx"
