"""One fold of a large simulated file under ``--memory``: what each model takes, job by job.

Writes a SIMULATED file in blocks where there is none, cuts its perturbations as ``--folds`` does
and runs the first of the folds alone. The process is looked at once a second, so that CPU is told
from the clock, and peaks are those of each part of the run; writing a job's predictions counts as
its scoring. Records stay in the results folder: a run that is stopped goes on from there::

    python benchmarks/scale/one_fold.py big.h5ad RESULTS --cells 2500000 --genes 18000 \
        --density 0.01 --perturbations 10000 --memory 4G --model perturbed_mean --model ridge
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import h5py
from large_file import file_parser, write_asked

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Look:
    """What a process had taken at a moment.

    Attributes:
        clock: Seconds on the clock.
        cpu: Seconds of CPU until then.
        own: Bytes of memory beside pages of files.
        peak: Most resident bytes since the system's count was restarted.
        n_records: Records in the results folder.
    """

    clock: float
    cpu: float
    own: int
    peak: int
    n_records: int


def write_fold(path: Path, file: Path, n_folds: int) -> None:
    """Write the labels of the first of several folds of a file."""
    from dygenept.types import Perturbation, PerturbationData
    from dygenept_plugins.splits.kfold import Kfold, KfoldConfig

    with h5py.File(file, "r") as cells:
        labels = [text.decode() for text in cells["obs/condition/categories"][:]]
    named = [Perturbation(label, (label.split("+")[0],)) for label in labels if label != "ctrl"]
    data = cast(PerturbationData, SimpleNamespace(perturbations=tuple(named), name=file.stem))
    fold = Kfold(KfoldConfig()).folds(data, n_folds=n_folds, seed=42)[0]
    parts = {"train": fold.train, "val": fold.val, "test": fold.test}
    path.write_text(json.dumps(parts), encoding="utf-8")


def look(pid: int, records: Path) -> Look | None:
    """Look at a process; None where it has ended."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    status = {
        line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("Vm", "Rss"))
    }
    if "VmHWM" not in status:
        return None
    return Look(
        clock=time.time(),
        cpu=(int(after_name[11]) + int(after_name[12])) / TICKS,
        own=int(status["RssAnon"]) * 1024,
        peak=int(status["VmHWM"]) * 1024,
        n_records=len(list(records.glob("*.json"))),
    )


def tell(name: str, looks: list[Look]) -> None:
    """Print what a part of the run took."""
    if len(looks) < 2:
        return
    sys.stdout.write(
        f"{name:<28} {looks[-1].cpu - looks[0].cpu:8.1f} s of CPU "
        f"{looks[-1].clock - looks[0].clock:8.1f} s  "
        f"peak {max(one.peak for one in looks) / 1e6:8,.0f} MB, "
        f"without pages of files {max(one.own for one in looks) / 1e6:8,.0f} MB\n"
    )


def tell_jobs(looks: list[Look], records: Path) -> None:
    """Print each job's fit, prediction and scoring, and what is before the first of them."""
    read: list[dict[str, Any]] = [json.loads(path.read_text()) for path in records.glob("*.json")]
    read.sort(key=lambda record: record["created"])
    ends = [
        looks[place].clock
        for place in range(1, len(looks))
        if looks[place].n_records > looks[place - 1].n_records
    ]
    # Records that were there before are not of this run.
    for number, (end, record) in enumerate(zip(ends, read[len(read) - len(ends) :], strict=True)):
        took = record["timings"]
        scored = end - took["score_s"]
        predicted = scored - took["predict_s"]
        begun = predicted - took["fit_s"]
        if not number:
            tell("reading, means and tests", [one for one in looks if one.clock <= begun])
        edges = {"fit": (begun, predicted), "predict": (predicted, scored), "score": (scored, end)}
        for part, (first, last) in edges.items():
            tell(f"{record['model']}: {part}", [one for one in looks if first <= one.clock <= last])


def main() -> None:
    """Write the file if need be, run the fold, and print."""
    parser = file_parser(__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--memory", default="4G")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two looks")
    parser.add_argument("--model", action="append", required=True)
    asked = parser.parse_args()
    write_asked(asked)
    asked.results.mkdir(parents=True, exist_ok=True)
    fold, records = asked.results / "first_fold.json", asked.results / "runs"
    write_fold(fold, asked.path, asked.folds)
    command = [sys.executable, "-m", "dygenept_cli", "bench", "--dataset", str(asked.path)]
    command += [part for model in asked.model for part in ("--model", model)]
    command += ["--split", str(fold), "--memory", asked.memory, "--results", str(asked.results)]
    looks: list[Look] = []
    with subprocess.Popen([*command, "--quiet", "--json"], stdout=subprocess.DEVNULL) as process:
        while (found := look(process.pid, records)) is not None:
            looks.append(found)
            time.sleep(asked.every)
    tell_jobs(looks, records)
    tell("the whole command", looks)
    if process.returncode:
        sys.exit(process.returncode)


if __name__ == "__main__":
    main()
