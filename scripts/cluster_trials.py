"""Try a cluster of two nodes on one machine: two network namespaces, joined by a cable.

What is tried: a bench on both nodes by Ray, the same with one node killed midway, the same with the
head killed and started again, one training by torchrun over both nodes, and a bench whose jobs have
two processes each: two jobs at once, one a node; a job on both nodes; the same with one process
killed midway. Each must give what one process, or one launch of two by torchrun, gives. Needs root,
iproute2, and Ray in this environment (``pip install '.[ray]'``).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from safetensors.numpy import load_file

NODES = {"dygenept-1": "10.77.0.1", "dygenept-2": "10.77.0.2"}
HEAD, OTHER = NODES
PORT = 6399
DYGENEPT = (sys.executable, "-c", "from dygenept_cli.main import run; run()")
# Jobs of a second or more, so that something is left to do when a node dies.
BENCH = (
    *("bench", "--dataset", "sim:norman@0.05", "--model", "ridge_go", "--model", "dygenept_small"),
    *("--facets", "random768", "--cell-encoder", "none", "--set", "training.epochs=2"),
    *("--json", "--quiet"),
)
TRAIN = (
    *("train", "--dataset", "sim:norman@0.05", "--model", "dygenept_small", "--facets"),
    *("random768", "--cell-encoder", "none", "--set", "training.warm_start=false"),
    *("--set", "training.epochs=2", "--set", "training.n_members=1", "--quiet"),
)
WAIT_S = 600


def main() -> None:
    """Run the trials and print what each gave."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[trial.__name__ for trial in TRIALS], action="append")
    chosen = parser.parse_args().only
    folder = Path(tempfile.mkdtemp(prefix="dygenept-cluster-"))
    failed = False
    try:
        for trial in TRIALS:
            if chosen and trial.__name__ not in chosen:
                continue
            started = time.monotonic()
            with joined_nodes():
                said = trial(folder)
            failed |= said.startswith("DIFFERS")
            seconds = time.monotonic() - started
            sys.stdout.write(f"{trial.__name__}: {said} ({seconds:.0f} s)\n")
            sys.stdout.flush()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(failed)


def folds_times_ranks(folder: Path) -> str:
    """Train two folds at once, each in two processes of one node."""
    with ray_cluster(n_cpus=2):
        bench = start(HEAD, (*BENCH, *spread(folder / "ranks"), "--ranks", "2"))
        most = dict.fromkeys(NODES, 0)
        while bench.poll() is None:
            for name in NODES:
                most[name] = max(most[name], len(ranks_on(name)))
            time.sleep(1)
        said = compared_ranks(ended(bench), folder / "ranks", folder)
    return f"{said}; most processes at work on a node: {most[HEAD]} and {most[OTHER]}"


def a_rank_on_each_node(folder: Path) -> str:
    """Train one fold at a time, in one process on each node."""
    with ray_cluster():
        flags = ("--executor", "ray", "--ranks", "2", "--results", str(folder / "apart"))
        result = on(HEAD, (*BENCH, *flags))
    return compared_ranks(result, folder / "apart", folder)


def a_rank_dies(folder: Path) -> str:
    """Kill one of the two processes that share a job, each on a node, while they do."""
    flags = ("--executor", "ray", "--ranks", "2", "--results", str(folder / "lost"))
    with ray_cluster():
        bench = start(HEAD, (*BENCH, *flags))
        n_done = wait_for_records(folder / "lost", bench)
        killed = ranks_on(OTHER)
        assert killed
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        result = ended(bench)
    said = compared_ranks(result, folder / "lost", folder)
    return f"{said}, killed after {n_done} of 10 jobs"


def two_nodes(folder: Path) -> str:
    """Bench on both nodes."""
    with ray_cluster():
        result = on(HEAD, (*BENCH, *spread(folder / "two")))
    return compared(result, folder)


def a_node_dies(folder: Path) -> str:
    """Kill the other node when the first records are there."""
    with ray_cluster():
        bench = start(HEAD, (*BENCH, *spread(folder / "dies")))
        n_done = wait_for_records(folder / "dies", bench)
        kill_all(OTHER)
        result = ended(bench)
    return f"{compared(result, folder)}, killed after {n_done} of 10 jobs"


