"""Measures what the parts of a bench take at several sizes, and fits the cost model to it.

Files of noise are written in blocks (SIMULATED), and one fold of each is benched in a process of
its own on one thread: seconds of CPU by part, imports left out. The coefficients of
``dygenept.runs.plan_costs`` are fitted to these points by relative least squares, none below zero;
points that are named with ``--check`` are planned with them and take no part in the fit::

    python benchmarks/scale/cost_points.py FOLDER --json points.json
    python benchmarks/scale/cost_points.py FOLDER --json points.json --fit
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Point:
    """Sizes of a file, and the models that run on it; four fifths of perturbations are known."""

    cells: int
    genes: int
    perturbations: int
    density: float
    models: tuple[str, ...]
    in_files: bool = False


MEANS = ("perturbed_mean", "random_train", "additive", "truth")
KERNELS = ("ridge", "knn", "linear", "linear_loo")
POINTS = {
    "small": Point(20_000, 1_000, 625, 0.2, (*MEANS, *KERNELS, "gp", "technical_duplicate")),
    "wide": Point(100_000, 18_000, 625, 0.01, (*MEANS, *KERNELS, "gp", "technical_duplicate")),
    "middle": Point(
        60_000, 5_000, 1_250, 0.1, (*MEANS, *KERNELS, "gp", "kg_knn", "technical_duplicate")
    ),
    "files": Point(
        150_000, 8_000, 2_500, 0.02, (*MEANS, *KERNELS, "technical_duplicate"), in_files=True
    ),
    "many": Point(100_000, 2_000, 5_000, 0.05, (*MEANS, *KERNELS, "kg_knn")),
}


# Seconds of CPU of one fold each of 2.5 million cells x 18,000 genes, 10,000 perturbations under
# --memory 4G, fit to scoring and keeping (docs/scale.md, "Under a limit, measured").
LARGE = {
    "perturbed_mean": 14,
    "random_train": 49,
    "additive": 16,
    "matching_mean": 17,
    "control_mean": 14,
    "truth": 46,
    "technical_duplicate": 357,
    "linear_loo": 747,
    "knn": 310,
    "ridge": 566,
    "linear": 121,
}


def measure(
    file: Path,
    models: tuple[str, ...],
    folder: Path,
    *,
    memory: str,
    is_whole: bool,
    in_files: bool,
) -> dict[str, Any]:
    """Bench one fold of a file and return seconds of CPU by part, and the plan's sizes."""
    from dygenept.data import measured
    from dygenept.data import memory as limits
    from dygenept.data.reading.outline import outline_file
    from dygenept.evaluation import cell_samples, scoring
    from dygenept.plugin.environment import Environment
    from dygenept.runs import jobs, run_context, runner, scored_job
    from dygenept.runs.plan import plan_bench
    from dygenept.testing import write_toy_h5ad

    took: Counter[str] = Counter()
    of_model = [""]

    def timed(owner: Any, name: str, part: str, *, names_model: int | None = None) -> None:
        plain: Callable[..., Any] = getattr(owner, name)

        def call(*given: Any, **named: Any) -> Any:
            if names_model is not None:
                of_model[0] = given[names_model].name
            start = time.process_time()
            try:
                return plain(*given, **named)
            finally:
                where = part if part in SHARED else f"{of_model[0]}: {part}"
                took[where] += time.process_time() - start

        setattr(owner, name, call)

    timed(run_context, "open_data", "reading")
    for name in ("pseudobulk", "de_genes"):
        timed(measured, name, "means")
    for name in ("significant_genes", "square_sums", "scores_vs_rest"):
        timed(measured, name, "tests")
    timed(run_context.RunContext, "keep_shared", "truth")
    timed(jobs, "fold_job", "task", names_model=1)
    timed(scored_job, "fitted", "fit", names_model=0)
    timed(scored_job, "predicted", "predict", names_model=0)
    timed(jobs, "score_job", "all scoring")
    timed(scored_job, "_scored", "score")
    timed(scoring, "values_of", "ranks")
    timed(cell_samples.CellSamples, "distances", "distances")
    environment = Environment.load()
    from one_fold import write_fold

    # Once on a toy, so that what is loaded late is there.
    toy = write_toy_h5ad(folder / "toy.h5ad")
    for path in (toy, file):
        took.clear()
        limit = limits.parse_memory(memory) if memory else None
        if in_files:
            # Cells and tables are kept in files although they would fit into memory.
            limits.READING_PEAK = 1e9
            limits.PARTS = limits.COLUMN_PARTS = limits.OF_TYPES = limits.RESIDENT = 0
            outlined = limits.CellsSize.of(outline_file(path))
            assert outlined is not None
            limit = outlined.streamed - 1
        fold = folder / f"{path.stem}-fold.json"
        write_fold(fold, path, 5)
        is_cut = path == toy or is_whole
        request = runner.BenchRequest(
            dataset=str(path),
            results=folder / f"results-{path.stem}",
            models=models,
            split="kfold" if is_cut else "manifest",
            split_options={} if is_cut else {"path": str(fold)},
            memory=limit,
        )
        start = time.process_time()
        outcome = runner.run_bench(request, environment)
        total = time.process_time() - start
        if outcome.failures:
            sys.exit(str(outcome.failures))
    # A folder without records, so that everything is planned.
    plan = plan_bench(replace(request, results=folder / "none"), environment)
    assert plan.size is not None
    return {
        "size": {**asdict(plan.size), "is_stored": in_files, "is_filed": in_files},
        "folds": [asdict(fold) for fold in plan.folds],
        "scored": asdict(plan.scored),
        "models": list(models),
        "took": dict(took),
        "total": total,
    }


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
# Seconds below which a part counts as if it had taken them.
LEAST = 0.5


