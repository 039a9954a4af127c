"""What an isolated model's environment is made of, and where it lies."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from dygenept.errors import EnvironmentBuildError

FOLDER = "environments"
MANIFEST = "dygenept-environment.json"
# Minor versions looked for on PATH where this interpreter does not fit.
MINOR_VERSIONS = range(14, 7, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpec:
    """What a plugin asks of its environment.

    Attributes:
        requirements: Requirement lines for pip; empty makes a bare environment without pip.
        no_deps: Requirement lines that are installed afterwards, without their dependencies.
        python: Constraint on the Python version, such as ``>=3.9,<3.13``.
    """

    requirements: tuple[str, ...] = ()
    no_deps: tuple[str, ...] = ()
    python: str = ">=3.9"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that environments can be made from."""

    executable: str
    version: str


def environments_folder(cache_dir: Path) -> Path:
    """Return where environments lie."""
    return cache_dir.absolute() / FOLDER


def environment_digest(spec: EnvironmentSpec, interpreter: Interpreter) -> str:
    """Hash what determines an environment: requirements, Python's version and the platform."""
    document = {
        "requirements": spec.requirements,
        "no_deps": spec.no_deps,
        "python": interpreter.version,
        "platform": sysconfig.get_platform(),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def python_of(environment: Path) -> Path:
    """Return the interpreter inside an environment."""
    if os.name == "nt":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"


def find_interpreter(spec: EnvironmentSpec) -> Interpreter:
    """Return this Python if it fits, else the newest ``python3.N`` on PATH that does.

    Raises:
        EnvironmentBuildError: If none fits, or the constraint is none.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(spec.python)
    except InvalidSpecifier as error:
        raise EnvironmentBuildError(
            f"its Python constraint {spec.python!r} cannot be read; write one like '>=3.9,<3.13'"
        ) from error
    own = "{}.{}.{}".format(*sys.version_info[:3])
    if allowed.contains(own):
        return Interpreter(sys.executable, own)
    for minor in MINOR_VERSIONS:
        executable = shutil.which(f"python3.{minor}")
        if executable is None or not allowed.contains(f"3.{minor}.99"):
            continue
        version = subprocess.run(
            [executable, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        if version and allowed.contains(version):
            return Interpreter(executable, version)
    raise EnvironmentBuildError(
        f"it needs Python {spec.python}, and neither this one ({own}) nor a python3.N on PATH "
        "fits; install one and put it on PATH"
    )
