"""How the cost of the closed-form slate grows on full-size ``sim:k562`` and subsets of it.

The screen as a whole (a share of the perturbations with all their cells, and that share of the
control cells), all perturbations with ever fewer cells of each, and all cells of ever fewer
perturbations with all control cells, over two decades; seconds of CPU on one thread, part by part,
imports left out. Ranks compare every prediction with every held-out truth, which is quadratic by
definition: the screen is measured with and without them, and they by themselves. Each point is the
median of three runs. SIMULATED::

    python benchmarks/scale/k562_growth.py FOLDER --json growth.json --plot growth.png
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
from pathlib import Path
from typing import Any

import numpy as np

SHARES = (0.01, 0.0316, 0.1, 0.316, 1.0)
MODELS = (
    "control_mean",
    "perturbed_mean",
    "matching_mean",
    "additive",
    "random_train",
    "shuffled",
    "technical_duplicate",
    "truth",
)
RANKS = ("centroid_accuracy", "perturbation_discrimination")
SEED, N_FOLDS = 0, 2
N_RUNS = 3
# Of each series: what is cut, which default metrics are asked for, and the powers of a fit.
SERIES = {
    "screen": ("screen", "others", (0, 1)),
    "screen with ranks": ("screen", "all", (0, 1, 2)),
    "cells": ("cells", "others", (0, 1)),
    "perturbations": ("perturbations", "others", (0, 1)),
    "perturbations in ranks": ("perturbations", "ranks", (0, 1, 2)),
}
PARTS = ("reading", "means and tests", "fitting", "scoring", "rest")


def subset(source: Path, path: Path, axis: str, share: float) -> dict[str, int]:
    """Write a share of a screen, of its cells, or of its perturbations, and return the sizes.

    ``screen`` takes all cells of a share of the perturbations and that share of the control cells,
    ``cells`` a share of the cells of every condition, ``perturbations`` all cells of a share of the
    perturbations and all control cells.
    """
    import anndata

    data = anndata.read_h5ad(source)
    rng = np.random.default_rng(SEED)
    codes, labels = data.obs["condition"].factorize(sort=True)
    is_control = np.asarray(labels == "ctrl")
    if axis == "cells":
        kept = rng.random(len(codes)) < share
        # One cell at least of each condition.
        kept[np.unique(codes, return_index=True)[1]] = True
    else:
        perturbed = np.flatnonzero(~is_control)
        chosen = rng.permutation(perturbed)[: max(8, round(share * len(perturbed)))]
        controls = is_control[codes]
        if axis == "screen":
            controls &= rng.random(len(codes)) < share
        kept = np.isin(codes, chosen) | controls
    part = data[kept]
    part.write_h5ad(path)
    return {"cells": int(kept.sum()), "perturbations": part.obs["condition"].nunique() - 1}


def measure(path: Path, asked_for: str) -> dict[str, float]:
    """Bench the slate on a file and return seconds of CPU, part by part.

    ``asked_for`` is ``ranks`` (the four ranks), ``others`` (the other default metrics) or ``all``.
    """
    from dygenept.plugin.environment import Environment
    from dygenept.plugin.specs import MetricSpec
    from dygenept.runs import run_context, runner, scored_job
    from dygenept.testing import write_toy_h5ad

    took: Counter[str] = Counter()

    def timed(module: Any, name: str, part: str) -> None:
        plain: Callable[..., Any] = getattr(module, name)

        def call(*given: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return plain(*given, **named)
            finally:
                took[part] += time.process_time() - start

        setattr(module, name, call)

    timed(run_context, "open_data", "reading")
    timed(runner, "open_run", "opening")
    timed(scored_job, "fitted", "fitting")
    timed(scored_job, "predicted", "fitting")
    timed(scored_job, "_scored", "scoring")
    environment = Environment.load()
    shown = [
        spec.name for spec in environment.manager.specs(MetricSpec) if spec.boards == "default"
    ]
    are_ranks = {"ranks": (True,), "others": (False,), "all": (False, True)}[asked_for]
    names = [name for name in shown if name.startswith(RANKS) in are_ranks]
    with tempfile.TemporaryDirectory() as folder:
        # Once on a toy, so that what is loaded late is there.
        write_toy_h5ad(Path(folder, "toy.h5ad"))
        for file in (Path(folder, "toy.h5ad"), path):
            took.clear()
            request = runner.BenchRequest(
                dataset=str(file),
                results=Path(folder, f"results-{file.stem}"),
                models=MODELS,
                metrics=tuple(names),
                n_folds=N_FOLDS,
                keep_predictions=False,
            )
            start = time.process_time()
            outcome = runner.run_bench(request, environment)
            total = time.process_time() - start
            if outcome.failures:
                sys.exit(str(outcome.failures))
    found = {
        "reading": took["reading"],
        "means and tests": took["opening"] - took["reading"],
        "fitting": took["fitting"],
        "scoring": took["scoring"],
    }
    return {**found, "rest": total - sum(found.values()), "all": total}


def line(sizes: np.ndarray, seconds: np.ndarray, powers: tuple[int, ...]) -> np.ndarray:
    """Fit seconds by powers of the size, relative errors alike; no coefficient is negative."""
    from scipy.optimize import nnls

    terms = np.stack([sizes**power for power in powers], axis=1) / seconds[:, None]
    scale = np.linalg.norm(terms, axis=0)
    return np.asarray(nnls(terms / scale, np.ones(len(sizes)))[0]) / scale


def sizes_of(name: str, points: list[dict[str, float]]) -> np.ndarray:
    """Return what grows in a series: its cells, or its perturbations."""
    counted = "cells" if SERIES[name][0] == "cells" else "perturbations"
    return np.array([point[counted] for point in points], dtype=np.float64)


def slope(sizes: np.ndarray, seconds: np.ndarray) -> tuple[float, float]:
    """Return the log-log slope of all points as measured, and its standard error."""
    from scipy.stats import linregress

    found = linregress(np.log(sizes), np.log(seconds))
    return float(found.slope), float(found.stderr)


def report(found: dict[str, list[dict[str, float]]]) -> None:
    """Print what was measured, its slope, and what a line makes of each part."""
    for name, points in found.items():
        sizes, powers = sizes_of(name, points), SERIES[name][2]
        sys.stdout.write(f"\n{name}: {', '.join(f'{size:,.0f}' for size in sizes)}\n")
        spread = (f"{point['least']:.2f} to {point['most']:.2f}" for point in points)
        sys.stdout.write(f"  spread: {', '.join(spread)}\n")
        for counted in ("perturbations", "cells"):
            own = np.array([point[counted] for point in points], dtype=np.float64)
            if own[-1] > own[0]:
                steep, error = slope(own, np.array([point["all"] for point in points]))
                sys.stdout.write(f"  slope in {counted}: {steep:.3f} ± {error:.3f}\n")
        for part in (*PARTS, "all"):
            seconds = np.maximum([point[part] for point in points], 1e-3)
            fit = line(sizes, seconds, powers)
            expected = sum(c * sizes**power for c, power in zip(fit, powers, strict=True))
            off = ", ".join(f"{share:+.0%}" for share in seconds / expected - 1)
            terms = " + ".join(f"{c:.3g} n^{power}" for c, power in zip(fit, powers, strict=True))
            sys.stdout.write(
                f"  {part:<16} {', '.join(f'{value:.2f}' for value in seconds)} s = {terms}"
                f"  (off by {off}; slope beyond {beyond(sizes, seconds, fit[0]):.2f})\n"
            )


def beyond(sizes: np.ndarray, seconds: np.ndarray, fixed: float) -> float:
    """Log-log slope of what exceeds the fixed cost, over the points where it is half of it."""
    more = seconds - fixed
    kept = more > 0.5 * fixed
    if kept.sum() < 2:
        return float("nan")
    return float(np.polyfit(np.log(sizes[kept]), np.log(more[kept]), 1)[0])


def plot(found: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draw each series with its fit."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(found), figsize=(3.4 * len(found), 3.4), sharey=True)
    for axis, (name, points) in zip(np.atleast_1d(axes), found.items(), strict=True):
        sizes, powers = sizes_of(name, points), SERIES[name][2]
        seconds = np.array([point["all"] for point in points])
        fit = line(sizes, seconds, powers)
        steep, error = slope(sizes, seconds)
        fine = np.geomspace(sizes[0], sizes[-1])
        drawn = sum(c * fine**power for c, power in zip(fit, powers, strict=True))
        text = " + ".join(f"{c:.2g} n^{power}" for c, power in zip(fit, powers, strict=True))
        axis.loglog(sizes, seconds, "o", color="#1b6ca8", label=f"slope {steep:.2f} ± {error:.2f}")
        axis.loglog(fine, drawn, "-", color="#1b6ca8", lw=1, label=text.replace(" n^0", ""))
        middle = np.exp(np.log(seconds / sizes).mean())
        axis.loglog(sizes, middle * sizes, "--", color="#888888", lw=1, label="slope 1")
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("cells (n)" if name == "cells" else "perturbations (n)")
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3, which="both")
    np.atleast_1d(axes)[0].set_ylabel("CPU (s), one thread, SIMULATED")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Write subsets, measure each, and print fits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--draw", type=Path, help="draw what --json wrote, and measure nothing")
    parser.add_argument("--series", choices=SERIES, nargs="+", default=list(SERIES))
    parser.add_argument("--step", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--metrics", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        sys.stdout.write(json.dumps(measure(asked.step, asked.metrics)))
        return
    if asked.draw:
        found = json.loads(asked.draw.read_text())
    else:
        found = measured(asked)
    report(found)
    if asked.plot is not None:
        plot(found, asked.plot)


def measured(asked: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Measure each share of each series that is asked for, keeping what --json knows of others."""
    import dygenept as dg
    from dygenept.data.simulated.profiles import PROFILES, SIMULATION_VERSION
    from dygenept.machine.folders import default_data_dir

    asked.folder.mkdir(parents=True, exist_ok=True)
    dg.load_dataset("sim:k562")
    named = f"k562-scale1-seed{PROFILES['k562'].draw}-v{SIMULATION_VERSION}"
    made = default_data_dir() / "simulated" / named
    (source,) = made.glob("*.h5ad")
    found: dict[str, list[dict[str, float]]] = {}
    if asked.json is not None and asked.json.exists():
        found = json.loads(asked.json.read_text())
    for name in asked.series:
        found.pop(name, None)
    for axis in dict.fromkeys(SERIES[name][0] for name in asked.series):
        for share in sorted(asked.shares):
            path = asked.folder / "part.h5ad"
            sizes = subset(source, path, axis, share)
            for name in (name for name in asked.series if SERIES[name][0] == axis):
                row = {**sizes, **one_point(asked.folder, path, SERIES[name][1])}
                found.setdefault(name, []).append(row)
                sys.stdout.write(f"{name}: {row}\n")
                sys.stdout.flush()
            path.unlink()
            if asked.json is not None:
                asked.json.write_text(json.dumps(found, indent=1))
    return found


def one_point(folder: Path, path: Path, metrics: str) -> dict[str, float]:
    """Return the seconds of a file in a process of its own; the median of three.

    ``least`` and ``most`` are the seconds of the quickest and of the slowest of them.
    """
    command = [sys.executable, __file__, str(folder), "--step", str(path), "--metrics", metrics]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    runs: list[dict[str, float]] = []
    for _ in range(N_RUNS):
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=alone)
        runs.append(json.loads(done.stdout))
    runs.sort(key=lambda run: run["all"])
    return {**runs[len(runs) // 2], "least": runs[0]["all"], "most": runs[-1]["all"]}


if __name__ == "__main__":
    main()
