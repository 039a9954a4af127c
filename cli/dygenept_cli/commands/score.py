"""``dygenept score``: predictions of any model, scored as the harness scores its own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.benchmark import BenchmarkFlags
from dygenept_cli.flags.environment import DataFlags

if TYPE_CHECKING:
    from dygenept.runs.score import SubmissionRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionFlags:
    """A file of predictions and how it is read."""

    predictions: Annotated[
        Path,
        typer.Option(
            "--predictions",
            metavar="FILE",
            help="Predictions: .h5ad, .parquet, .csv, .tsv or .npz (see docs/score.md).",
        ),
    ]
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name on leaderboards [default: the file's stem]."),
    ] = None
    delta: Annotated[
        bool,
        typer.Option(
            "--delta", help="Read changes from the mean control, not mean log1p expression."
        ),
    ] = False
    fill: Annotated[
        bool,
        typer.Option(
            "--fill",
            help="Fill a missing perturbation with the mean of the train perturbations and a "
            "missing gene with the control mean; every record says so.",
        ),
    ] = False
    all_cell_types: Annotated[
        bool,
        typer.Option(
            "--all-cell-types",
            help="Use predictions without a cell type in every cell type of the data set.",
        ),
    ] = False
    submitter: Annotated[
        str,
        typer.Option(
            "--submitter",
            help="Who hands them in. Claims are corrected over all that one submitter hands in "
            "[default: one submitter for all that name none].",
            show_default=False,
        ),
    ] = ""

    def submission(self) -> SubmissionRequest:
        """Return the file as the core takes it."""
        from dygenept.runs.score import SubmissionRequest

        return SubmissionRequest(
            path=self.predictions,
            name=self.name or self.predictions.stem,
            is_delta=self.delta,
            fill=self.fill,
            in_all_types=self.all_cell_types,
            submitter=self.submitter,
        )


def score(
    *,
    file: SubmissionFlags,
    benchmark: BenchmarkFlags,
    results: options.ResultsOption = Path("results"),
    where: DataFlags,
    output: options.OutputFlags,
) -> None:
    """Score a file of predictions that any model made, and record the result."""
    from dataclasses import asdict, replace

    from dygenept.errors import ConfigError
    from dygenept.leaderboard.boards import leaderboard_of
    from dygenept.runs.document import bench_document
    from dygenept.runs.folder_board import among_recorded
    from dygenept.runs.score import score_submission
    from dygenept_cli.views.boards import render_board
    from dygenept_cli.views.published import published_beside

    environment = replace(where.environment(), device="cpu")
    declared = benchmark.declared(environment)
    if len(declared.datasets) > 1:
        raise ConfigError(
            f"suite {declared.name!r} has {len(declared.datasets)} data sets; say which the "
            f"predictions are for: --dataset {declared.datasets[0]}"
        )
    request = benchmark.request(declared, dataset=declared.datasets[0], results=results)
    with output.progress() as report:
        found = score_submission(file.submission(), request, environment, report=report)
    for text in found.notes:
        console.note(f"note: {text}")
    outcome = found.outcome
    quoted = published_beside(request.suite, outcome.dataset, declared=declared)
    lead = next(iter(benchmark.metrics), declared.lead)
    held = among_recorded(outcome.records, results)
    board = replace(leaderboard_of(held.records, quoted=quoted, lead=lead), new=held.new)
    if output.as_json:
        document = bench_document(
            outcome,
            board.rows,
            results_dir=results,
            fixed_lead=board.fixed_lead,
            new=held.new,
        )
        references = [row.document() for row in quoted]
        match = asdict(found.mismatch)
        extra = {"name": found.name, "references": references, "match": match}
        console.print_json({**document, **extra})
        return
    sys.stdout.write(render_board(board, metrics=benchmark.metrics))
    console.note(f"recorded in {results}; compare with `dygenept leaderboard --results {results}`")
