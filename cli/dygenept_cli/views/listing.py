"""Plain tables and lists of facts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dygenept_cli import console

if TYPE_CHECKING:
    from rich.table import Table


def listing(
    title: str | None,
    columns: Sequence[str],
    *,
    whole: Sequence[str] = (),
    right: Sequence[str] = (),
) -> Table:
    """Return an empty table whose long cells are folded, never cut.

    Args:
        title: What the table shows.
        columns: Headings.
        whole: Columns that are never folded, since the user types their cells again.
        right: Columns of numbers.
    """
    from rich.table import Table
    from rich.text import Text

    heading = None if title is None else Text(title, style="table.title")
    table = Table(title=heading, title_justify="left")
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold",
            no_wrap=column in whole,
        )
    return table


def show_table(table: Table) -> None:
    """Print a table."""
    console.stdout().print(table)


def show_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Print one line per fact that has a value: its name, right-aligned, and the value."""
    screen = console.stdout()
    for name, value in facts:
        if value not in (None, "", [], {}):
            shown = _listed(value) if isinstance(value, list) else value
            text = f"{name.replace('_', ' '):>16}  {shown}"
            screen.print(text, highlight=False)


def _listed(values: list[object]) -> str:
    """Put sentences below each other, and words on one line."""
    texts = list(map(str, values))
    return (f"\n{'':18}" if any(text.endswith(".") for text in texts) else "; ").join(texts)
