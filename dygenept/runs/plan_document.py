"""A plan of a run as one JSON document."""

from __future__ import annotations

from dataclasses import asdict

from dygenept.runs.plan import BenchPlan
from dygenept.runs.plan_costs import MEASURED, shared_seconds
from dygenept.runs.plan_models import ModelPlan


def plan_document(plan: BenchPlan) -> dict[str, object]:
    """Return a plan as plain values, JSON-ready; null is what is not known."""
    found, outline, size = plan.dataset, plan.dataset.outline, plan.size
    disk = plan.disk_bytes
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
        "shared_seconds": None if size is None else shared_seconds(size, plan.machine),
        "total_seconds": plan.seconds,
        "memory_bytes": plan.memory_bytes,
        "limited_bytes": plan.limited_bytes,
        "n_processes": plan.n_processes,
        "disk_bytes": {**disk, "download": found.download_bytes},
        "doubts": list(plan.doubts),
        "coefficients": asdict(MEASURED),
    }


def _model(plan: BenchPlan, model: ModelPlan) -> dict[str, object]:
    return {
        **asdict(model),
        "n_to_compute": 0 if model.lacks else plan.n_folds - model.n_recorded,
        "total_seconds": plan.seconds_of(model),
    }