def main() -> None:
    """Write files, measure each, and fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--point", action="append", choices=POINTS, help="some of them alone")
    parser.add_argument("--fit", action="store_true", help="fit to --json, and measure nothing")
    parser.add_argument("--check", type=Path, help="measure this file too; it is not fitted to")
    parser.add_argument("--model", action="append", default=[], help="of --check")
    parser.add_argument("--memory", default="", help="a limit for --check")
    parser.add_argument("--whole", action="store_true", help="all five folds of --check")
    parser.add_argument("--in-files", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--step", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    if asked.step:
        asked.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            found = measure(
                asked.step,
                tuple(asked.model),
                Path(folder),
                memory=asked.memory,
                is_whole=asked.whole,
                in_files=asked.in_files,
            )
        sys.stdout.write(json.dumps(found))
        return
    known: dict[str, Any] = json.loads(asked.json.read_text()) if asked.json.exists() else {}
    if not asked.fit:
        asked.folder.mkdir(parents=True, exist_ok=True)
        wanted: dict[str, tuple[Path, tuple[str, ...], str]] = {}
        if asked.check:
            wanted[f"check: {asked.check.stem}"] = (asked.check, tuple(asked.model), asked.memory)
        else:
            for name in asked.point or POINTS:
                wanted[name] = (asked.folder / f"{name}.h5ad", POINTS[name].models, "")
        for name, (path, models, memory) in wanted.items():
            known[name] = _point(name, path, models, memory, asked.folder, asked.whole)
            asked.json.write_text(json.dumps(known, indent=1))
    report(known)


def _point(
    name: str, path: Path, models: tuple[str, ...], memory: str, folder: Path, whole: bool
) -> dict[str, Any]:
    from large_file import write_file

    is_made = not path.exists()
    if is_made:
        point = POINTS[name]
        write_file(
            path,
            n_cells=point.cells,
            n_genes=point.genes,
            density=point.density,
            n_perturbations=point.perturbations,
            seed=0,
        )
    command = [sys.executable, __file__, str(folder), "--json", "-", "--step", str(path)]
    command += [part for model in models for part in ("--model", model)]
    command += ["--memory", memory] if memory else []
    command += ["--whole"] if whole else []
    command += ["--in-files"] if name in POINTS and POINTS[name].in_files else []
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=alone)
    if is_made:
        path.unlink()
    found: dict[str, Any] = json.loads(done.stdout)
    sys.stdout.write(f"{name}: {found['total']:.1f} s of CPU\n")
    sys.stdout.flush()
    return found


def lines(point: dict[str, Any], name: str) -> list[Line]:
    """Return what was measured of a point, each with what the cost model makes of it."""
    from dygenept.plugin.environment import Environment
    from dygenept.runs import plan_costs as costs

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


@dataclass(frozen=True)
class Line:
    """Seconds of a part of a point, and what the cost model makes of it with coefficients."""

    point: str
    part: str
    seconds: float
    planned: Callable[[Any], float]


def _shared(size: Any, scored: Any, part: str, c: Any) -> float:
    from dygenept.runs import plan_costs as costs

    return costs.shared_seconds(size, scored, c=c)[part]


def _of_job(  # noqa: PLR0913
    fold: Any, size: Any, scored: Any, work: Any, part: str, n_folds: int, c: Any
) -> float:
    from dygenept.runs import plan_costs as costs

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
    """Fit the coefficients to the lines of points, relative errors alike, none below zero."""
    from scipy.optimize import nnls

    from dygenept.runs.plan_coefficients import MEASURED

    none = replace(MEASURED, **dict.fromkeys(FITTED, 0.0))
    weights = np.array([1 / max(line.seconds, LEAST) for line in found])
    terms = np.array(
        [[line.planned(replace(none, **{name: 1.0})) for name in FITTED] for line in found]
    )
    scale = np.maximum(np.abs(terms).max(axis=0), 1e-30)
    wanted = weights * np.array([line.seconds for line in found])
    values = nnls(terms / scale * weights[:, None], wanted)[0] / scale
    return replace(MEASURED, **dict(zip(FITTED, values.tolist(), strict=True)))


def large() -> list[Line]:
    """Return what docs/scale.md says of one fold of 2.5 million cells, as it was measured."""
    from dygenept.plugin.environment import Environment
    from dygenept.runs import plan_costs as costs

    name = "check: 2.5 million cells"
    size = costs.DataSize(
        n_cells=2_500_000,
        n_genes=18_000,
        n_conditions=10_000,
        n_controls=125_000,
        n_values=450_000_000,
        is_stored=True,
        is_filed=True,
    )
    fold = costs.FoldSize(
        n_train=7_200, n_val=800, n_test=2_000, n_train_cells=1_710_000, n_candidates=2_000
    )
    scored = costs.Scored(n_rows=10, n_ranks=4, n_cells=1, uses_tests=True)
    environment = Environment.load()
    found = [Line(name, "before the first job", 358, lambda c: _all_shared(size, scored, c))]
    for model, seconds in LARGE.items():
        work = _work(model, fold, size, environment)
        of_job = partial(_of_job, fold, size, scored, work, "job", 1)
        found.append(Line(name, model, seconds, of_job))
    return found


def _all_shared(size: Any, scored: Any, c: Any) -> float:
    from dygenept.runs import plan_costs as costs

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


if __name__ == "__main__":
    main()
