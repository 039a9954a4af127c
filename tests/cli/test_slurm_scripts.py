"""The scripts for SLURM, with its and Ray's commands replaced by ones that write down their use.

docs/scale.md says on what SLURM they were run.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts" / "slurm"
JOB = {"SLURM_JOB_ID": "12345", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "node[1-2]"}


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder of commands that append how they were called to the file ``calls`` beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    log = tmp_path / "calls"
    # The bench takes longer than the nodes, which are started beside it.
    waits = f"for _ in {{1..100}}; do grep -q ^srun {log} && break; sleep 0.1; done"
    said = {
        "scontrol": "printf 'node1\\nnode2\\n'",
        "hostname": "echo 10.0.0.1 10.0.0.2",
        "dygenept": waits,
    }
    for name in ("srun", "dygenept", "ray", "scontrol", "hostname"):
        # A node of Ray runs until it is told to end.
        runs = 'case "$*" in *--block*) exec sleep 60;; esac' if name in ("ray", "srun") else ":"
        text = f'#!/bin/bash\n{said.get(name, ":")}\necho "{name} $*" >> {log}\n{runs}\n'
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def calls(commands: Path, script: str, *arguments: str, **job: str) -> list[str]:
    """Run a script as SLURM does, and return how it called what; ``scontrol`` is left out."""
    done = subprocess.run(
        ["bash", str(SCRIPTS / script), *arguments],
        env={"PATH": f"{commands}:{os.environ['PATH']}", **JOB, **job},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    lines = (commands.parent / "calls").read_text().splitlines()
    return [line for line in lines if not line.startswith(("scontrol", "hostname"))]


def test_a_training_has_a_process_for_each_gpu_and_meets_on_the_first_node(commands: Path) -> None:
    (call,) = calls(commands, "train.sh", "--dataset", "k562", SLURM_GPUS_ON_NODE="8")
    assert call == (
        "srun --kill-on-bad-exit=1 torchrun --nnodes 2 --nproc_per_node 8 --rdzv_id 12345 "
        "--rdzv_backend c10d --rdzv_endpoint node1:22345 -m dygenept_cli.main train --dataset k562"
    )


def test_the_number_of_processes_can_be_given(commands: Path) -> None:
    (call,) = calls(commands, "train.sh", SLURM_GPUS_ON_NODE="8", PROCESSES="3")
    assert "--nproc_per_node 3 " in call


def test_a_task_of_an_array_runs_the_whole_bench(commands: Path) -> None:
    assert calls(commands, "folds.sh", "--model", "ridge_go") == [
        "srun dygenept bench --model ridge_go"
    ]


def test_a_bench_finds_a_cluster_of_all_nodes_and_ends_with_it(commands: Path) -> None:
    job = {"SLURM_CPUS_PER_TASK": "16", "SLURM_GPUS_ON_NODE": "8"}
    head, *others = sorted(calls(commands, "ray.sh", "--ranks", "4", **job))
    size = "--num-cpus 16 --num-gpus 8 --disable-usage-stats --block"
    assert head == "dygenept bench --executor ray --ranks 4"
    assert others == [
        "ray health-check --address 10.0.0.1:22345",
        "ray start --head --node-ip-address 10.0.0.1 --port 22345 --include-dashboard false "
        f"--temp-dir /tmp/ray-12345 {size}",
        "srun --nodes 1 --ntasks 1 --exclude node1 ray start --address 10.0.0.1:22345 " + size,
    ]
