"""Text for people: names that others chose, which nothing obeys, and numbers in few digits.

A terminal shows such names as they are, and a spreadsheet computes none of them. Numbers have a
true minus sign and never an exponent; what programs read (CSV, JSON) keeps them as they are.
"""

from __future__ import annotations

import json
import unicodedata
from math import floor, isfinite, log10

# Spaces of all kinds, private characters, and characters that are newer than this Python.
_HARMLESS = ("Zs", "Co", "Cn")
# Finds what ``csv_cell`` set before a text; the first group is the text's own beginning.
CSV_APOSTROPHE = r"^'([=+\-@\t\r])"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
MINUS = "−"
MOST_DECIMALS = 8


def _is_shown(sign: str) -> bool:
    return sign.isprintable() or unicodedata.category(sign) in _HARMLESS


def printable(text: str) -> str:
    r"""Write control characters, line ends and changes of direction as escapes like ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        sign if _is_shown(sign) else sign.encode("unicode_escape").decode() for sign in text
    )


def printable_lines(text: str) -> str:
    """Do the same line by line; the lines stay."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    """Escape what a JSON document has of such characters; its values stay what they are."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        sign if sign == "\n" or _is_shown(sign) else json.dumps(sign)[1:-1] for sign in text
    )


def csv_cell(value: object) -> object:
    """Return a cell for CSV: text that a spreadsheet would compute gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    return f"'{printable(value)}" if value.startswith(_FORMULA) else printable(value)


def from_csv_cell(text: str) -> str:
    """Return the text that ``csv_cell`` set an apostrophe before."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """Write a number with so many decimals.

    Returns:
        The number, with a plus where it is ``signed``; what rounds to zero has no minus.
    """
    rounded = round(value, decimals) + 0.0
    text = f"{rounded:{'+' if signed else ''}.{decimals}f}"
    return text.replace("-", MINUS)


def brief(value: float) -> str:
    """Write a number with three decimals, and more where it is small."""
    if not isfinite(value):
        return str(value).replace("-", MINUS)
    size = abs(value)
    if 0 < size < 0.001:
        return fixed(value, min(1 - floor(log10(size)), MOST_DECIMALS))
    return fixed(value, 4 if 0 < size < 0.1 else 3)
