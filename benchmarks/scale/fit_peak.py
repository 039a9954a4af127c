"""What the fit of a model takes by itself at the size of a large screen, beside what it says.

Deltas are noise in a file (SIMULATED), one perturbation per gene; no data set is read. Memory is
that of the process beside pages of files, which a run keeps at 256 MiB, and with them::

    python benchmarks/scale/fit_peak.py FOLDER --known 5000 --held-out 5000 --genes 18000 ridge
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Event, Thread

import numpy as np


def status() -> Mapping[str, int]:
    """Return the memory of this process, by the system's names."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return {
        line.split(":")[0]: int(line.split()[1]) * 1024
        for line in lines
        if line.startswith(("VmRSS", "VmHWM", "RssAnon"))
    }


def main() -> None:
    """Fit and predict once, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where files without a name are made")
    parser.add_argument("model")
    parser.add_argument("--known", type=int, default=1000)
    parser.add_argument("--held-out", type=int, default=250)
    parser.add_argument("--genes", type=int, default=5000)
    parser.add_argument("--in-memory", action="store_true")
    asked = parser.parse_args()
    from dygenept.machine import tables
    from dygenept.plugin.environment import Environment
    from dygenept.plugin.specs import BaselineSpec
    from dygenept.types import Condition, FitSize, Perturbation, Runtime, Task

    asked.folder.mkdir(parents=True, exist_ok=True)
    specs = Environment.load().manager.specs(BaselineSpec)
    spec = next(spec for spec in specs if spec.name == asked.model)
    if spec.fit_bytes is None:
        sys.exit(f"{asked.model} goes through conditions in parts")
    n_known, n_genes = asked.known, asked.genes
    names = [f"P{number:06d}" for number in range(n_known + asked.held_out)]
    conditions = tuple(Condition(Perturbation(name, (name,)), "A") for name in names)
    folder = None if asked.in_memory else asked.folder
    means = tables.zeros((n_known, n_genes), np.float64, folder=folder)
    rng = np.random.default_rng(0)
    for part in tables.row_parts(n_known, n_genes):
        means[part] = rng.normal(size=(part.stop - part.start, n_genes))
    genes = tuple(f"G{number:06d}" for number in range(n_genes))
    task = Task(
        dataset="noise",
        is_simulated=True,
        gene_ids=genes,
        gene_symbols=genes,
        target_genes=tuple(names),
        cell_types=("A",),
        control_means=np.zeros((1, n_genes)),
        train=conditions[:n_known],
        val=(),
        means=means,
        n_cells=np.ones(n_known, dtype=np.int32),
        de_indices=np.zeros((n_known, 20), dtype=np.int32),
        runtime=Runtime(),
    )
    config = spec.config()
    size = FitSize(
        n_known=n_known,
        n_held_out=asked.held_out,
        n_genes=n_genes,
        n_targets=len(names),
        in_files=folder is not None,
    )
    before, peak, is_over = status(), [0], Event()

    def watch() -> None:
        while not is_over.wait(0.005):
            peak[0] = max(peak[0], status()["RssAnon"])

    watching = Thread(target=watch)
    watching.start()
    started = time.process_time()
    model = spec.factory(config)
    model.fit(task)
    fitted = time.process_time()
    model.predict(conditions[n_known:])
    predicted = time.process_time()
    is_over.set()
    watching.join()
    after = status()
    sys.stdout.write(
        f"{asked.model}: says {spec.fit_bytes(config, size) / 1e6:,.0f} MB, took "
        f"{(peak[0] - before['RssAnon']) / 1e6:,.0f} MB as far as a thread saw, "
        f"{(after['VmHWM'] - before['VmRSS']) / 1e6:,.0f} MB with pages of files; "
        f"{fitted - started:.1f} s of CPU to fit, {predicted - fitted:.1f} s to predict\n"
    )


if __name__ == "__main__":
    main()
