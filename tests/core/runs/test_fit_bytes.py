"""What a model says that a fit takes is what it takes: peak memory of a process.

The blocks that products are cut into are made small, so that whole arrays make most of the peak; or
all arrays are small enough not to be cut.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

SCRIPT = """
import json, os, sys
from pathlib import Path
from dygenept.machine import table_products, tables

# Before others take these numbers from there.
if sys.argv[1] == "blocks":
    table_products.BLOCK_VALUES = 1 << 17
    tables.PART_VALUES = 1 << 15

import numpy as np
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import BaselineSpec
from dygenept.types import Condition, FitSize, Perturbation, Runtime, Task

specs = {spec.name: spec for spec in Environment.load().manager.specs(BaselineSpec)}

def took(spec, config, folder, n_known, n_held_out, n_genes):
    names = [f"G{number:05d}" for number in range(n_known + n_held_out)]
    conditions = tuple(Condition(Perturbation(gene, (gene,)), "A") for gene in names)
    means = tables.zeros((n_known, n_genes), np.float64, folder=folder)
    rng = np.random.default_rng(0)
    for row in means:
        row[:] = rng.normal(size=n_genes)
    # A perturbation that changes nothing: rows that depend on each other are decomposed.
    means[-1] = 0.0
    task = Task(
        dataset="fit", is_simulated=True,
        gene_ids=tuple(f"O{gene}" for gene in range(n_genes)),
        gene_symbols=tuple(f"O{gene}" for gene in range(n_genes)),
        target_genes=tuple(names), cell_types=("A",), control_means=np.zeros((1, n_genes)),
        train=conditions[:n_known], val=(), means=means,
        n_cells=np.ones(n_known, dtype=np.int32),
        de_indices=np.zeros((n_known, 20), dtype=np.int32), runtime=Runtime(),
    )
    print("start", flush=True)
    asked.readline()
    model = spec.factory(config)
    model.fit(task)
    model.predict(conditions[n_known:])
    size = FitSize(
        n_known=n_known, n_held_out=n_held_out, n_genes=n_genes, n_targets=len(names),
        in_files=folder is not None,
    )
    return spec.fit_bytes(config, size)

def fit(name, folder, options, *shape):
    spec, folder = specs[name], Path(folder) if folder else None
    given = spec, spec.config(**options), folder
    # Once, so that what is loaded late is there, and what libraries for products keep.
    took(*given, 300, 100, 600)
    print("said", took(*given, *shape), flush=True)

# Each fit has a child of its own, which starts with what is loaded and nothing else.
asked = open(0, "rb", buffering=0)
while line := asked.readline():
    child = os.fork()
    if child == 0:
        print(os.getpid(), flush=True)
        fit(*json.loads(line))
        asked.readline()
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit("a fit failed")
"""
OPTIONS = {
    "ridge": {"alpha": None},
    "knn": {},
    # One decomposition of five, which is in memory alone.
    "gp": {"noise": 0.1},
    "linear": {},
    "linear_loo": {},
}
# Every array is given back when it is done with, so that the peak is that of arrays in use.
ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(1 << 16), "OMP_NUM_THREADS": "1"}
# What the allocator and Python keep.
SLACK = 2 << 20
# So often it is looked again where less than half was seen.
LOOKS = 4
# Known and held-out perturbations, and genes.
SHAPES = {"blocks": (900, 250, 1800), "whole": (900, 200, 1500)}


@pytest.fixture(scope="module")
def fits() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Start, for each way, the process whose children fit."""
    with ExitStack() as started:
        yield {way: started.enter_context(fitting(way)) for way in SHAPES}


@contextmanager
def fitting(way: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, way],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        env={**os.environ, **ENVIRONMENT},
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(
    ("in_files", "way"), [(False, "blocks"), (True, "blocks"), (True, "whole")]
)
def test_a_fit_takes_what_its_model_says(
    name: str, in_files: bool, way: str, tmp_path: Path, fits: dict[str, subprocess.Popen[bytes]]
) -> None:
    folder = str(tmp_path) if in_files else ""
    given = json.dumps([name, folder, OPTIONS[name], *SHAPES[way]])
    for _ in range(LOOKS):
        said, took = said_and_took(fits[way], given)
        assert took <= said + SLACK
        if said <= 2 * took:
            return
    # Nor is it refused where it would fit well.
    pytest.fail(f"it says {said} bytes and was seen to take {took}")


def said_and_took(fits: subprocess.Popen[bytes], given: str) -> tuple[int, int]:
    """Return what a model says, and the most that was seen: on a busy machine a peak is missed."""
    assert fits.stdin is not None
    assert fits.stdout is not None
    fits.stdin.write(f"{given}\n".encode())
    child = int(fits.stdout.readline())
    for _ in range(2):
        assert fits.stdout.readline() == b"start\n"
        before = peak = own_memory(child)
        fits.stdin.write(b"go\n")
    while not select.select([fits.stdout], [], [], 0.002)[0]:
        peak = max(peak, own_memory(child))
    said = int(fits.stdout.readline().split()[1])
    fits.stdin.write(b"go\n")
    return said, peak - before


def own_memory(pid: int) -> int:
    """Resident bytes of a process beside pages of files, which have a limit of their own."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
