"""A bench whose folds several processes share, started by torchrun or in a Ray cluster."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

Row = dict[str, object]

BENCH = """
import sys
import ray
from dygenept_cli.main import run
ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100_000_000)
try:
    run()
except SystemExit as end:
    assert not end.code, end.code
"""


def bench(program: list[str], *how: str, toy: Path, computed: Path, folder: Path) -> list[Row]:
    """Bench the toy in two processes; return the rows of the leaderboard that is printed."""
    arguments = ["--dataset", str(toy), "--model", "additive", "--model", "dygenept_small"]
    swapped = ["--facets", "identity", "--cell-encoder", "mlp", "--folds", "2", "--json"]
    settings = ("warm_start=false", "steps_per_epoch=2", "epochs=1", "n_members=1")
    quick = [part for setting in settings for part in ("--set", f"training.{setting}")]
    searched = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, *program, "bench", *arguments, *swapped, *quick, *how, "--results", "out"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": searched,
            "DYGENEPT_HOME": str(computed),
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            # Ray would make a token in the home folder of whoever runs this.
            "RAY_AUTH_MODE": "disabled",
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    rows: list[Row] = json.loads(done.stdout)["leaderboard"]
    assert {row["n_folds"] for row in rows} == {2}
    return rows


@pytest.fixture(scope="module")
def under_torchrun(
    toy: Path, computed: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Row], Path]:
    """Return the rows of a bench that torchrun starts, and the folder that it wrote in."""
    folder = tmp_path_factory.mktemp("torchrun")
    launch = ["-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "dygenept_cli.main"]
    return bench(launch, toy=toy, computed=computed, folder=folder), folder


@pytest.mark.slow
def test_bench_under_torchrun_prints_and_writes_once(
    under_torchrun: tuple[list[Row], Path],
) -> None:
    _, folder = under_torchrun
    files = sorted(path for path in (folder / "out").rglob("*") if path.is_file())
    assert [path.name for path in files if path.parent.name == "out"] == [".index"]
    kinds = [path.parent.name for path in files if path.parent.name not in (".locks", "out")]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        # Each with what pages show of it.
        "predictions": 8,
        "runs": 4,
        "splits": 1,
        "truth": 2,
    }
    assert not [path for path in files if path.name.startswith(".") and path.name != ".index"]
    records = [json.loads(path.read_text()) for path in (folder / "out" / "runs").glob("*.json")]
    shared = {record["base_model"]: record["chosen"] for record in records}
    assert shared["dygenept_small"]["trained_in_processes"] == 2
    assert "trained_in_processes" not in shared["additive"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_a_fold_in_two_processes_of_a_cluster_is_that_of_torchrun(
    under_torchrun: tuple[list[Row], Path], toy: Path, computed: Path, tmp_path: Path
) -> None:
    how = ("--executor", "ray", "--ranks", "2", "--quiet")
    rows = bench(["-c", BENCH], *how, toy=toy, computed=computed, folder=tmp_path)
    of_ray, of_torchrun = (
        {(row["model"], row["metric"]): row["mean"] for row in found}
        for found in (rows, under_torchrun[0])
    )
    assert of_ray == of_torchrun
    assert len({model for model, _ in of_ray}) == 2


def test_commands_that_share_no_work_are_refused_under_torchrun(
    cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    settings |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    result = cli("plugins", "list")
    assert result.code == 2
    assert "runs in one process; torchrun can start train, evaluate, bench" in result.err
