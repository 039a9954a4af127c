"""A bench whose folds several processes of a Ray cluster share; skipped where Ray is absent."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = """
import sys
import ray
from dygenept_cli.main import run
if "ray" in sys.argv:
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100_000_000)
try:
    run()
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_fold_in_two_processes_of_a_cluster_is_that_of_torchrun(
    toy: Path, computed: Path, tmp_path: Path
) -> None:
    settings = ("warm_start=false", "steps_per_epoch=2", "epochs=1", "n_members=1")
    arguments = ["bench", "--dataset", str(toy), "--model", "dygenept_small", "--folds", "2"]
    arguments += ["--facets", "identity", "--cell-encoder", "mlp", "--json", "--quiet"]
    arguments += [part for setting in settings for part in ("--set", f"training.{setting}")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "DYGENEPT_HOME": str(computed),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    found = {}
    torchrun = ["-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "dygenept_cli.main"]
    ways: dict[str, tuple[list[str], list[str]]] = {
        "torchrun": (torchrun, []),
        "ray": (["-c", BENCH], ["--executor", "ray", "--ranks", "2"]),
    }
    for name, (program, how) in ways.items():
        done = subprocess.run(
            [sys.executable, *program, *arguments, *how, "--results", str(tmp_path / name)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)["leaderboard"]
        assert {row["n_folds"] for row in rows} == {2}
        found[name] = {row["metric"]: row["mean"] for row in rows if row["mean"] is not None}
    assert found["ray"] == found["torchrun"]
