"""Small HTML tables that objects show of themselves in a notebook; everything is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def html_table(title: str, rows: Iterable[Sequence[object]], *, head: Sequence[str] = ()) -> str:
    """Return a table with a caption.

    Args:
        title: Its caption.
        rows: Cells as text; the first of a row is its heading.
        head: Headings of the columns; empty for none.
    """
    parts = [f"<table><caption>{escape(title)}</caption>"]
    if head:
        parts.append(f"<thead><tr>{''.join(_cell('col', name) for name in head)}</tr></thead>")
    body = (f"<tr>{_cell('row', first)}{_plain(cells)}</tr>" for first, *cells in rows)
    return f"{''.join(parts)}<tbody>{''.join(body)}</tbody></table>"


def _cell(scope: str, text: object) -> str:
    return f'<th scope="{scope}">{escape(str(text))}</th>'


def _plain(cells: Sequence[object]) -> str:
    return "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
