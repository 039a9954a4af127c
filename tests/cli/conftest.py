"""Runs the command line in this process and keeps what it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dygenept.testing import write_toy_h5ad


@dataclass(frozen=True, slots=True)
class CliResult:
    """What a command left.

    Attributes:
        code: Exit code.
        out: Standard output.
        err: Standard error.
    """

    code: int
    out: str
    err: str

    def json(self) -> dict[str, object]:
        """Read stdout as one JSON document."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


Cli = Callable[..., CliResult]


@pytest.fixture
def cli(
    tmp_path: Path,
    computed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Cli:
    """Return a function that runs ``dygenept ARGUMENTS`` in an empty folder."""
    from dygenept_cli.main import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DYGENEPT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DYGENEPT_HOME", str(computed))
    monkeypatch.delenv("DYGENEPT_REGISTRY", raising=False)
    # Rich reads the terminal's width from here; tables must not be cut in a test.
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str | Path) -> CliResult:
        monkeypatch.setattr(sys, "argv", ["dygenept", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            run()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return CliResult(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small AnnData file in GEARS' layout."""
    path = tmp_path_factory.mktemp("toy") / "toy.h5ad"
    write_toy_h5ad(path)
    return path
