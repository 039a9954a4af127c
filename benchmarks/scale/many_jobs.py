"""A thousand small jobs through an executor: are results equal, and what does a job cost?

A SIMULATED file of 250 perturbations in 250 folds, four models in closed form, one metric: what
is left is the harness itself (cutting and guarding a task, records) and the executor. Each way runs
in a process of its own; seconds of CPU are those of all its processes, with Ray those of workers,
``raylet`` and ``gcs_server`` on this machine among them. What the clock waits for is read from the
scheduler (``/proc/PID/schedstat``) and, in one process, from the calls that flush a record::

    python benchmarks/scale/many_jobs.py FOLDER --executor inline --executor process
    ray start --head; python benchmarks/scale/many_jobs.py FOLDER --executor inline --executor ray
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

MODELS = ("control_mean", "perturbed_mean", "matching_mean", "random_train")
# What may differ between two runs of one job, the code among it, which may be edited meanwhile.
VOLATILE = ("timings", "peak_memory_bytes", "threads", "created", "key", "code")


def bench(folder: Path, executor: str, n_folds: int, jobs: int) -> dict[str, float]:
    """Run all jobs and say what they took, and what they found."""
    from dygenept.plugin.environment import Environment
    from dygenept.runs.runner import BenchRequest, run_bench

    request = BenchRequest(
        dataset=str(folder / "jobs.h5ad"),
        results=folder / f"results-{executor}-{n_folds}",
        models=MODELS,
        metrics=("mse",),
        n_folds=n_folds,
        jobs=1 if executor == "inline" else jobs,
        executor=executor,
        resume=False,
        keep_predictions=False,
    )
    environment = Environment.load()
    flushed = flushing()
    start = time.perf_counter()
    with cpu_of_ray() as of_ray, waiting_for_processors() as queued:
        outcome = run_bench(request, environment)
    wall = time.perf_counter() - start
    if outcome.failures:
        sys.exit(f"{len(outcome.failures)} failed: {next(iter(outcome.failures.items()))}")
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    records = [record.model_dump(mode="json", exclude=set(VOLATILE)) for record in outcome.records]
    (folder / f"records-{executor}-{n_folds}.json").write_text(json.dumps(records, sort_keys=True))
    return {
        "n_jobs": float(len(records)),
        "wall_s": wall,
        "cpu_s": sum(part.ru_utime + part.ru_stime for part in used) + of_ray(),
        "queued_s": queued(),
        "flushed_s": sum(flushed),
    }


def flushing() -> list[float]:
    """Return a list that gets the seconds of each flush to the disk of this process."""
    plain, seconds = os.fsync, list[float]()

    def timed(descriptor: int) -> None:
        start = time.perf_counter()
        plain(descriptor)
        seconds.append(time.perf_counter() - start)

    os.fsync = timed
    return seconds


@contextmanager
def waiting_for_processors() -> Iterator[Callable[[], float]]:
    """Add up the seconds that this process and its children were ready and had no processor.

    Of each the main thread, in which jobs run. Children are looked at five times a second, since
    they are gone when the body ends.
    """
    own, last = os.getpid(), dict[int, float]()
    is_over = Event()

    def look() -> None:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if own in (parent, int(folder.name)):
                    queued = int((folder / "schedstat").read_text().split()[1])
                    last[int(folder.name)] = queued / 1e9
            except (FileNotFoundError, ProcessLookupError):
                continue

    def watch() -> None:
        while not is_over.wait(0.2):
            look()

    look()
    before = last.get(own, 0.0)
    watching = Thread(target=watch)
    watching.start()
    try:
        yield lambda: sum(last.values()) - before
    finally:
        is_over.set()
        watching.join()
        look()


@contextmanager
def cpu_of_ray() -> Iterator[Callable[[], float]]:
    """Add up the seconds of CPU that Ray's processes take while the body runs.

    They are looked at twice a second, since workers are gone when the body ends.
    """
    first, last = seconds_of_ray(), dict[int, float]()
    is_over = Event()

    def watch() -> None:
        while not is_over.wait(0.5):
            last.update(seconds_of_ray())

    watching = Thread(target=watch)
    watching.start()
    try:
        yield lambda: sum(seconds - first.get(pid, 0.0) for pid, seconds in last.items())
    finally:
        is_over.set()
        watching.join()


def seconds_of_ray() -> dict[int, float]:
    """Return the seconds of CPU that each process of Ray here has taken."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes().split(b"\0")[0]
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if title.startswith(b"ray::") or title.endswith((b"raylet", b"gcs_server")):
            ticks = int(fields[11]) + int(fields[12])
            found[int(folder.name)] = ticks / os.sysconf("SC_CLK_TCK")
    return found


def main() -> None:
    """Run each executor on few and on many jobs; their difference leaves the start out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--executor", action="append", choices=("inline", "process", "ray"))
    parser.add_argument("--folds", type=int, default=250)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        executor, n_folds = asked.step
        sys.stdout.write(json.dumps(bench(asked.folder, executor, int(n_folds), asked.jobs)))
        return
    sys.path.insert(0, str(Path(__file__).parent))
    from large_file import write_file

    asked.folder.mkdir(parents=True, exist_ok=True)
    write_file(
        asked.folder / "jobs.h5ad",
        n_cells=2_500,
        n_genes=200,
        density=0.2,
        n_perturbations=asked.folds,
        seed=0,
    )
    found = {}
    for executor in asked.executor or ("inline", "process"):
        rows = []
        for n_folds in (5, asked.folds):
            command = [sys.executable, __file__, str(asked.folder), "--jobs", str(asked.jobs)]
            command += ["--step", executor, str(n_folds)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr[-2000:])
            rows.append(json.loads(done.stdout))
        few, many = rows
        n_more = many["n_jobs"] - few["n_jobs"]
        found[executor] = (asked.folder / f"records-{executor}-{asked.folds}.json").read_text()
        sys.stdout.write(
            f"{executor:<8} {many['n_jobs']:,.0f} jobs  {many['wall_s']:.1f} s  per job "
            f"{(many['cpu_s'] - few['cpu_s']) / n_more * 1000:.1f} ms of CPU, "
            f"{(many['wall_s'] - few['wall_s']) / n_more * 1000:.1f} ms of wall time, "
            f"{(many['queued_s'] - few['queued_s']) / n_more * 1000:.1f} ms without a processor, "
            f"{(many['flushed_s'] - few['flushed_s']) / n_more * 1000:.1f} ms flushing (inline)\n"
        )
    sys.stdout.write(f"equal records: {len(set(found.values())) == 1}\n")


if __name__ == "__main__":
    main()
