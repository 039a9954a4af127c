"""The one JSON document that ``bench --json`` and its like print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dygenept.leaderboard.columns import lead_metric
from dygenept.leaderboard.notes import board_notes
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.runs.runner import BenchOutcome

SCHEMA_VERSION = 1


def bench_document(
    outcome: BenchOutcome,
    rows: Sequence[LeaderboardRow],
    *,
    results_dir: Path | None,
    fixed_lead: str | None = None,
    new: frozenset[str] = frozenset(),
) -> dict[str, object]:
    """Return the one JSON document of ``bench --json``.

    Args:
        outcome: What a run left.
        rows: Its leaderboard, also with models that the results folder had.
        results_dir: The results folder.
        fixed_lead: The metric that a suite or a user puts first.
        new: Models of the run among those of the rows; empty where all are.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": {
            "name": outcome.dataset.name,
            "kind": outcome.dataset.kind,
            "sha256": outcome.dataset.sha256,
            "n_cells": outcome.dataset.n_cells,
            "n_genes": outcome.dataset.n_genes,
            "n_perturbations": outcome.dataset.n_perturbations,
            "simulated": outcome.dataset.simulated,
            **({} if outcome.dataset.n_pairs is None else {"n_pairs": outcome.dataset.n_pairs}),
        },
        "split": {
            "name": outcome.split.name,
            "n_folds": outcome.split.n_folds,
            "seed": outcome.split.seed,
            "sha256": outcome.split.sha256,
        },
        "lead_metric": lead_metric(rows, fixed=fixed_lead) if rows else None,
        "leaderboard": [{**row.document(), "new": not new or row.model in new} for row in rows],
        "notes": list(board_notes(rows, *outcome.records[:1], fixed_lead=fixed_lead)),
        "failures": dict(outcome.failures),
        "results_dir": None if results_dir is None else str(results_dir),
    }
