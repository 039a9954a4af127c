"""``dygenept rank-perturbations``: which perturbations bring cells closest to a wanted state?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.environment import MachineFlags
from dygenept_cli.flags.records import flag

FORMATS = (".csv", ".tsv", ".parquet", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFlags(options.SweepFlags):
    """The wanted state, and what competes for it."""

    panel: ClassVar[str] = "What is ranked"

    target: Path = flag(
        "Wanted state: CSV or TSV with a column gene and a column expression (mean log1p) or "
        "delta (its change from control).",
        default=...,
        metavar="FILE",
    )
    top: int = flag("How many are shown.", default=20, min=1)
    by: str = flag(
        "Closeness: correlation of predicted and wanted change, or euclidean distance.",
        default="correlation",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingOutputFlags(options.OutputFlags):
    """Where the ranking goes."""

    panel: ClassVar[str] = "What is shown"

    output: Path | None = flag(
        "Write the table: .csv, .tsv, .parquet, .json; - for CSV on stdout.", metavar="FILE"
    )


def rank_perturbations(
    checkpoint: options.CheckpointOption,
    wanted: TargetFlags,
    where: MachineFlags,
    shown: RankingOutputFlags,
) -> None:
    """Rank perturbations by how close a kept model predicts they bring cells to a wanted state.

    Candidates are the single perturbations or pairs of --genes, by default of the genes that the
    training data perturb. Uncertainties come from the model's own spread, where it has one.
    """
    from dygenept.machine.devices import pick_device
    from dygenept.runs.ranking import RankRequest, rank_perturbations
    from dygenept.runs.saved_model import load_model
    from dygenept.runs.sweep import checkpoint_sweep
    from dygenept.runs.wanted_state import read_state
    from dygenept_cli.views.predictions import show_ranking

    if shown.output is not None:
        console.check_output(shown.output, suffixes=FORMATS, as_json=shown.as_json)
    request = RankRequest(by=wanted.by, top=wanted.top)
    state = read_state(wanted.target)
    environment = where.environment()
    with shown.progress() as report:
        runtime = environment.runtime(report, device=pick_device(where.device))
        model, _ = load_model(checkpoint, environment, runtime)
        sweep = checkpoint_sweep(model, wanted.sweep_request())
        found = rank_perturbations(model, state, sweep, request, report)
    for text in found.notes:
        console.note(f"note: {text}")
    if shown.output is not None:
        console.write_table(found.table, shown.output)
    if shown.as_json:
        console.print_json(
            {
                "by": request.by,
                "n_candidates": found.n_candidates,
                "n_genes": found.n_genes,
                "ranking": found.table.to_dicts(),
            }
        )
    elif shown.output is None:
        show_ranking(found)
