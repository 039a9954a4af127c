from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dygenept.machine.whole_files import remove_leftovers

SCRIPT = Path(__file__).parents[1] / "processes" / "killed.py"
N_STEPS = 18


@pytest.mark.skipif(sys.platform == "win32", reason="forks and SIGKILL")
def test_a_training_killed_ten_times_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    # Ten stretches that together end before the training does, so that every kill hits.
    rng = np.random.default_rng(0)
    stops = np.sort(rng.choice(np.arange(1, N_STEPS), size=10, replace=False))
    stretches = np.diff([0, *stops])
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path, *map(str, stretches)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = json.loads(done.stdout)
    assert found["n_killed"] == 10
    assert found["whole"].pop("n_steps") == N_STEPS
    assert found["resumed"].pop("n_steps") == N_STEPS - stops[-1]
    assert found["resumed"] == found["whole"]
    assert found["files"] == ["member-0.safetensors"]
    assert "restarts" not in done.stderr


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        check=True,
        capture_output=True,
        text=True,
    )
    left = tmp_path / f".member-0.safetensors.0a1b2c3d-{ended.stdout.strip()}.partial"
    mine = tmp_path / f".member-0.safetensors.0a1b2c3d-{os.getpid()}.partial"
    mine.write_bytes(b"half")
    left.write_bytes(b"half")
    other = tmp_path / "notes.txt"
    other.write_text("kept")
    remove_leftovers(tmp_path / "member-0.safetensors")
    assert not left.exists()
    assert other.exists()
    assert mine.exists()
