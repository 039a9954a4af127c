from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dygenept.machine.whole_files import remove_leftovers


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
