"""Hashes of source code, so that a result computed by other code is never taken for this one's."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import dygenept
from dygenept.plugin.own_files import BUILT_IN_PACKAGE, CORE_PACKAGE
from dygenept.types.results import CodeIdentity

# Rooms that show, keep or check what was computed; every other room may change a number.
ROOMS_WITHOUT_NUMBERS = ("leaderboard", "reports", "results", "testing")
# A larger file is known by its size and time, since reading it would take seconds at each start.
LARGE_BYTES = 1 << 24
GIT_TIMEOUT_S = 5.0


@lru_cache(maxsize=1)
def project_code() -> CodeIdentity:
    """Identify the code of the harness and its built-in plugins; read once per process."""
    package = Path(dygenept.__file__).parent
    commit, is_dirty = _git_state(package)
    return CodeIdentity(
        version=dygenept.__version__,
        commit=commit,
        is_dirty=is_dirty,
        sha256=sources_sha256(project_sources(package, _built_in_plugins())),
    )


def project_sources(core: Path, plugins: Path | None) -> Mapping[str, Path]:
    """Return every source file that takes part in predictions and scores.

    Args:
        core: Folder of the core package.
        plugins: Folder of the built-in plugins; None where they are not installed.

    Returns:
        File by its name inside the project, whatever the machine: ``dygenept/data/task.py``.
    """
    found = {
        f"{CORE_PACKAGE}/{name}": path
        for name, path in _sources_below(core)
        if name.split("/")[0] not in ROOMS_WITHOUT_NUMBERS
    }
    if plugins is not None:
        found |= {f"{BUILT_IN_PACKAGE}/{name}": path for name, path in _sources_below(plugins)}
    return found


def sources_sha256(files: Mapping[str, Path]) -> str:
    """Hash files with their names; order and kind of line ends play no part."""
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        status = path.stat()
        if status.st_size > LARGE_BYTES:
            content = f"{status.st_size} {status.st_mtime_ns}".encode()
        else:
            content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _built_in_plugins() -> Path | None:
    spec = importlib.util.find_spec(BUILT_IN_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def _sources_below(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*.py"):
        yield path.relative_to(folder).as_posix(), path


def _git_state(package: Path) -> tuple[str | None, bool | None]:
    """Return commit and dirty flag of a checkout that has the package at its top."""
    top = package.parent
    if not (top / ".git").exists():
        return None, None
    command = ["git", "-C", str(top), "status", "--porcelain=v2", "--branch", "--", "dygenept"]
    try:
        answer = subprocess.run(
            [*command, "plugins"],
            capture_output=True,
            text=True,
            check=True,
            timeout=GIT_TIMEOUT_S,
            # Asking must not touch the checkout, which another process may be working in.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None, None
    lines = answer.splitlines()
    commits = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    is_dirty = any(not line.startswith("#") for line in lines)
    return (commits[0], is_dirty) if commits and commits[0] != "(initial)" else (None, None)
