"""Measures what the parts of a bench take at several sizes, and fits the cost model to it.

Files of noise are written in blocks (SIMULATED), and one fold of each is benched in a process of
its own on one thread: seconds of CPU by part of the median of three runs, imports left out.
``cost_fit.py`` fits the cost model to these points; those that are named with ``--check`` take no
part in the fit::

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
from pathlib import Path
from typing import Any

from cost_fit import SHARED, report

N_RUNS = 3


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
    from dygenept.machine.amounts import parse_memory
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
        limit = parse_memory(memory) if memory else None
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
    runs: list[dict[str, Any]] = []
    for _ in range(N_RUNS):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=alone)
        runs.append(json.loads(done.stdout))
    if is_made:
        path.unlink()
    runs.sort(key=lambda run: float(run["total"]))
    least, most = runs[0]["total"], runs[-1]["total"]
    found = {**runs[len(runs) // 2], "least": least, "most": most}
    sys.stdout.write(f"{name}: {found['total']:.1f} s of CPU ({least:.1f} to {most:.1f})\n")
    sys.stdout.flush()
    return found


if __name__ == "__main__":
    main()
