"""Environments of isolated models are built with uv where it is present."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dygenept.plugin.isolated import building
from dygenept.plugin.isolated.environment import EnvironmentSpec
from dygenept.types import Progress

UV = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
    *freeze*) echo made-up==1.2 ;;
    *broken*) echo "error: no such package" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program ``uv`` on the path that writes down how it is called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "uv"
    program.write_text(UV.format(log=tmp_path / "log"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "log"


def ignore(progress: Progress) -> None:
    """Report to nobody."""


def test_uv_installs_into_the_environment(tmp_path: Path, log: Path) -> None:
    spec = EnvironmentSpec(requirements=("made-up==1.2",), no_deps=("other",))
    built = building.build_environment(spec, tmp_path / "cache", ignore)
    assert built.manifest.packages == ("made-up==1.2",)
    first, second, third = log.read_text().splitlines()
    assert first.startswith("pip install --no-progress --python ")
    assert first.endswith(" made-up==1.2")
    assert second.endswith(" --no-deps other")
    assert third.startswith("pip freeze --python ")
    assert not list(built.path.glob("lib/python*/site-packages/pip"))


def test_a_failure_of_uv_is_told(tmp_path: Path, log: Path) -> None:
    with pytest.raises(building.EnvironmentBuildError, match="uv pip install failed"):
        building.build_environment(
            EnvironmentSpec(requirements=("broken",)), tmp_path / "cache", ignore
        )


def test_without_packages_uv_is_not_asked(tmp_path: Path, log: Path) -> None:
    building.build_environment(EnvironmentSpec(), tmp_path / "cache", ignore)
    assert not log.exists()
