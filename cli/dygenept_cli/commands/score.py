"""``dygenept score``: predictions of any model, scored as the harness scores its own."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import ConfigError
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.benchmark import BenchmarkFlags
from dygenept_cli.flags.environment import DataFlags
from dygenept_cli.flags.records import flag

if TYPE_CHECKING:
    from dygenept.runs.score import SubmissionRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionFlags:
    """What is scored: a file of predictions and how it is read, or a trained model."""

    predictions: Path | None = flag(
        "Predictions: .h5ad, .parquet, .csv, .tsv or .npz (see docs/score.md).", metavar="FILE"
    )
    checkpoint: Path | None = flag(
        "A model that `dygenept train` kept, scored on a table of effects.", metavar="DIR"
    )
    table: str | None = flag("The table of effects: the same as --dataset.", metavar="NAME|FILE")
    allow_seen: bool = flag(
        "With --checkpoint: score perturbations too that the model was trained on; its name then "
        "says how many.",
        default=False,
    )
    name: str | None = flag("Name on leaderboards [default: the file's stem].")
    delta: bool = flag(
        "Read changes from the mean control, not mean log1p expression.", default=False
    )
    fill: bool = flag(
        "Fill a missing perturbation with the mean of the train perturbations and a missing gene "
        "with the control mean; every record says so.",
        default=False,
    )
    all_cell_types: bool = flag(
        "Use predictions without a cell type in every cell type of the data set.", default=False
    )
    submitter: str = flag(
        "Who hands them in. Claims are corrected over all that one submitter hands in [default: "
        "one submitter for all that name none].",
        default="",
        show_default=False,
    )

    def submission(self) -> SubmissionRequest:
        """Return the file as the core takes it.

        Raises:
            ConfigError: If there is neither a file nor a model.
        """
        from dygenept.runs.score import SubmissionRequest

        if self.predictions is None:
            raise ConfigError(
                "say what to score: --predictions FILE, or --checkpoint DIR on a table of effects"
            )
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
    """Score predictions that any model made, or a trained model on a table of effects."""
    from dygenept.leaderboard.board_key import among_recorded
    from dygenept.leaderboard.boards import leaderboard_of
    from dygenept.runs.document import bench_document
    from dygenept.runs.score import score_submission
    from dygenept.runs.score_checkpoint import score_checkpoint
    from dygenept_cli.views.boards import render_board
    from dygenept_cli.views.published import published_beside

    environment = replace(where.environment(), device="cpu")
    if file.table is not None:
        if benchmark.dataset is not None:
            raise ConfigError("--table and --dataset name the same thing; give one of them")
        benchmark = replace(benchmark, dataset=file.table)
    if file.checkpoint is not None and file.predictions is not None:
        raise ConfigError("score either --predictions FILE or --checkpoint DIR")
    declared = benchmark.declared(environment)
    if len(declared.datasets) > 1:
        raise ConfigError(
            f"suite {declared.name!r} has {len(declared.datasets)} data sets; say which the "
            f"predictions are for: --dataset {declared.datasets[0]}"
        )
    request = benchmark.request(declared, dataset=declared.datasets[0], results=results)
    extra: dict[str, object] = {}
    with output.progress() as report:
        if file.checkpoint is not None:
            outcome = score_checkpoint(
                file.checkpoint, request, environment, report=report, allow_seen=file.allow_seen
            )
            notes = tuple(dict.fromkeys(note for item in outcome.records for note in item.notes))
        else:
            found = score_submission(file.submission(), request, environment, report=report)
            outcome, notes = found.outcome, found.notes
            extra = {"name": found.name, "match": asdict(found.mismatch)}
    for text in notes:
        console.note(f"note: {text}")
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
        console.print_json({**document, "references": references, **extra})
        return
    sys.stdout.write(render_board(board, metrics=benchmark.metrics))
    console.note(f"recorded in {results}; compare with `dygenept leaderboard --results {results}`")
