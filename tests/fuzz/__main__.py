"""`make fuzz`: damaged files for every reader; see docs/reliability.md."""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzz.harness import (
    Cases,
    Plan,
    Tally,
    bound_memory,
    example_command,
    preload,
    run_host,
    shares,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000, help="inputs, over all readers")
    parser.add_argument("--minutes", type=float, default=600, help="stop after so many minutes")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--readers", default="", help="comma-separated; all where none is named")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--replay", type=int, help="read this input and show what comes of it")
    parser.add_argument("--seeds", type=Path, help="folder of valid files; made where it is absent")
    parser.add_argument("--host", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.host:
        plan_path, answer = options.host.split(":")
        Path(answer).write_bytes(pickle.dumps(run_host(pickle.loads(Path(plan_path).read_bytes()))))
        return 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        return _run(options, Path(scratch))


def _run(options: argparse.Namespace, scratch: Path) -> int:
    from fuzz.seeds import MAKERS

    readers = tuple(name for name in options.readers.split(",") if name) or tuple(MAKERS)
    seeds = options.seeds or scratch / "seeds"
    absent = [name for name in readers if not (seeds / name).is_dir()]
    if absent:
        subprocess.run(
            [sys.executable, "-m", "fuzz.seeds", str(seeds), *absent],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    if options.replay is not None:
        return _replay(seeds, readers[0], options.seed, options.replay, scratch)
    started = time.monotonic()
    until = started + options.minutes * 60
    each = -(-options.inputs // len(readers))
    tally = Tally()
    hosts = []
    for number, (first, last) in enumerate(shares(readers, each, options.processes)):
        plan, answer = scratch / f"plan-{number}", scratch / f"answer-{number}"
        plan.write_bytes(pickle.dumps(Plan(seeds, readers, options.seed, first, last, until)))
        hosts.append(
            (subprocess.Popen([sys.executable, "-m", "fuzz", "--host", f"{plan}:{answer}"]), answer)
        )
    for host, answer in hosts:
        if host.wait():
            raise SystemExit(f"a host ended with {host.returncode}")
        tally.merge(pickle.loads(answer.read_bytes()))
    n_inputs = sum(sum(counts.values()) for counts in tally.counts.values())
    print(tally.table())
    print(
        f"\n{n_inputs:,} inputs in {(time.monotonic() - started) / 60:.1f} minutes, seed {options.seed}"
    )
    for key, (reader, number, detail) in sorted(tally.faults.items()):
        print(f"\n{key}\n  {example_command(reader, number)} --seed {options.seed}\n{detail}")
    for key, (reader, number, _) in sorted(tally.unnamed.items()):
        print(f"\nno file named: {key}\n  {example_command(reader, number)} --seed {options.seed}")
    return 1 if tally.n_faults else 0


def _replay(seeds: Path, reader: str, seed: int, number: int, scratch: Path) -> int:
    preload()
    bound_memory()
    work = scratch / "work"
    work.mkdir()
    case = Cases(seeds, seed, work)
    kept = Path(tempfile.mkdtemp(prefix=f"fuzz-{reader}-{number}-"))
    case.write(reader, number, kept)
    print(f"the files are in {kept}")
    for outcome, detail in case.run(reader, number):
        print(f"{outcome}: {detail}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
