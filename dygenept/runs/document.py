"""The JSON documents that ``bench --json`` and its like print: of a run, and of its plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from dygenept.leaderboard.columns import lead_metric
from dygenept.leaderboard.notes import board_notes
from dygenept.leaderboard.rows import LeaderboardRow
from dygenept.runs.plan import BenchPlan
from dygenept.runs.plan_coefficients import MEASURED
from dygenept.runs.plan_costs import embedding_seconds
from dygenept.runs.plan_models import ModelPlan
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
            "draw": outcome.dataset.draw,
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


def plan_document(plan: BenchPlan) -> dict[str, object]:
    """Return a plan as plain values, JSON-ready; null is what is not known."""
    found, outline, size = plan.dataset, plan.dataset.outline, plan.size
    disk, shared = plan.disk_bytes, plan.shared_seconds
    return {
        "dataset": {
            "name": found.name,
            "path": None if found.path is None else str(found.path),
            "on_disk": found.is_on_disk,
            "n_cells": outline.n_cells,
            "n_genes": outline.n_genes,
            "n_perturbations": outline.n_perturbations,
            "n_controls": outline.n_controls,
            "n_values": outline.n_values,
            "n_values_is_bound": outline.is_bound,
            "matrix_bytes": None if size is None else size.matrix_bytes,
        },
        "split": {
            "name": plan.request.split,
            "seed": plan.request.seed,
            "n_folds": plan.n_folds,
            "is_cut": plan.are_folds_cut,
            "folds": [asdict(fold) for fold in plan.folds],
        },
        "machine": asdict(plan.machine),
        "jobs": {
            "total": plan.n_jobs,
            "recorded": plan.n_recorded,
            "to_compute": plan.n_jobs - plan.n_recorded,
        },
        "models": [_model(plan, model) for model in plan.models],
        "shared_seconds": None if shared is None else sum(shared.values()),
        "shared_seconds_by_part": shared,
        "texts_to_embed": plan.n_texts,
        "embedding_seconds": embedding_seconds(plan.n_texts),
        "total_seconds": plan.seconds,
        "least_seconds": plan.least_seconds,
        "memory_bytes": plan.memory_bytes,
        "limited_bytes": plan.limited_bytes,
        "n_processes": plan.n_processes,
        "disk_bytes": {**disk, "download": found.download_bytes},
        "doubts": list(plan.doubts),
        "coefficients": asdict(MEASURED),
    }


def _model(plan: BenchPlan, model: ModelPlan) -> dict[str, object]:
    known = asdict(model)
    return {
        **known,
        # Their number: they may be thousands.
        "texts": len(model.texts),
        "n_to_compute": 0 if model.lacks else plan.n_folds - model.n_recorded,
        "total_seconds": plan.seconds_of(model),
    }
