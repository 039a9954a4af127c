"""A bench under ``--memory``: time, peak resident memory, and throughput beside a plain read.

Writes a SIMULATED file in blocks where there is none (noise with real gene names: it measures cost,
not models), then runs ``dygenept bench`` as a user does and reads what the process took::

    python benchmarks/scale/bounded_bench.py big.h5ad --cells 250000 --memory 4G --metric mse
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from large_file import file_parser, write_asked

MODELS = ("control_mean", "perturbed_mean", "matching_mean")


def took(command: list[str]) -> dict[str, float]:
    """Run a command and say what it took; the peak is that of the largest process so far."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return {
        "wall_s": time.perf_counter() - start,
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_bytes": after.ru_maxrss * 1024.0,
    }


def main() -> None:
    """Write the file if need be, measure, and print."""
    parser = file_parser(__doc__)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--memory", help="the limit; without it the matrix is held in memory")
    parser.add_argument("--model", action="append")
    parser.add_argument("--metric", action="append", default=[])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    write_asked(asked)
    script = Path(__file__).with_name("large_file.py")
    plain = took([sys.executable, str(script), str(asked.path), "--step", "plain"])
    with tempfile.TemporaryDirectory() as results:
        command = [sys.executable, "-m", "dygenept_cli", "bench", "--dataset", str(asked.path)]
        command += [part for model in asked.model or MODELS for part in ("--model", model)]
        command += [part for metric in asked.metric for part in ("--metric", metric)]
        command += ["--folds", str(asked.folds), "--results", results, "--drop-predictions"]
        command += ["--memory", asked.memory] if asked.memory else []
        bench = took(command)
    size = asked.path.stat().st_size
    for name, row in (("plain read", plain), ("bench", bench)):
        sys.stdout.write(
            f"{name:<10} {row['cpu_s']:9.1f} s of CPU  {row['wall_s']:9.1f} s  "
            f"{size / row['cpu_s'] / 1e6:9.1f} MB/s of CPU  "
            f"peak {row['peak_bytes'] / 1e6:,.0f} MB\n"
        )
    if asked.json is not None:
        asked.json.write_text(json.dumps({"plain": plain, "bench": bench}, indent=1))


if __name__ == "__main__":
    main()
