"""Build the wheel, install it in a clean environment, and run a tiny bench from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "dygenept" / "reports" / "templates"
# What is read as data, and no import would miss.
DATA = (
    "dygenept/registry.yaml",
    *(path.relative_to(ROOT).as_posix() for path in sorted(TEMPLATES.iterdir())),
)


def main() -> None:
    """Do what the module says.

    Raises:
        SystemExit: If the wheel puts anything but ``dygenept*`` into site-packages, or the
            installed command fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        wheel = build(directory)
        check_names(wheel)
        python = install(wheel, directory / "venv")
        try_it(python, directory)
    sys.stdout.write("the wheel installs, imports and benches\n")


def build(directory: Path) -> Path:
    """Build the wheel and return its path."""
    run([sys.executable, "-m", "build", "--wheel", "--outdir", str(directory), str(ROOT)])
    return next(directory.glob("*.whl"))


def check_names(wheel: Path) -> None:
    """Refuse a wheel with other top-level names than ``dygenept*``."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name.split("/")[0] for name in archive.namelist()}
        absent = sorted(set(DATA) - set(archive.namelist()))
    foreign = sorted(name for name in names if not name.startswith("dygenept"))
    if foreign or absent:
        sys.exit(f"{wheel.name}: foreign names {foreign}, missing {absent}")


def install(wheel: Path, directory: Path) -> Path:
    """Install the wheel into a new virtual environment and return its Python."""
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    constraints = str(ROOT / "constraints.txt")
    run([str(python), "-m", "pip", "install", "--quiet", "-c", constraints, str(wheel)])
    return python


def try_it(python: Path, directory: Path) -> None:
    """Run ``--help`` and a tiny bench with the installed command, away from the checkout."""
    command = str(python.parent / "dygenept")
    environment = {
        "DYGENEPT_DATA": str(directory / "data"),
        "DYGENEPT_HOME": str(directory / "home"),
    }
    run([command, "--help"], cwd=directory)
    arguments = [
        *("bench", "--dataset", "sim:dixit", "--scale", "0.02", "--folds", "2", "--json"),
        *("--model", "perturbed_mean", "--model", "dygenept_small"),
        *("--set", "training.epochs=1", "--set", "training.n_members=1"),
    ]
    output = run([command, *arguments], cwd=directory, environment=environment)
    models = {row["model"] for row in json.loads(output)["leaderboard"]}
    if len(models) != 2:
        sys.exit(f"the tiny bench ranked {sorted(models)}, expected two models")
    page = directory / "board.html"
    run([command, "leaderboard", "--format", "html", "--output", str(page)], cwd=directory)
    if "dygenept_small" not in page.read_text(encoding="utf-8"):
        sys.exit("the page of the tiny bench does not name its models")


def run(
    command: list[str], *, cwd: Path | None = None, environment: dict[str, str] | None = None
) -> str:
    """Run a command, show its errors, and return its output."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        sys.stdout.write(result.stdout)
        sys.exit(f"{' '.join(command)} failed with exit code {result.returncode}")
    return result.stdout


if __name__ == "__main__":
    main()
