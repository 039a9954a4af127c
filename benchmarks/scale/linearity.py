"""How the cost of a bench grows with cells and with perturbations, over two decades each.

Files of noise are written in blocks (SIMULATED), and closed-form models run on each in a process of
their own. Seconds of CPU of the run itself, imports and start left out. Slopes are fitted on the
log-log scale, as measured and beyond the cost of a run on hardly any cells or perturbations::

    python benchmarks/scale/linearity.py FOLDER --json linearity.json --plot linearity.svg
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

N_GENES, DENSITY, SEED = 2_000, 0.25, 0
# With so many perturbations when cells grow, and so many cells of each when perturbations grow.
N_PERTURBATIONS, CELLS_EACH = 50, 25
# The first of each is what a run costs with hardly any.
CELLS = (300, 3_000, 10_000, 30_000, 100_000, 300_000)
PERTURBATIONS = (6, 30, 100, 300, 1_000, 3_000)
# Every pair of perturbations is compared by these, so their cost is quadratic in perturbations.
RANKS = ("centroid_accuracy", "perturbation_discrimination")
MODELS = ("control_mean", "perturbed_mean", "matching_mean")


def measure(path: Path, asked: argparse.Namespace) -> dict[str, float]:
    """Bench the slate on a file and return seconds of CPU and peak memory."""
    sys.path.insert(0, str(Path(__file__).parent))
    from large_file import peak_bytes

    from dygenept.plugin.environment import Environment
    from dygenept.plugin.specs import MetricSpec
    from dygenept.runs.runner import BenchRequest, run_bench
    from dygenept.testing import write_toy_h5ad

    environment = Environment.load()
    shown = [
        spec.name for spec in environment.manager.specs(MetricSpec) if spec.boards == "default"
    ]
    left_out = () if asked.ranks else RANKS
    names = tuple(asked.metric) or tuple(name for name in shown if not name.startswith(left_out))
    with tempfile.TemporaryDirectory() as folder:
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
            )
            start = time.process_time()
            outcome = run_bench(request, environment)
            took = time.process_time() - start
            if outcome.failures:
                sys.exit(str(outcome.failures))
    return {"cpu_s": took, "peak_bytes": peak_bytes()}


def slopes(points: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """Fit lines to log seconds on log size: as measured, and beyond the cost of the first point."""
    first, *seconds = points["cpu_s"]
    sizes = np.log(points["sizes"][1:])
    beyond = np.maximum(np.asarray(seconds) - first, 1e-3)
    return (
        float(np.polyfit(sizes, np.log(seconds), 1)[0]),
        float(np.polyfit(sizes, np.log(beyond), 1)[0]),
    )


def plot(found: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Draw both series with their slopes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(3.6 * len(found), 3.2), sharey=True)
    for axis, (name, points) in zip(np.atleast_1d(axes), found.items(), strict=True):
        sizes, seconds = np.asarray(points["sizes"]), np.asarray(points["cpu_s"])
        whole, beyond = slopes(points)
        axis.loglog(sizes[1:], seconds[1:], "o-", color="#1b6ca8", label=f"all: {whole:.2f}")
        axis.loglog(
            sizes[1:],
            seconds[1:] - seconds[0],
            "s--",
            color="#c0561a",
            label=f"beyond {sizes[0]:,}: {beyond:.2f}",
        )
        axis.set_xlabel(name)
        axis.legend(title="slope", fontsize=8, title_fontsize=8)
        axis.grid(alpha=0.3, which="both")
    np.atleast_1d(axes)[0].set_ylabel("CPU of a bench (s), SIMULATED")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    """Write files, measure each size, and print slopes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--metric", action="append", default=[])
    parser.add_argument("--ranks", action="store_true", help="default metrics, ranks among them")
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--cells", type=int, nargs="+", default=CELLS)
    parser.add_argument("--perturbations", type=int, nargs="+", default=PERTURBATIONS)
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
    for name, sizes in (("cells", asked.cells), ("perturbations", asked.perturbations)):
        points: dict[str, list[float]] = {"sizes": list(sizes), "cpu_s": [], "peak_bytes": []}
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
            command += ["--ranks"] if asked.ranks else []
            done = subprocess.run(command, check=True, capture_output=True)
            row = json.loads(done.stdout)
            path.unlink()
            points["cpu_s"].append(row["cpu_s"])
            points["peak_bytes"].append(row["peak_bytes"])
            sys.stdout.write(
                f"{name} {size:>9,}  {row['cpu_s']:8.2f} s of CPU  "
                f"{row['peak_bytes'] / 1e6:,.0f} MB\n"
            )
            sys.stdout.flush()
        whole, beyond = slopes(points)
        sys.stdout.write(f"slope in {name}: {whole:.2f}, beyond the first point {beyond:.2f}\n")
        found[name] = points
    if asked.json is not None:
        asked.json.write_text(json.dumps(found, indent=1))
    if asked.plot is not None:
        plot(found, asked.plot)


if __name__ == "__main__":
    main()
