"""What a person sees: a terminal that shows names as they are and obeys none of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dygenept.machine.plain_text import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text


def safe_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console to which text is text: no markup, no emoji codes, no control characters."""
    from rich.console import Console
    from rich.text import Text

    class SafeConsole(Console):
        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            # Whatever is shown ends as such a text; one that must change loses its inner styles.
            if isinstance(renderable, Text):
                shown = printable_lines(renderable.plain)
                if shown != renderable.plain:
                    renderable = Text(shown, renderable.style, justify=renderable.justify)
            return super().render(renderable, options)

        # A cell is measured by what it becomes here.
        def render_str(self, text: str, **settings: object) -> Text:
            return super().render_str(printable_lines(text), **settings)  # type: ignore[arg-type]

    return SafeConsole(stderr=stderr, width=width, markup=False, emoji=False)


class PlainFormatter(logging.Formatter):
    """One line per message, whatever a name in it contains."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Format the line of a record."""
        return printable(super().formatMessage(record))


def log_handler() -> logging.Handler:
    """Return a handler that writes messages to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("%(levelname)s: %(message)s"))
    return handler
