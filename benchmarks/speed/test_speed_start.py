"""Start of the command line, beside a bare interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.benchmark(group="start")
HELP = (
    "import sys; sys.argv = ['dygenept', '--help']; from dygenept_cli.main import run\n"
    "try:\n    run()\nexcept SystemExit:\n    pass"
)


def test_dygenept_help(benchmark: BenchmarkFixture) -> None:
    benchmark(_run, HELP)


def test_peer_python_interpreter(benchmark: BenchmarkFixture) -> None:
    benchmark(_run, "pass")


def test_peer_import_of_anndata(benchmark: BenchmarkFixture) -> None:
    benchmark(_run, "import anndata")


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
