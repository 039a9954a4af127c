"""``dygenept evaluate``: score a trained model on the held-out perturbations of its fold."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.cells import CellsFlags
from dygenept_cli.flags.environment import MachineFlags
from dygenept_cli.flags.records import flag


def evaluate(
    *,
    checkpoint: options.CheckpointOption,
    dataset: str | None = flag(
        "The data set that it was trained on [default: as its folder records them].",
        metavar="NAME|FILE",
    ),
    data: CellsFlags,
    results: Path | None = flag("Keep the record in this folder too.", metavar="DIR"),
    where: MachineFlags,
    output: options.OutputFlags,
) -> None:
    """Score a trained model on the held-out perturbations of its fold."""
    from dygenept.leaderboard.board_key import FolderBoard, among_recorded
    from dygenept.leaderboard.boards import leaderboard_of
    from dygenept.runs.document import bench_document
    from dygenept.runs.run_context import RunRequest
    from dygenept.runs.runner import BenchOutcome
    from dygenept.runs.train import evaluate_model
    from dygenept_cli.views.boards import render_board

    environment = where.environment()
    keep = results is not None
    request = RunRequest(
        dataset=dataset or "",
        results=results or checkpoint / "results",
        normalize=data.normalize,
        scale=data.scale,
        mapping=data.mapping(),
        de_list=environment.registry.defaults.de_list,
        keep_predictions=keep,
    )
    with output.progress() as report:
        record = evaluate_model(
            request, environment, checkpoint=checkpoint, keep=keep, report=report
        )
    held = FolderBoard((record,), frozenset())
    if results is not None:
        held = among_recorded((record,), results)
    board = replace(leaderboard_of(held.records), new=held.new)
    if output.as_json:
        outcome = BenchOutcome(record.dataset, record.split, (record,), {})
        document = bench_document(outcome, board.rows, results_dir=results, new=held.new)
        console.print_json(document)
    else:
        sys.stdout.write(render_board(board))
