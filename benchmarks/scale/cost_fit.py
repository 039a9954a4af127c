"""Fits the coefficients of the cost model to points, and prints what they make of each.

``cost_points.py`` measures the points. The coefficients of ``dygenept.runs.plan_costs`` are fitted
by relative least squares, none below zero; points whose names begin with ``check`` take no part.
Points do not tell some of them apart, which then stay near what they were.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dygenept.runs import plan_costs as costs

# Seconds of CPU of one fold each of 2.5 million cells x 18,000 genes, 10,000 perturbations under
# --memory 4G, fit to scoring and keeping (docs/scale.md, "Under a limit, measured").
LARGE = {
    "perturbed_mean": 14,
    "random_train": 43,
    "additive": 16,
    "matching_mean": 17,
    "control_mean": 14,
    "truth": 46,
    "technical_duplicate": 219,
    "linear_loo": 747,
    "knn": 310,
    "ridge": 566,
    "kg_knn": 345,
    "gp": 2447,
    "linear": 121,
}

LARGE_SIZE = costs.DataSize(
    n_cells=2_500_000,
    n_genes=18_000,
    n_conditions=10_000,
    n_controls=125_000,
    n_values=450_000_000,
    is_stored=True,
    is_filed=True,
)
LARGE_FOLD = costs.FoldSize(
    n_train=7_200, n_val=800, n_test=2_000, n_train_cells=1_710_000, n_candidates=2_000
)

SHARED = ("reading", "means", "tests", "truth")
PARTS = ("task", "fit", "predict", "score", "distances", "all scoring")
FITTED = (
    "read_s",
    "stored_s",
    "cell_s",
    "means_s",
    "passed_s",
    "list_s",
    "test_s",
    "looked_s",
    "tested_s",
    "truth_s",
    "keep_s",
    "sampled_s",
    "distance_s",
    "job_s",
    "given_s",
    "score_s",
    "row_s",
    "filed_row_s",
    "rank_s",
    "near_s",
    "half_s",
    "halved_s",
    "product_s",
    "filed_s",
    "decomposition_s",
    "pass_s",
)
# Seconds below which a part counts as if it had taken them: a plan is asked for long ones.
LEAST = 2.0
# A coefficient that doubles, or goes to zero, counts as much as a part that is off by this share.
STAYS = 0.1


@dataclass(frozen=True)
class Line:
    """Seconds of a part of a point, and what the cost model makes of it with coefficients."""

    point: str
    part: str
    seconds: float
    planned: Callable[[Any], float]


def lines(point: dict[str, Any], name: str) -> list[Line]:
    """Return what was measured of a point, each with what the cost model makes of it."""
    from dygenept.plugin.environment import Environment

    size = costs.DataSize(**point["size"])
    fold, *others = (costs.FoldSize(**fold) for fold in point["folds"])
    took, n_folds = point["took"], 1 + len(others)
    scored = costs.Scored(**point["scored"])
    found = [Line(name, part, took[part], partial(_shared, size, scored, part)) for part in SHARED]
    environment = Environment.load()
    of_distances = sum(value for part, value in took.items() if part.endswith(": distances"))

    def distances(c: costs.Coefficients) -> float:
        return n_folds * costs.distance_seconds(fold, size, scored, c)

    found.append(Line(name, "distances", of_distances, distances))
    for model in point["models"]:
        parts = {part: took[f"{model}: {part}"] for part in PARTS}
        spent = {
            "task": parts["task"],
            "fit": parts["fit"] + parts["predict"],
            "score": parts["score"] - parts["distances"],
            "keep": parts["all scoring"] - parts["score"],
        }
        work = _work(model, fold, size, environment)
        if work.halvings:
            # Halves are drawn in the task, by the prediction and by its scoring.
            spent = {"job": sum(spent.values())}
        for part, seconds in spent.items():
            of_part = partial(_of_job, fold, size, scored, work, part, n_folds)
            found.append(Line(name, f"{model}: {part}", seconds, of_part))
    return found


def _shared(size: Any, scored: Any, part: str, c: Any) -> float:
    return costs.shared_seconds(size, scored, c=c)[part]


def _of_job(  # noqa: PLR0913 - all that `job_seconds` takes, and which part of it is meant
    fold: Any, size: Any, scored: Any, work: Any, part: str, n_folds: int, c: Any
) -> float:
    planned = costs.job_seconds(fold, size, scored, work, c=c)
    return n_folds * (sum(planned.values()) if part == "job" else planned[part])


def _work(model: str, fold: Any, size: Any, environment: Any) -> Any:
    from dygenept.model.baselines import configured_baseline
    from dygenept.types import FitSize

    of_fit = FitSize(
        n_known=fold.n_train + fold.n_val,
        n_held_out=fold.n_test,
        n_genes=size.n_genes,
        n_targets=size.n_conditions,
    )
    work = configured_baseline(model, environment).fit_work(of_fit)
    assert work is not None
    return work


def fit(found: list[Line]) -> Any:
    """Fit the coefficients to the lines of points, relative errors alike, none below zero.

    Each is drawn a little to the value that it has, so that one that cannot be told from another
    does not go to zero while that takes its share.
    """
    from scipy.optimize import nnls

    from dygenept.runs.plan_coefficients import MEASURED

    none = replace(MEASURED, **dict.fromkeys(FITTED, 0.0))
    weights = np.array([1 / max(line.seconds, LEAST) for line in found])
    terms = np.array(
        [[line.planned(replace(none, **{name: 1.0})) for name in FITTED] for line in found]
    )
    before = np.array([getattr(MEASURED, name) for name in FITTED])
    wanted = weights * np.array([line.seconds for line in found])
    rows = np.vstack([terms * before * weights[:, None], STAYS * np.eye(len(FITTED))])
    values = nnls(rows, np.concatenate([wanted, np.full(len(FITTED), STAYS)]))[0] * before
    return replace(MEASURED, **dict(zip(FITTED, values.tolist(), strict=True)))


def large() -> list[Line]:
    """Return what docs/scale.md says of one fold of 2.5 million cells, as it was measured."""
    from dygenept.plugin.environment import Environment

    name = "check: 2.5 million cells"
    scored = costs.Scored(n_rows=10, n_ranks=4, n_cells=1, uses_tests=True)
    environment = Environment.load()
    found = [Line(name, "before the first job", 358, lambda c: _all_shared(LARGE_SIZE, scored, c))]
    for model, seconds in LARGE.items():
        work = _work(model, LARGE_FOLD, LARGE_SIZE, environment)
        of_job = partial(_of_job, LARGE_FOLD, LARGE_SIZE, scored, work, "job", 1)
        found.append(Line(name, model, seconds, of_job))
    return found


def _all_shared(size: Any, scored: Any, c: Any) -> float:
    return sum(costs.shared_seconds(size, scored, c=c).values())


def report(known: dict[str, Any]) -> None:
    """Print the fitted coefficients, and each part of each point beside them."""
    of_points = {name: lines(point, name) for name, point in known.items()}
    fitted_to = [
        line for name, own in of_points.items() if not name.startswith("check") for line in own
    ]
    c = fit(fitted_to)
    of_points["check: 2.5 million cells"] = large()
    for name in FITTED:
        sys.stdout.write(f"{name} {getattr(c, name):.2g}\n")
    for name, own in of_points.items():
        planned = sum(line.planned(c) for line in own)
        seconds = sum(line.seconds for line in own)
        sys.stdout.write(f"\n{name}: {seconds:.1f} s, planned {planned:.1f} s")
        sys.stdout.write(f" ({planned / seconds:.2f})\n")
        for line in own:
            off = line.planned(c) / max(line.seconds, 1e-3)
            sys.stdout.write(
                f"  {line.part:<28} {line.seconds:9.2f} s  planned {line.planned(c):9.2f} s"
                f"  {off:6.2f}\n"
            )
