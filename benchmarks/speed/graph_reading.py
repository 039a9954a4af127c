"""How long the files of knowledge graphs take to read: first, and from the cache.

Each reading is a process of its own with all protein-coding genes requested; printed is the median
of three, with the smallest and the largest: seconds of CPU and by the clock (without imports), and
peak resident memory of the process. STRING's file is made up, in the layout and size of
``links.detailed``; GO is that of the tables that ship::

    python benchmarks/speed/graph_reading.py FOLDER [--edges biogrid_edges.tsv.gz]
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

N_PROTEINS, N_PAIRS = 19_622, 6_850_000
# Share of pairs of which a channel says nothing.
SILENT = {
    "neighborhood": 0.97,
    "fusion": 0.99,
    "cooccurence": 0.98,
    "coexpression": 0.35,
    "experimental": 0.6,
    "database": 0.95,
    "textmining": 0.17,
}
SOURCES = {
    "string": "dygenept_plugins.kg_sources.string",
    "edges": "dygenept_plugins.kg_sources.user_files",
    "go": "dygenept_plugins.kg_sources.go",
}


def write_string(folder: Path) -> None:
    """Write made-up links of both directions, sorted as STRING sorts them, and the names."""
    import polars as pl

    from dygenept.knowledge.genes.tables import load_gene_tables

    rng = np.random.default_rng(0)
    ids = np.array([f"9606.ENSP{number:011d}" for number in range(N_PROTEINS)])
    drawn = np.unique(rng.integers(0, N_PROTEINS**2, 3 * N_PAIRS))
    first, second = np.divmod(drawn, N_PROTEINS)
    pairs = rng.permutation(np.flatnonzero(first < second))[:N_PAIRS]
    first, second = first[pairs], second[pairs]
    scores = {
        name: np.where(rng.random(N_PAIRS) < silent, 0, rng.beta(1, 5, N_PAIRS) * 959 + 41)
        for name, silent in SILENT.items()
    }
    both = {name: np.tile(values.astype(np.int32), 2) for name, values in scores.items()}
    one, other = np.concatenate([first, second]), np.concatenate([second, first])
    order = np.lexsort((other, one))
    table = pl.DataFrame({"protein1": ids[one[order]], "protein2": ids[other[order]]})
    table = table.with_columns(pl.Series(name, both[name][order]) for name in both)
    combined = pl.max_horizontal(*both).clip(150, 999).alias("combined_score")
    table = table.with_columns(combined)
    with gzip.open(folder / "9606.protein.links.detailed.v12.0.txt.gz", "wb", 6) as file:
        table.write_csv(file, separator=" ")  # type: ignore[call-overload]
    names = load_gene_tables().protein_coding
    rows = [f"{ids[row]}\t{names[row % len(names)]}\t100\tmade up" for row in range(N_PROTEINS)]
    info = "\n".join(["#string_protein_id\tpreferred_name\tprotein_size\tannotation", *rows, ""])
    with gzip.open(folder / "9606.protein.info.v12.0.txt.gz", "wt") as file:
        file.write(info)


def read_once(source: str, options: dict[str, object], cache: Path) -> dict[str, float]:
    """Read a graph and return seconds, peak bytes and the number of edges."""
    from dygenept.knowledge.genes.tables import load_gene_tables
    from dygenept.plugin.manager import PluginManager
    from dygenept.plugin.specs import KgSourceSpec
    from dygenept.types import Runtime

    spec = PluginManager.load([SOURCES[source]], entry_points=False).get(KgSourceSpec, source)
    genes = load_gene_tables().protein_coding
    began, used = time.perf_counter(), time.process_time()
    opened = spec.factory(spec.config.model_validate(options))
    graph = opened.graph(genes, Runtime(cache_dir=cache))
    return {
        "cpu_s": time.process_time() - used,
        "clock_s": time.perf_counter() - began,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "edges": graph.weights.nnz // 2,
    }


def measure(name: str, source: str, options: dict[str, object], folder: Path, runs: int) -> None:
    """Print what several first readings take, and what each takes again from its cache."""
    readings: dict[str, list[dict[str, Any]]] = {"first": [], "from the cache": []}
    for _ in range(runs):
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            for found in readings.values():
                command = [sys.executable, __file__, str(folder), "--step", source]
                command += ["--options", json.dumps(options), "--cache", cache]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
                found.append(json.loads(done.stdout))
    for when, found in readings.items():
        parts = [f"{name}, {when}: {found[0]['edges']:,} edges"]
        for key, unit, label in (
            ("cpu_s", 1, "s of CPU"),
            ("clock_s", 1, "s by the clock"),
            ("peak_bytes", 1e9, "GB"),
        ):
            values = sorted(run[key] / unit for run in found)
            middle = statistics.median(values)
            parts.append(f"{middle:.2f} {label} ({values[0]:.2f} to {values[-1]:.2f})")
        sys.stdout.write("; ".join(parts) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Write STRING's file where it is not there yet, and measure each graph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--edges", type=Path, help="a table of gene pairs, such as BioGRID's")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=("string", "string of all scores", "go", "edges"))
    parser.add_argument("--step", choices=SOURCES, help=argparse.SUPPRESS)
    parser.add_argument("--options", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        sys.stdout.write(json.dumps(read_once(asked.step, asked.options, asked.cache)))
        return
    made = asked.folder / "string"
    graphs: list[tuple[str, str, dict[str, object]]] = [
        ("string", "string", {"path": str(made)}),
        ("string of all scores", "string", {"path": str(made), "min_score": 1}),
        ("go", "go", {}),
    ]
    if asked.edges is not None:
        graphs.append(("edges", "edges", {"path": str(asked.edges)}))
    if not made.is_dir():
        made.mkdir(parents=True)
        write_string(made)
    for name, source, options in graphs:
        if asked.only in (None, name):
            measure(name, source, options, asked.folder, asked.runs)


if __name__ == "__main__":
    main()
