"""Runs readers on damaged files in processes that may crash, hang or ask for too much memory.

A host has the libraries loaded and forks workers. A worker damages a file, reads it, and tells its
host how that went; the host kills one that is silent for too long, and forks the next.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Of processor time for an input, and of time without a word.
LIMIT_S, STALLED_S = 5.0, 120.0
# Beyond what the libraries have mapped already.
MEMORY_BYTES = 3 << 30
INPUTS_PER_WORKER = 3000
OUTCOMES = ("refused", "read", "passed over", "traceback", "hang", "crash", "memory", "code")
FAULTS = OUTCOMES[3:]
# What a reader may never ask the system for.
FORBIDDEN = (
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "socket.connect",
    "os.mkdir",
)


@dataclass(slots=True)
class Tally:
    """What came of the inputs of each reader, and an example of each kind of fault."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    faults: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    unnamed: dict[str, tuple[str, int, str]] = field(default_factory=dict)

    def add(self, reader: str, number: int, outcome: str, detail: str) -> None:
        if outcome == "unnamed":
            self.unnamed.setdefault(f"{reader}: {detail[:90]}", (reader, number, detail))
            return
        self.counts[reader][outcome] += 1
        if outcome in FAULTS:
            self.faults.setdefault(
                f"{reader}: {outcome}: {detail.splitlines()[-1] if detail else ''}"[:240],
                (reader, number, detail),
            )
            print(f"{outcome}: {example_command(reader, number)}", file=sys.stderr)

    def merge(self, other: Tally) -> None:
        for reader, counts in other.counts.items():
            self.counts[reader] += counts
        for key, example in other.faults.items():
            self.faults.setdefault(key, example)
        for key, example in other.unnamed.items():
            self.unnamed.setdefault(key, example)

    @property
    def n_faults(self) -> int:
        return sum(counts[fault] for counts in self.counts.values() for fault in FAULTS)

    def table(self) -> str:
        """Return a Markdown table, one row per reader."""
        header = ("reader", "inputs", *OUTCOMES)
        rows = [
            (name, sum(counts.values()), *(counts[outcome] for outcome in OUTCOMES))
            for name, counts in sorted(self.counts.items())
        ]
        total = ("**all**", *(sum(row[place] for row in rows) for place in range(1, len(header))))  # type: ignore[misc]
        lines = [header, ("---",) + ("---:",) * (len(header) - 1), *rows, total]
        return "\n".join(
            "| "
            + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in line)
            + " |"
            for line in lines
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a host does: the inputs ``first`` to ``last`` of each reader."""

    seeds: Path
    readers: tuple[str, ...]
    seed: int
    first: int
    last: int
    until: float

    @property
    def inputs(self) -> list[tuple[str, int]]:
        return [(name, number) for name in self.readers for number in range(self.first, self.last)]


def run_host(plan: Plan) -> Tally:
    """Fork workers until every input is done or the time is over."""
    preload()
    tally = Tally()
    inputs, done = plan.inputs, 0
    while done < len(inputs) and time.monotonic() < plan.until:
        done += _one_worker(plan, inputs[done : done + INPUTS_PER_WORKER], tally)
        print(f"{done:,} of {len(inputs):,} inputs, {tally.n_faults:,} faults", file=sys.stderr)
    return tally


def preload() -> None:
    """Import what workers need; nothing may start a thread, which a fork would lose."""
    os.environ.update(
        OMP_NUM_THREADS="1",
        POLARS_MAX_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        DYGENEPT_DATA="/nonexistent",
    )
    import anndata  # noqa: F401
    import fuzz.mutators
    import fuzz.readers
    import fuzz.table_readers  # noqa: F401
    import h5py  # noqa: F401
    import polars  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import torch  # noqa: F401

    import dygenept_plugins.networks.scgpt_checkpoint  # noqa: F401


def _one_worker(plan: Plan, inputs: Sequence[tuple[str, int]], tally: Tally) -> int:
    """Run one worker; return how many inputs are done, the one that ended it among them."""
    receive, send = os.pipe()
    shared = Path("/dev/shm")
    work = Path(tempfile.mkdtemp(prefix="fuzz-", dir=shared if shared.is_dir() else None))
    pid = os.fork()
    if pid == 0:
        os.close(receive)
        code = 1
        try:
            _work(plan, inputs, work, send)
            code = 0
        finally:
            os._exit(code)
    os.close(send)
    done, buffer, outcome = 0, b"", ""
    while not outcome:
        is_ready, _, _ = select.select([receive], [], [], STALLED_S)
        block = os.read(receive, 1 << 16) if is_ready else b""
        *lines, buffer = (buffer + block).split(b"\n")
        for line in lines:
            told, detail = json.loads(line)
            tally.add(*inputs[done], told, detail)
            done += told != "unnamed"
        if not block:
            outcome = "ended" if is_ready else "hang"
        elif time.monotonic() > plan.until:
            outcome = "over"
    if outcome != "ended":
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(receive)
    shutil.rmtree(work, ignore_errors=True)
    if outcome == "hang":
        tally.add(*inputs[done], "hang", f"nothing for {STALLED_S:g} s")
    elif outcome == "ended" and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
        tally.add(*inputs[done], "hang", f"more than {LIMIT_S:g} s of a processor")
    elif outcome == "ended" and status and done < len(inputs):
        tally.add(*inputs[done], "crash", f"ended by {os.waitstatus_to_exitcode(status)}")
    return min(done + (outcome != "ended" or bool(status)), len(inputs))


def _allowed(begun: Sequence[tuple[str, int]]) -> float:
    """Return the processor time for an input; the first of a reader makes what its others share."""
    is_first = len(begun) < 2 or begun[-1][0] != begun[-2][0]
    return 60.0 if is_first else LIMIT_S


def _work(plan: Plan, inputs: Sequence[tuple[str, int]], work: Path, send: int) -> None:
    quiet = os.open(os.devnull, os.O_WRONLY)
    if not os.environ.get("FUZZ_LOUD"):
        os.dup2(quiet, 2)
        os.dup2(quiet, 1)
    logging.disable(logging.CRITICAL)
    bound_memory()
    # The system ends the process by it, whatever it is in the middle of.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    case = Cases(plan.seeds, plan.seed, work)
    for place, (reader, number) in enumerate(inputs):
        signal.setitimer(signal.ITIMER_PROF, _allowed(inputs[max(place - 1, 0) : place + 1]))
        for outcome, detail in case.run(reader, number):
            os.write(send, json.dumps([outcome, detail[-1500:]]).encode() + b"\n")


def bound_memory() -> None:
    """Let this process map so much more memory, and no more."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_BYTES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Cases:
    """Makes and runs inputs: the same number and seed give the same input.

    Args:
        seeds: Folder with a folder of valid files for each reader.
        seed: Seed of all draws.
        work: Empty folder for the damaged files.
    """

    def __init__(self, seeds: Path, seed: int, work: Path) -> None:
        self.seeds, self._seed, self._work = seeds, seed, work
        self._files: dict[str, dict[str, bytes]] = {}
        self._asked: list[str] = []
        self._is_reading = False
        sys.addaudithook(self._audit)

    def write(self, reader: str, number: int, folder: Path) -> None:
        """Write the files of an input into an empty folder."""
        from fuzz import mutators, packed_mutators, text_mutators

        packed_mutators.SENTINEL = self._work / "sentinel"
        if reader not in self._files:
            found = sorted(path for path in (self.seeds / reader).rglob("*") if path.is_file())
            self._files[reader] = {
                str(path.relative_to(self.seeds / reader)): path.read_bytes() for path in found
            }
        files = self._files[reader]
        rng = random.Random(f"{self._seed}/{reader}/{number}")
        names = sorted(files)
        chosen = rng.choice(names)
        for name, content in files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if name == chosen and number and ".zarr/" in name and rng.random() < 0.1:
                continue
            if name == chosen and number:
                others = [files[other] for other in names]
                try:
                    content = mutators.mutated(name, content, rng, others)
                # Not every change of a format's parts can be written.
                except Exception:  # noqa: BLE001
                    content = text_mutators.mutate_bytes(content, rng, others)
                content = content.replace(b"SENTINEL", str(self._work / "sentinel").encode())
            place.write_bytes(content)

    def run(self, reader: str, number: int) -> Iterator[tuple[str, str]]:
        """Read an input; yield its outcome with what an error says. Input 0 is not damaged."""
        from fuzz.registered import READERS

        from dygenept.errors import DygeneptError

        folder = self._work / reader
        folder.mkdir()
        try:
            self.write(reader, number, folder)
            names = {path.name for path in folder.rglob("*")} | {folder.name}
            self._asked.clear()
            self._is_reading = True
            try:
                found = READERS[reader](folder)
                outcome, detail = ("passed over" if found is None else "read"), ""
            except DygeneptError as error:
                outcome, detail = "refused", str(error)
                if any(isinstance(cause, MemoryError) for cause in _causes(error)):
                    outcome, detail = "memory", traceback.format_exc()
                elif not any(name in detail for name in names):
                    yield "unnamed", f"{type(error).__name__}: {detail}"
            except MemoryError:
                outcome, detail = "memory", traceback.format_exc()
            # Whatever is raised is the finding.
            except BaseException:  # noqa: BLE001
                outcome, detail = "traceback", traceback.format_exc()
            finally:
                self._is_reading = False
            if number == 0 and outcome != "read":
                outcome, detail = "traceback", f"the undamaged file is {outcome}: {detail}"
            asked = [
                event
                for event in self._asked
                if "sentinel" in event or not event.startswith("os.mkdir")
            ]
            if asked or (self._work / "sentinel").exists():
                outcome, detail = "code", f"asked for {asked}"
            yield outcome, detail
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                (self._work / "sentinel").rmdir()

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._is_reading and event in FORBIDDEN:
            self._asked.append(f"{event} {arguments[:1]}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def example_command(reader: str, number: int) -> str:
    return f"python -m fuzz --readers {reader} --replay {number}"


def shares(readers: Sequence[str], n_inputs: int, n_hosts: int) -> list[tuple[int, int]]:
    """Divide so many inputs per reader among hosts."""
    each = -(-n_inputs // n_hosts)
    return [(host * each, min((host + 1) * each, n_inputs)) for host in range(n_hosts)]
