"""Options that choose leaderboards from a results folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from dygenept_cli.flags import options


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsFlags:
    """A results folder, and what is shown of it."""

    panel: ClassVar[str] = "Which results"

    results: options.ResultsOption = Path("results")
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="D", help="Show only this data set.")
    ] = None
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", metavar="M", help="Show only this metric; may be given several times."
        ),
    ] = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics to show; empty shows all."""
        return tuple(self.metric or ())
