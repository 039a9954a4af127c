"""A table in which nothing is folded, drawn as rich draws one, many times as fast."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.segment import Segment
    from rich.style import Style


@dataclass(frozen=True, slots=True)
class BoxTable:
    """Lines of cells under headings of one or more lines.

    Attributes:
        title: Text above, folded to the table's width.
        caption: Text below, likewise.
        headings: Lines of each column's heading.
        is_text: True sets a column to the left.
        rows: Text and style (a name of rich's, or empty) of each cell, row by row.
    """

    title: str
    caption: str
    headings: Sequence[Sequence[str]]
    is_text: Sequence[bool]
    rows: Sequence[Sequence[tuple[str, str]]]

    def widths(self) -> list[int]:
        """Return the width of each column."""
        from rich.cells import cell_len

        texts = [[text for text, _ in row] for row in self.rows]
        columns = zip(self.headings, zip(*texts, strict=True), strict=True)
        return [max(map(cell_len, (*heading, *column))) for heading, column in columns]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        from rich import box
        from rich.segment import Segment

        widths = self.widths()
        padded = [width + 2 for width in widths]
        edges = box.HEAVY_HEAD.substitute(options, safe=console.safe_box)
        whole = options.update(width=sum(padded) + len(padded) + 1, justify="left")
        n_lines = max(map(len, self.headings))
        heads = [["", *[""] * (n_lines - 1 - len(of)), *of][-n_lines:] for of in self.headings]
        bold = console.get_style("table.header")
        head_edges = (edges.head_left, edges.head_vertical, edges.head_right)
        body_edges = (edges.mid_left, edges.mid_vertical, edges.mid_right)

        if self.title:
            title = console.render_str(self.title, style="table.title", highlight=False)
            yield from console.render(title, whole)
        yield Segment(f"{edges.get_top(padded)}\n")
        for line in zip(*heads, strict=True):
            cells = [(text, bold) for text in line]
            yield from self._line(cells, widths, head_edges)
        yield Segment(f"{edges.get_row(padded, 'head')}\n")
        styles: dict[str, Style | None] = {"": None}
        for row in self.rows:
            for _, name in row:
                if name not in styles:
                    styles[name] = console.get_style(name)
            yield from self._line([(text, styles[name]) for text, name in row], widths, body_edges)
        yield Segment(f"{edges.get_bottom(padded)}\n")
        if self.caption:
            caption = console.render_str(self.caption, style="table.caption", highlight=False)
            yield from console.render(caption, whole)

    def _line(
        self,
        cells: Sequence[tuple[str, Style | None]],
        widths: Sequence[int],
        edges: tuple[str, str, str],
    ) -> Iterator[Segment]:
        from rich.cells import cell_len
        from rich.segment import Segment

        left, middle, right = edges
        plain = f"{left} "
        for (text, style), width, is_text in zip(cells, widths, self.is_text, strict=True):
            blank = " " * (width - cell_len(text))
            before, after = ("", blank) if is_text else (blank, "")
            if style is None:
                plain += f"{before}{text}{after} {middle} "
                continue
            yield Segment(plain + before)
            yield Segment(text, style)
            plain = f"{after} {middle} "
        yield Segment(f"{plain[: -len(middle) - 1]}{right}\n")