def the_head_restarts(folder: Path) -> str:
    """Kill the head and the bench when the first records are there, and repeat the command."""
    command = (*BENCH, *spread(folder / "head"))
    with ray_cluster():
        bench = start(HEAD, command)
        wait_for_records(folder / "head", bench)
        kill_all(HEAD)
        bench.wait(timeout=WAIT_S)
        n_kept = len(records(folder / "head"))
        kill_all(OTHER)
    with ray_cluster():
        result = on(HEAD, command)
    return f"{compared(result, folder)}, {n_kept} of 10 jobs were kept"


def one_training(folder: Path) -> str:
    """Train one model by torchrun, a process on each node, and in two processes on one."""
    found = []
    for hosts in ((HEAD, OTHER), (HEAD,)):
        output = folder / f"model-{len(hosts)}"
        running = [
            start_torchrun(host, len(hosts), output, number) for number, host in enumerate(hosts)
        ]
        for process in running:
            ended(process)
        found.append(output)
    same = weights_of(found[0]) == weights_of(found[1])
    return "the same weights, bit for bit" if same else "DIFFERS from two processes on one node"


TRIALS = (
    *(two_nodes, a_node_dies, the_head_restarts, one_training),
    *(folds_times_ranks, a_rank_on_each_node, a_rank_dies),
)


def spread(results: Path) -> tuple[str, ...]:
    """Return the flags of a bench on the cluster."""
    return ("--executor", "ray", "--jobs", "2", "--results", str(results))


def compared(result: str, folder: Path) -> str:
    """Compare a board with that of one process."""
    alone = folder / "alone.json"
    if not alone.exists():
        results = str(folder / "alone")
        alone.write_text(on(HEAD, (*BENCH, "--results", results)))
    same = scores(result) == scores(alone.read_text())
    return "the same board" if same else "DIFFERS from the board of one process"


def compared_ranks(result: str, results: Path, folder: Path) -> str:
    """Compare board and predictions with those of one launch of two processes by torchrun."""
    alone = folder / "torchrun"
    if not alone.exists():
        command = (*BENCH, "--results", str(alone))
        (folder / "torchrun.json").write_text(ended(start(HEAD, command, torchrun(1, 0))))
    if scores(result) != scores((folder / "torchrun.json").read_text()):
        return "DIFFERS from the board of two processes by torchrun"
    mine, theirs = predictions(results), predictions(alone)
    if mine.keys() != theirs.keys():
        return "DIFFERS from torchrun in what was predicted"
    unequal = [key for key, table in mine.items() if not table.equals(theirs[key])]
    if unequal:
        return f"DIFFERS from torchrun in predictions of {len(unequal)} of {len(mine)} jobs"
    return f"board and predictions of two processes by torchrun, bit for bit ({len(mine)} jobs)"


def predictions(results: Path) -> dict[str, pl.DataFrame]:
    """Return the predictions of each job by its key."""
    found = sorted((results / "predictions").glob("*.parquet"))
    tables = {path.name: pl.read_parquet(path) for path in found if path.name.count(".") == 1}
    assert len(tables) == 10
    return tables


def scores(document: str) -> list[object]:
    """Return what a board says, without when and where it was computed."""
    if not document.startswith("{"):
        raise SystemExit(f"stdout is not a document: {document[:2000]}")
    rows = json.loads(document)["leaderboard"]
    assert rows
    assert {row["n_folds"] for row in rows} == {5}
    return sorted([row["model"], row["metric"], row["mean"], row["pooled"]] for row in rows)


def weights_of(model: Path) -> dict[str, bytes]:
    """Return the bytes of each of a model's tensors."""
    tensors = load_file(model / "model.safetensors")
    assert tensors
    return {name: values.tobytes() for name, values in tensors.items()}


@contextmanager
def joined_nodes() -> Iterator[None]:
    """Make two network namespaces and a cable between them."""
    remove_nodes()
    ends = dict(zip(NODES, ("dygenept-a", "dygenept-b"), strict=True))
    for name in NODES:
        run("ip", "netns", "add", name)
    first, second = ends.values()
    run("ip", "link", "add", first, "type", "veth", "peer", "name", second)
    for name, address in NODES.items():
        run("ip", "link", "set", ends[name], "netns", name)
        inside = ("ip", "netns", "exec", name, "ip")
        run(*inside, "address", "add", f"{address}/24", "dev", ends[name])
        run(*inside, "link", "set", ends[name], "up")
        run(*inside, "link", "set", "lo", "up")
    try:
        yield
    finally:
        remove_nodes()


