from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_bench_under_torchrun_prints_and_writes_once(
    toy: Path, computed: Path, tmp_path: Path
) -> None:
    command = ["-m", "torch.distributed.run", "--nproc_per_node=2", "-m", "dygenept_cli.main"]
    arguments = ["--dataset", str(toy), "--model", "additive", "--model", "dygenept_small"]
    swapped = ["--facets", "identity", "--cell-encoder", "mlp", "--folds", "2", "--json"]
    settings = ("warm_start=false", "steps_per_epoch=2", "epochs=1", "n_members=1")
    quick = [part for setting in settings for part in ("--set", f"training.{setting}")]
    searched = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, *command, "bench", *arguments, *swapped, *quick, "--results", "out"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": searched,
            "DYGENEPT_HOME": str(computed),
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {row["n_folds"] for row in document["leaderboard"]} == {2}
    files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
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
