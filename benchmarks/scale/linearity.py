"""How the cost of a bench grows with cells and with perturbations, over two decades each.

Files of noise are written in blocks (SIMULATED), and closed-form models run on each in a process of
their own on one thread. Cells are kept in a file under a limit on memory, small ones too, so that
every size is computed in the same way. Seconds of CPU of the run itself, imports left out; at the
smallest sizes a run's cost is no longer that of starting. Slopes are fitted on the log-log scale to
all points as they were measured, each the median of three runs::

    python benchmarks/scale/linearity.py FOLDER --json linearity.json --plot linearity.png
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

N_GENES, DENSITY, SEED = 2_000, 0.15, 0
# With so many perturbations when cells grow, and so many cells of each when perturbations grow.
N_PERTURBATIONS, CELLS_EACH = 50, 25
CELLS = (25_000, 79_000, 250_000, 790_000, 2_500_000)
PERTURBATIONS = (100, 316, 1_000, 3_162, 10_000)
# Every pair of perturbations is compared by these, so their cost is quadratic in perturbations.
RANKS = ("centroid_accuracy", "perturbation_discrimination", "perturbench_rank")
MODELS = ("control_mean", "perturbed_mean", "matching_mean")
N_RUNS = 3


def measure(path: Path, asked: argparse.Namespace) -> dict[str, float]:
    """Bench the slate on a file and return seconds of CPU and peak memory."""
    sys.path.insert(0, str(Path(__file__).parent))
    from large_file import peak_bytes

    from dygenept.data import memory
    from dygenept.machine.amounts import parse_memory
    from dygenept.plugin.environment import Environment
    from dygenept.plugin.specs import MetricSpec
    from dygenept.runs.runner import BenchRequest, run_bench
    from dygenept.testing import write_toy_h5ad

    if asked.memory:
        # Cells of a small data set are kept in a file as those of a large one are.
        memory.READING_PEAK = 1e9
    environment = Environment.load()
    shown = [
        spec.name for spec in environment.manager.specs(MetricSpec) if spec.boards == "default"
    ]
    left_out = () if asked.ranks else RANKS
    names = tuple(asked.metric) or tuple(name for name in shown if not name.startswith(left_out))
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        # Once on a toy, so that what is loaded late is there.
        write_toy_h5ad(Path(folder, "toy.h5ad"))
        took = 0.0
        for file in (Path(folder, "toy.h5ad"), path):
            request = BenchRequest(
                dataset=str(file),
                results=Path(folder, f"results-{file.stem}"),
                models=tuple(asked.model) or MODELS,
                metrics=names,
                n_folds=3,
                keep_predictions=False,
                memory=parse_memory(asked.memory) if asked.memory else None,
            )
            start = time.process_time()
            outcome = run_bench(request, environment)
            took = time.process_time() - start
            if outcome.failures:
                sys.exit(str(outcome.failures))
    return {"cpu_s": took, "peak_bytes": peak_bytes()}


def slope(points: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """Fit a line to log seconds on log size; return its slope and the slope's standard error."""
    sizes, seconds = np.log(points["sizes"]), np.log(points["cpu_s"])
    away = sizes - sizes.mean()
    found = float(away @ seconds / (away @ away))
    left = seconds - seconds.mean() - found * away
    error = np.sqrt(left @ left / max(1, len(sizes) - 2) / (away @ away))
    return found, float(error)


def plot(found: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draw each series with its slope, and what one with a slope of 1 would be."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(3.6 * len(found), 3.2), sharey=True)
    for axis, (name, points) in zip(np.atleast_1d(axes), found.items(), strict=True):
        sizes, seconds = np.asarray(points["sizes"]), np.asarray(points["cpu_s"])
        steep, error = slope(points)
        middle = np.exp(np.log(seconds / sizes).mean())
        axis.loglog(sizes, seconds, "o-", color="#1b6ca8", label=f"slope {steep:.2f} ± {error:.2f}")
        axis.loglog(sizes, middle * sizes, "--", color="#888888", lw=1, label="slope 1")
        axis.set_xlabel(name)
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3, which="both")
    np.atleast_1d(axes)[0].set_ylabel("CPU of a bench (s), SIMULATED")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def one_point(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, float]:
    """Return what a file takes in a process of its own: the median of three."""
    runs: list[dict[str, float]] = []
    for _ in range(N_RUNS):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
        runs.append(json.loads(done.stdout))
    runs.sort(key=lambda run: run["cpu_s"])
    least, most = runs[0]["cpu_s"], runs[-1]["cpu_s"]
    return {**runs[len(runs) // 2], "least_s": least, "most_s": most}


def main() -> None:
    """Write files, measure each size, and print slopes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--metric", action="append", default=[])
    parser.add_argument("--ranks", action="store_true", help="default metrics, ranks among them")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument(
        "--memory", default="4G", help="limit under which cells are in files; '' for memory"
    )
    parser.add_argument("--cells", type=int, nargs="*", default=CELLS)
    parser.add_argument("--perturbations", type=int, nargs="*", default=PERTURBATIONS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--draw", type=Path, help="draw what --json wrote, and measure nothing")
    parser.add_argument("--step", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        sys.stdout.write(json.dumps(measure(asked.step, asked)))
        return
    if asked.draw:
        plot(json.loads(asked.draw.read_text()), asked.plot)
        return
    sys.path.insert(0, str(Path(__file__).parent))
    from large_file import write_file

    asked.folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, list[float]]] = {}
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, sizes in (("cells", asked.cells), ("perturbations", asked.perturbations)):
        points: dict[str, list[float]] = {
            column: [] for column in ("sizes", "cpu_s", "least_s", "most_s", "peak_bytes")
        }
        for size in sizes:
            is_cells = name == "cells"
            path = asked.folder / f"{name}-{size}.h5ad"
            write_file(
                path,
                n_cells=size if is_cells else round(size * CELLS_EACH / 0.95),
                n_genes=N_GENES,
                density=DENSITY,
                n_perturbations=N_PERTURBATIONS if is_cells else size,
                seed=SEED,
            )
            command = [sys.executable, __file__, str(asked.folder), "--step", str(path)]
            command += [part for metric in asked.metric for part in ("--metric", metric)]
            command += [part for model in asked.model for part in ("--model", model)]
            command += ["--memory", asked.memory, *(["--ranks"] if asked.ranks else [])]
            row = one_point(command, alone)
            path.unlink()
            points["sizes"].append(size)
            for column, value in row.items():
                points[column].append(value)
            sys.stdout.write(
                f"{name} {size:>9,}  {row['cpu_s']:8.2f} s of CPU  "
                f"({row['least_s']:.2f} to {row['most_s']:.2f})  "
                f"{row['peak_bytes'] / 1e6:,.0f} MB\n"
            )
            sys.stdout.flush()
            found[name] = points
            if asked.json is not None:
                asked.json.write_text(json.dumps(found, indent=1))
        if len(sizes) > 2:
            steep, error = slope(points)
            sys.stdout.write(f"slope in {name}: {steep:.3f} ± {error:.3f}\n")
    if asked.plot is not None:
        plot(found, asked.plot)


if __name__ == "__main__":
    main()
