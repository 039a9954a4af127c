"""The script that measures a step on a GPU must be ready for the day when there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "speed" / "gpu_step.py"
HIDDEN = (
    *("anndata", "entmax", "h5py", "httpx2", "omegaconf", "openai", "packaging", "pandas"),
    *("platformdirs", "polars", "pydantic", "safetensors", "sklearn", "transformers", "yaml"),
)
RUN = f"""
import runpy, sys
for name in {HIDDEN!r}:
    sys.modules[name] = None  # as if it were not installed
sys.argv = sys.argv[1:]
sys.path.insert(0, {str(SCRIPT.parent)!r})
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_script_measures_every_case_with_few_packages(tmp_path: Path) -> None:
    options = "--small --device cpu --batch 2 --lengths 20 --steps 1 --no-compile --json"
    done = subprocess.run(
        [sys.executable, "-c", RUN, SCRIPT, *options.split(), tmp_path / "step.json"],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "step.json").read_text())
    assert found["attention"] == "softmax"
    assert len(found["rows"]) == 4
    for row in found["rows"]:
        assert row["error"] is None
        assert row["step_ms"] > 0
        assert 0 < row["tflops"]
        assert 0 < row["trained_share_of_matmul"]
