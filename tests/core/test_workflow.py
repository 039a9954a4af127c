"""The workflow of continuous integration runs what exists, and both ends of the versions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "tests.yml"

pytestmark = pytest.mark.skipif(
    not WORKFLOW.is_file(), reason="a source distribution has no workflow"
)


def jobs() -> dict[str, Any]:
    return dict(yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"])


def commands(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def targets() -> set[str]:
    """Name the targets of the Makefile."""
    return set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.M))


def test_both_ends_are_run_without_cuda_and_with_uv() -> None:
    ends = jobs()["ends"]
    assert set(ends["strategy"]["matrix"]["end"]) == {"oldest", "newest"} <= targets()
    assert commands(ends) == ["make ${{ matrix.end }} TORCH_BACKEND=cpu"]
    used = [str(step.get("uses")) for step in ends["steps"]]
    assert any(name.startswith("astral-sh/setup-uv@") for name in used)


def test_the_rest_is_what_every_submission_must_pass() -> None:
    assert commands(jobs()["all"]) == [".ci/run"]
    run = (ROOT / ".ci" / "run").read_text("utf-8")
    made = set(re.findall(r"^make (\w+)", run, flags=re.M))
    assert {"check", "test", "studies", "docs", "wheel", "speed"} == made
    assert made <= targets()
