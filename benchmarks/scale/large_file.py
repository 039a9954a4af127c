"""Time, peak memory and throughput of a large simulated file, beside a plain sequential read.

Writes cells in blocks (never the whole matrix), then measures each step in a process of its own::

    python benchmarks/scale/large_file.py big.h5ad --cells 100000 --genes 5000 --density 0.02
    python benchmarks/scale/large_file.py big.h5ad --json points.json   # a file that is there

Values are noise on the log1p scale: this measures reading, not models. SIMULATED.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np

# Stored values that are in memory at a time, in the writer and in the plain read.
BLOCK = 1 << 22
CONTROL_SHARE = 0.05
STEPS = ("plain", "read", "means")


def write_file(
    path: Path, *, n_cells: int, n_genes: int, density: float, n_perturbations: int, seed: int
) -> None:
    """Write an ``.h5ad`` file of CSR float32 in blocks of rows; genes have real symbols."""
    from dygenept.knowledge.genes.tables import load_gene_tables

    genes = sorted(load_gene_tables().protein_coding)
    if max(n_genes, n_perturbations) > len(genes):
        sys.exit(f"there are names for {len(genes):,} genes and perturbations at most")
    rng = np.random.default_rng(seed)
    each = max(2, round(density * n_genes))
    rows = max(1, BLOCK // each)
    n_values = n_cells * each
    is_control = rng.random(n_cells) < CONTROL_SHARE
    codes = np.where(is_control, 0, 1 + np.arange(n_cells) % n_perturbations).astype(np.int32)
    with h5py.File(path, "w") as file:
        matrix = file.create_group("X")
        matrix.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        matrix.attrs["shape"] = np.array([n_cells, n_genes])
        data = matrix.create_dataset("data", (n_values,), np.float32)
        indices = matrix.create_dataset("indices", (n_values,), np.int32)
        matrix["indptr"] = np.arange(n_cells + 1, dtype=np.int64) * each
        stride = n_genes / each
        for first in range(0, n_cells, rows):
            n = min(rows, n_cells - first)
            # One gene in each of equal strips: sorted, distinct, and any of them.
            starts = np.floor(np.arange(each) * stride)
            width = np.floor((np.arange(each) + 1) * stride) - starts
            part = slice(first * each, (first + n) * each)
            indices[part] = (starts + np.floor(rng.random((n, each)) * width)).ravel()
            # A size factor per cell, so that values look like log1p of scaled counts.
            factor = rng.uniform(0.5, 2.0, (n, 1))
            data[part] = np.log1p(factor * (1 + rng.poisson(1.0, (n, each)))).ravel()
        labels = ["ctrl", *(f"{gene}+ctrl" for gene in genes[:n_perturbations])]
        _write_frame(file, "obs", np.char.add("C", np.arange(n_cells).astype(str)))
        _write_categories(file["obs"], "condition", labels, codes)
        _write_frame(file, "var", np.array(genes[:n_genes]))


def _write_frame(file: h5py.File, name: str, names: np.ndarray) -> None:
    group = file.create_group(name)
    group.attrs.update(
        {"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"}
    )
    group.attrs["column-order"] = np.array(
        ["condition"] if name == "obs" else [], dtype=h5py.string_dtype()
    )
    group["_index"] = names.astype("S")
    group["_index"].attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def _write_categories(group: h5py.Group, name: str, labels: list[str], codes: np.ndarray) -> None:
    column = group.create_group(name)
    column.attrs.update(
        {"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False}
    )
    column["codes"] = codes
    column.create_dataset("categories", data=labels, dtype=h5py.string_dtype())
    column["categories"].attrs.update(
        {"encoding-type": "string-array", "encoding-version": "0.2.0"}
    )


def file_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the path of a file and of what is written where it is not there."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("path", type=Path)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=5_000)
    parser.add_argument("--density", type=float, default=0.02)
    parser.add_argument("--perturbations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def write_asked(asked: argparse.Namespace) -> None:
    """Write the file that ``file_parser`` was asked for, where it is not there."""
    if not asked.path.exists():
        write_file(
            asked.path,
            n_cells=asked.cells,
            n_genes=asked.genes,
            density=asked.density,
            n_perturbations=asked.perturbations,
            seed=asked.seed,
        )


def measure(step: str, path: Path) -> dict[str, float]:
    """Run a step in this process and say what it took."""
    start, cpu = time.perf_counter(), time.process_time()
    if step == "plain":
        with h5py.File(path, "r") as file:
            for name in ("data", "indices"):
                item = file["X"][name]
                for first in range(0, item.shape[0], BLOCK):
                    item[first : first + BLOCK].sum()
    else:
        from dygenept.data.de.lists import de_genes
        from dygenept.data.pseudobulk import pseudobulk
        from dygenept.data.reading.anndata_file import read_anndata

        start, cpu = time.perf_counter(), time.process_time()
        cells = read_anndata(path)
        if step == "means":
            means = pseudobulk(cells)
            de_genes(cells, means, list_name="top_non_dropout_de_20")
    wall, used = time.perf_counter() - start, time.process_time() - cpu
    return {"wall_s": wall, "cpu_s": used, "peak_bytes": peak_bytes()}


def peak_bytes() -> int:
    """Peak resident memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def main() -> None:
    """Write the file if it is not there, measure each step, and print a table."""
    parser = file_parser(__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=3, help="of each step; the median is printed")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        sys.stdout.write(json.dumps(measure(asked.step, asked.path)))
        return
    write_asked(asked)
    with h5py.File(asked.path, "r") as file:
        n_values, n_cells = file["X/data"].shape[0], len(file["X/indptr"]) - 1
    matrix = n_values * 8 + (n_cells + 1) * 4
    found = {}
    sys.stdout.write(f"{n_values:,} values, {matrix / 1e6:,.0f} MB as CSR\n")
    for step in STEPS:
        command = [sys.executable, __file__, str(asked.path), "--step", step]
        runs = []
        for _ in range(asked.runs):
            done = subprocess.run(command, check=True, capture_output=True, env=os.environ)
            runs.append(json.loads(done.stdout))
        runs.sort(key=lambda run: run["cpu_s"])
        row = found[step] = runs[len(runs) // 2]
        least, most = runs[0]["cpu_s"], runs[-1]["cpu_s"]
        row |= {"least_s": least, "most_s": most}
        sys.stdout.write(
            f"{step:<6} {row['cpu_s']:8.2f} s of CPU ({least:.2f} to {most:.2f})  "
            f"{row['wall_s']:8.2f} s  "
            f"{n_values / row['cpu_s'] / 1e6:8.1f} million values/s of CPU  "
            f"{row['cpu_s'] / found['plain']['cpu_s']:6.1f} x plain  "
            f"peak {row['peak_bytes'] / 1e6:,.0f} MB\n"
        )
    if asked.json is not None:
        asked.json.write_text(json.dumps({"n_values": n_values, "steps": found}, indent=1))


if __name__ == "__main__":
    main()
