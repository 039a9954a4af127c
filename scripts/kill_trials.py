"""Kills commands at random moments, resumes them, and compares what is left with a calm run.

    make kills
    python scripts/kill_trials.py --kills 24 --seed 1

Every command is started, killed with SIGKILL at a random moment, started again (and perhaps killed
again), until it ends by itself. Whatever an undisturbed run leaves must then be there, byte for
byte; of records, all but times, memory and dates. Processes that outlive the killed one are timed.
Commands are forked from this process, which has the slow imports done. Data are simulated, the
cache of text embeddings is shared, and what is fetched comes from a loopback server that sends
slowly. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MOST_KILLS_IN_A_ROW = 4
PATIENCE_S = 600.0
GONE_WITHIN_S = 2.0
DATA = ("--dataset", "sim:norman", "--scale", "0.02")
SMALL = (
    *("--model", "dygenept_small", "--facets", "go_tfidf", "--cell-encoder", "mlp"),
    # Kills are to hit the steps, whatever these are worth.
    *("--set", "training.keep_steps=always"),
)
BENCH = ("bench", *DATA, "--folds", "8", "--model", "additive", "--model", "perturbed_mean")
# Locks and checkpoints are for the run itself; the index says which records it was made from, by
# their times and inodes, and counts only while these are right.
NOT_COMPARED = {".locks", "checkpoints", ".index"}
# What differs between two runs of one job.
PASSING = ("timings", "peak_memory_bytes", "created", "threads", "modified_ns")
REGISTRY = """
assets:
  trial:
    folder: trial
    files:
      - {{url: "http://127.0.0.1:{port}/cells.h5ad", path: cells.h5ad}}
      - {{url: "http://127.0.0.1:{port}/names.json", path: names.json}}
"""


@dataclass(frozen=True)
class Command:
    """A command line, and the folders that it leaves something in."""

    name: str
    arguments: tuple[str, ...]
    leaves: tuple[str, ...]


@dataclass
class Counts:
    """What came of a command's trials."""

    kills: int = 0
    resumed: int = 0
    differing: int = 0
    failed: int = 0
    leftovers: int = 0
    slowest_end_s: float = 0.0

    @property
    def is_clean(self) -> bool:
        """True if nothing was lost and nothing outlived its parent."""
        bad = self.differing + self.failed + self.leftovers
        return bad == 0 and self.slowest_end_s <= GONE_WITHIN_S


def commands(registry: Path) -> tuple[Command, ...]:
    """Return what is tried."""
    bench = (*BENCH, "--json", "--quiet")
    train = ("train", *DATA, *SMALL, "--output", "model", "--set", "training.checkpoint_seconds=0")
    precompute = ("precompute", *DATA, "--encoder", "tfidf", "--output", "knowledge", "--quiet")
    fetch = ("data", "fetch", "trial", "--registry", str(registry), "--data-dir", "data")
    return (
        Command("bench", bench, ("results", "stdout.txt")),
        Command("bench --jobs 2", (*bench, "--jobs", "2"), ("results", "stdout.txt")),
        Command("train", (*train, "--quiet"), ("model",)),
        Command("precompute", precompute, ("knowledge",)),
        Command("data fetch", (*fetch, "--quiet"), ("data",)),
    )


