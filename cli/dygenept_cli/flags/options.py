"""Options that several records of flags or commands share, declared once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from dygenept.runs.sweep import SweepRequest
    from dygenept.types import Progress

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout instead of tables.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress on stderr.")]
ResultsOption = Annotated[
    Path, typer.Option("--results", metavar="DIR", help="Results folder.", show_default=True)
]
AllMetricsOption = Annotated[
    bool,
    typer.Option(
        "--all-metrics", help="Show every metric [default: as many as fit the terminal's width]."
    ),
]
DATASET_HELP = (
    "Registered data set (see `dygenept data list`), sim:NAME, an .h5ad file, or a table of effects"
)
DatasetOption = Annotated[
    str, typer.Option("--dataset", metavar="NAME|FILE", help=f"{DATASET_HELP}.")
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Seed of the split and of everything after it.")
]
CheckpointOption = Annotated[
    Path, typer.Option("--checkpoint", metavar="DIR", help="Folder written by `dygenept train`.")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Reuse what is already on disk.")
]
KgOption = Annotated[
    str | None,
    typer.Option(
        "--kg",
        metavar="a,b",
        help="Knowledge graphs that unknown facets are imputed from, such as string,go; or none.",
    ),
]
NormalizeOption = Annotated[
    bool,
    typer.Option(
        "--normalize", help="Scale raw counts to the median total per cell and take log1p."
    ),
]
ScaleOption = Annotated[
    float | None,
    typer.Option("--scale", min=0.0, max=1.0, help="Shrink a simulated data set."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFlags:
    """What is shown, beside the result."""

    panel: ClassVar[str] = "What is shown"

    quiet: QuietOption = False
    as_json: JsonOption = False

    def progress(self) -> AbstractContextManager[Callable[[Progress], None]]:
        """Show progress on stderr while the context is open, and give the callback for it."""
        from dygenept.machine.progress import shown_progress

        return shown_progress(quiet=self.quiet)


PERTURBATION_HELP = "Genes perturbed together, such as KLF1+MAPK1; may be given several times"


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneFlags:
    """How genes that the user names are taken, and in which cell type."""

    panel: ClassVar[str] = "What is predicted"

    cell_type: str | None = flag("Cell type [default: all of them].")
    allow_unknown: bool = flag(
        "Take genes that nobody knows (data, gene tables, embedding) as average genes. Without it "
        "they are refused where they look like something else or where no other gene is asked "
        "for; beside known genes a note names them.",
        default=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionFlags(GeneFlags):
    """Perturbations that the user names."""

    panel: ClassVar[str] = "What is predicted"

    perturbation: list[str] = flag(f"{PERTURBATION_HELP}.", default=..., metavar="A+B")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFlags(GeneFlags):
    """Every single perturbation or pair of a list of genes."""

    panel: ClassVar[str] = "What is predicted"

    genes: Path | None = flag("List of genes, one per line.", metavar="FILE")
    combinations: str = flag(
        "What is made of the list of genes: singles or pairs.", default="singles"
    )

    def sweep_request(self) -> SweepRequest:
        """Return what is to be swept."""
        from dygenept.runs.sweep import SweepRequest

        return SweepRequest(
            genes=self.genes,
            combinations=self.combinations,
            cell_type=self.cell_type,
            allow_unknown=self.allow_unknown,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFlags(SweepFlags):
    """Perturbations that the user names, or every one of a list of genes."""

    panel: ClassVar[str] = "What is predicted"

    perturbation: list[str] | None = flag(f"{PERTURBATION_HELP}.", metavar="A+B")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsFlags:
    """A results folder, and what is shown of it."""

    panel: ClassVar[str] = "Which results"

    results: ResultsOption = Path("results")
    dataset: str | None = flag("Show only this data set.", metavar="D")
    metric: list[str] | None = flag(
        "Show only this metric; may be given several times.", metavar="M"
    )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics to show; empty shows all."""
        return tuple(self.metric or ())