def remove_nodes() -> None:
    """Kill what runs in the namespaces and remove them."""
    there = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    for name in NODES:
        if name in there.stdout:
            kill_all(name)
            run("ip", "netns", "delete", name)


@contextmanager
def ray_cluster(n_cpus: int = 1) -> Iterator[None]:
    """Start Ray on both nodes, with so many CPUs each."""
    common = ("--num-cpus", str(n_cpus), "--disable-usage-stats")
    common += ("--object-store-memory", "200000000")
    head = ("--head", "--port", str(PORT), "--include-dashboard", "false")
    for name, where in ((HEAD, head), (OTHER, ("--address", f"{NODES[HEAD]}:{PORT}"))):
        ray = (sys.executable, "-m", "ray.scripts.scripts", "start", *where, *common)
        run(*inside(name), *ray, "--node-ip-address", NODES[name], env=environment(name))
    try:
        yield
    finally:
        for name in NODES:
            kill_all(name)


def environment(name: str) -> dict[str, str]:
    """Return the environment of what runs on a node."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "RAY_ADDRESS": f"{NODES[HEAD]}:{PORT}",
        # Ray's own patience with a node that says nothing is half a minute.
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "5000",
        "GLOO_SOCKET_IFNAME": "dygenept-a" if name == HEAD else "dygenept-b",
        # Nobody else is on the cable, and a token in the home folder would keep a node out.
        "RAY_AUTH_MODE": "disabled",
        "OMP_NUM_THREADS": "1",
    }


def inside(name: str) -> tuple[str, ...]:
    """Return what runs a command on a node."""
    return ("ip", "netns", "exec", name)


def start(
    name: str, command: Sequence[str], program: Sequence[str] = DYGENEPT
) -> subprocess.Popen[str]:
    """Start the program on a node."""
    whole = [*inside(name), *program, *command]
    pipe = subprocess.PIPE
    return subprocess.Popen(whole, env=environment(name), stdout=pipe, stderr=pipe, text=True)


def start_torchrun(name: str, n_nodes: int, output: Path, number: int) -> subprocess.Popen[str]:
    """Start one of two processes of a training on a node, or both on one."""
    return start(name, (*TRAIN, "--output", str(output)), torchrun(n_nodes, number))


def torchrun(n_nodes: int, number: int) -> tuple[str, ...]:
    """Return what runs the program in two processes in all, and is the node of this number."""
    launch = (sys.executable, "-m", "torch.distributed.run", "--nnodes", str(n_nodes))
    rendezvous = ("--master_addr", NODES[HEAD], "--master_port", "29511")
    each = ("--nproc_per_node", str(2 // n_nodes), "--node_rank", str(number))
    return (*launch, *each, *rendezvous, "-m", "dygenept_cli.main")


def on(name: str, command: Sequence[str]) -> str:
    """Run the program on a node and return what it prints."""
    return ended(start(name, command))


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for a process and return what it printed."""
    out, err = process.communicate(timeout=WAIT_S)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {err[-2000:]}")
    return out


def records(results: Path) -> list[Path]:
    """Return the records in a results folder."""
    return sorted((results / "runs").glob("*.json"))


def wait_for_records(results: Path, bench: subprocess.Popen[str]) -> int:
    """Wait until some jobs are recorded, and return how many."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until and bench.poll() is None:
        if len(records(results)) >= 2:
            return len(records(results))
        time.sleep(0.2)
    raise SystemExit(f"nothing to kill: {bench.poll()}")


def kill_all(name: str) -> None:
    """Kill every process of a node, as if it lost power."""
    for pid in pids_on(name):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def pids_on(name: str) -> list[int]:
    """Return the processes of a node."""
    found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split()]


def ranks_on(name: str) -> list[int]:
    """Return the processes of a node that run a job now; Ray writes that into their titles."""
    return [pid for pid in pids_on(name) if title_of(pid).startswith("ray::RayRank.run")]


def title_of(pid: int) -> str:
    """Return what a process calls itself."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def run(*command: str, env: dict[str, str] | None = None) -> None:
    """Run a command, and stop with what it said where it fails."""
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}{done.stdout}")


if __name__ == "__main__":
    main()