def main() -> int:
    """Try every command; the exit code says whether all was well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=24, help="kills per command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="name of one command")
    given = parser.parse_args()
    draw = random.Random(given.seed)
    start_importing()
    all_clean = True
    show(
        *("command", "undisturbed, s", "SIGKILLs", "completed after them", "differing", "failed"),
        *("leftover files", "slowest end of a worker, s"),
    )
    show(*["---"] * 8)
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        base = Path(scratch)
        registry, server = served(base)
        try:
            for command in commands(registry):
                if given.only in (None, command.name):
                    seconds, counts = tried(command, base, draw, given.kills)
                    all_clean &= counts.is_clean
                    n = counts
                    show(
                        *(f"`{command.name}`", f"{seconds:.1f}", n.kills, n.resumed),
                        *(n.differing, n.failed, n.leftovers, f"{n.slowest_end_s:.2f}"),
                    )
        finally:
            os.kill(server, signal.SIGKILL)
    return 0 if all_clean else 1


def show(*cells: object) -> None:
    """Write a row of the table."""
    sys.stdout.write(f"| {' | '.join(map(str, cells))} |\n")
    sys.stdout.flush()


def tried(command: Command, base: Path, draw: random.Random, n_kills: int) -> tuple[float, Counts]:
    """Run a command undisturbed, then kill and resume it until there were enough kills."""
    counts = Counts()
    calm = fresh(base)
    began = time.monotonic()
    if ended(started(command, calm)) != 0:
        raise SystemExit(f"{command.name} fails undisturbed: {(calm / 'stderr.txt').read_text()}")
    seconds = time.monotonic() - began
    expected = left(command, calm)
    while counts.kills < n_kills:
        folder = fresh(base)
        for _ in range(min(MOST_KILLS_IN_A_ROW, n_kills - counts.kills)):
            process = started(command, folder)
            if not killed(process, draw.uniform(0.0, seconds), counts):
                break
        code = ended(started(command, folder))
        counts.resumed += 1
        if code != 0:
            counts.failed += 1
            said = (folder / "stderr.txt").read_text()
            sys.stderr.write(f"{command.name}: exit code {code}: {said}\n")
        elif (found := left(command, folder)) != expected:
            counts.differing += 1
            names = [
                name for name in {**expected, **found} if expected.get(name) != found.get(name)
            ]
            sys.stderr.write(f"{command.name}: {', '.join(names)} differ(s)\n")
        counts.leftovers += sum(1 for path in folder.rglob(".*.partial"))
        shutil.rmtree(folder)
    return seconds, counts


def killed(process: int, after_s: float, counts: Counts) -> bool:
    """Kill a process and see its workers end; False if it ended by itself before."""
    deadline = time.monotonic() + after_s
    while time.monotonic() < deadline:
        if os.waitpid(process, os.WNOHANG) != (0, 0):
            return False
        time.sleep(0.005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    counts.kills += 1
    began = time.monotonic()
    while of_session(process) and time.monotonic() - began < 10 * GONE_WITHIN_S:
        time.sleep(0.01)
    counts.slowest_end_s = max(counts.slowest_end_s, time.monotonic() - began)
    for orphan in of_session(process):
        os.kill(orphan, signal.SIGKILL)
    return True


def of_session(leader: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(session) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found


def started(command: Command, folder: Path) -> int:
    """Run a command in a forked process and a session of its own; return its number."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        os.setsid()
        os.chdir(folder)
        for name, number in (("stdout.txt", 1), ("stderr.txt", 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.environ.update(
            DYGENEPT_HOME=str(folder.parent / "home"), DYGENEPT_DATA=str(folder / "data")
        )
        sys.argv = ["dygenept", *command.arguments]
        from dygenept_cli.main import run

        run()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(process: int) -> int:
    """Wait for a process and return its exit code."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return -1


def left(command: Command, folder: Path) -> dict[str, str]:
    """Return a hash of every file that a command is to leave, by its path."""
    found = {}
    for name in command.leaves:
        top = folder / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            inner = path.relative_to(folder)
            if path.is_file() and not NOT_COMPARED & set(inner.parts):
                found[str(inner)] = hashlib.sha256(content_of(path)).hexdigest()
    return found


def content_of(path: Path) -> bytes:
    """Return a file's content, without what differs between two runs of one job."""
    content = path.read_bytes()
    if path.suffix != ".json":
        return content
    document = json.loads(content)
    if isinstance(document, dict):
        document = {key: value for key, value in document.items() if key not in PASSING}
    return json.dumps(document, sort_keys=True).encode()


def fresh(base: Path) -> Path:
    """Make an empty folder."""
    return Path(tempfile.mkdtemp(dir=base))


def served(base: Path) -> tuple[Path, int]:
    """Start a server of a data set and a small file; return a registry of them and its process."""
    from dygenept.testing import write_toy_h5ad

    write_toy_h5ad(base / "cells.h5ad")
    files = {
        "/cells.h5ad": (base / "cells.h5ad").read_bytes(),
        "/names.json": json.dumps({f"gene{number}": number for number in range(20_000)}).encode(),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(files))
    registry = base / "registry.yaml"
    registry.write_text(REGISTRY.format(port=server.server_address[1]))
    process = os.fork()
    if not process:
        server.serve_forever()
    server.server_close()
    return registry, process


def handler(files: dict[str, bytes]) -> type[BaseHTTPRequestHandler]:
    """Return a handler that sends files slowly, whole each time."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            block = len(content) // 40 + 1
            # Clients are killed while they read.
            with suppress(ConnectionError):
                for start in range(0, len(content), block):
                    self.wfile.write(content[start : start + block])
                    time.sleep(0.01)

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler


def start_importing() -> None:
    """Import once what every command would import, but polars, whose threads survive no fork."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in ("anndata", "sklearn", "torch._dynamo", "safetensors.torch", "pydantic"):
        importlib.import_module(name)


if __name__ == "__main__":
    raise SystemExit(main())
