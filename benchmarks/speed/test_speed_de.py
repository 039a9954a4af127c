"""DE lists of every condition, and DE tests of every gene, beside scanpy's and GEARS' own.

``DYGENEPT_GEARS_PYTHON`` names the interpreter of an environment with cell-gears 0.1.2 and scanpy;
the comparison is skipped without it. Full size (``DYGENEPT_SPEED_SCALE=1``) is 53,680 cells × 5,000
genes × 1,093 conditions, control among them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dygenept.data.de.lists import de_genes
from dygenept.data.de.tests import de_tests
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.simulated.profiles import PROFILES, SimulationProfile

pytestmark = pytest.mark.benchmark(group="DE lists beside scanpy and GEARS")

IS_FULL = float(os.environ.get("DYGENEPT_SPEED_SCALE", "0.01")) >= 1
TIMES_FASTER = 10
SHAPE = replace(
    PROFILES["k562"],
    n_cells=53_680 if IS_FULL else 700,
    n_genes=5_000 if IS_FULL else 200,
    n_controls=3_500 if IS_FULL else 100,
    n_singles=1_092 if IS_FULL else 20,
)


@pytest.fixture(scope="module")
def file(
    tmp_path_factory: pytest.TempPathFactory, write_shape: Callable[[SimulationProfile, Path], None]
) -> Path:
    """Cells without DE lists of their own."""
    path = tmp_path_factory.mktemp("de") / "cells.h5ad"
    write_shape(SHAPE, path)
    adata = anndata.read_h5ad(path)
    for name in [name for name in adata.uns if name.startswith(("top_", "rank_", "non_"))]:
        del adata.uns[name]
    adata.write_h5ad(path)
    return path


def reported(command: list[str | Path], environment: dict[str, str]) -> dict[str, object]:
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    document: dict[str, object] = json.loads(done.stdout.strip().splitlines()[-1])
    return document


def test_lists_of_all_conditions(benchmark: BenchmarkFixture, file: Path) -> None:
    data = read_anndata(file)
    found = benchmark(lambda: de_genes(data, pseudobulk(data)))
    assert found.origin == "computed"
    assert (found.indices[:, 0] >= 0).all()


def test_rank_sum_tests_of_every_gene(benchmark: BenchmarkFixture, file: Path) -> None:
    data = read_anndata(file)
    means = pseudobulk(data)
    found = benchmark.pedantic(de_tests, args=(data, means), rounds=1)
    assert found.is_significant.shape == means.means.shape


def test_the_same_lists_beside_scanpy_and_gears(benchmark: BenchmarkFixture, file: Path) -> None:
    python = os.environ.get("DYGENEPT_GEARS_PYTHON")
    if not python:
        pytest.skip("DYGENEPT_GEARS_PYTHON names no interpreter with cell-gears 0.1.2")
    here = Path(__file__)
    ours = benchmark.pedantic(
        reported,
        args=([sys.executable, here.with_name("our_de.py"), file], dict(os.environ)),
        rounds=1,
    )
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    peer = reported([python, here.with_name("gears_de.py"), file], bare)
    assert ours["origins"] == ["computed"]
    our_lists, peer_lists = ours.pop("lists"), peer.pop("lists")
    assert isinstance(our_lists, dict)
    assert isinstance(peer_lists, dict)
    differing = [
        f"{name} {label}"
        for name, lists in peer_lists.items()
        for label, genes in lists.items()
        if our_lists[name][label] != genes
    ]
    n_lists = sum(len(lists) for lists in peer_lists.values())
    ratio = (float(str(peer["rank_s"])) + float(str(peer["filter_s"]))) / float(
        str(ours["seconds"])
    )
    benchmark.extra_info.update(
        {"ours": ours, "gears": peer, "times_faster": ratio, "differing": differing}
    )
    line = f"ours {ours}; scanpy and GEARS {peer}; {ratio:.1f} × faster"
    print(f"\n{line}; {len(differing)} of {n_lists} lists differ: {differing[:5]}")  # noqa: T201
    assert not differing
    if IS_FULL:
        assert ratio >= TIMES_FASTER
