"""Hashes of source code, so that a result computed by other code is never taken for this one's."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import dygenept
from dygenept.types.results import CodeIdentity

CORE_PACKAGE, BUILT_IN_PACKAGE = "dygenept", "dygenept_plugins"
# Rooms that show, keep or check what was computed; every other room may change a number.
ROOMS_WITHOUT_NUMBERS = ("leaderboard", "results", "testing")
# Other people's packages lie side by side here, so a plugin's neighbours are not its own code.
SHARED_FOLDERS = ("site-packages", "dist-packages")
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


def plugin_sources(module: ModuleType, *, name: str | None = None) -> Mapping[str, Path]:
    """Return a plugin's own source files, found without running any of them.

    They are the plugin's module, or the whole package that it belongs to, and every module or
    package of the same folder that one of these imports, at its top or inside a function. What is
    installed among other distributions counts only its own package.

    Args:
        module: The imported module that has the hooks.
        name: Its dotted name where ``module.__name__`` says something else, as for a single file.

    Returns:
        File by its path below the folder that it is imported from; empty where the module has no
        source file.
    """
    if module.__file__ is None:
        return {}
    dotted = (name or module.__name__).split(".")
    path = Path(module.__file__).absolute()
    depth = len(dotted) if path.name == "__init__.py" else len(dotted) - 1
    root = path.parents[depth]
    own = list(_files_of(root, dotted)) or [path]
    found, todo = set(own), own
    neighbours = _neighbours(root, dotted[0])
    while todo:
        for imported in _imports(todo.pop(), root, neighbours):
            fresh = [file for file in _files_of(root, imported.split(".")) if file not in found]
            found.update(fresh)
            todo.extend(fresh)
    return {file.relative_to(root).as_posix(): file for file in found}


def sources_sha256(files: Mapping[str, Path]) -> str:
    """Hash source files with their names; order and kind of line ends play no part."""
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _built_in_plugins() -> Path | None:
    spec = importlib.util.find_spec(BUILT_IN_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) if places else None


def _files_of(root: Path, dotted: Sequence[str]) -> Iterator[Path]:
    """Yield the file of a module below a folder, or all files of the package that it lies in."""
    place = root
    for part in dotted:
        place /= part
        if (place / "__init__.py").is_file():
            yield from place.rglob("*.py")
            return
        if place.with_name(f"{part}.py").is_file():
            yield place.with_name(f"{part}.py")
            return
        if not place.is_dir():
            return


def _sources_below(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*.py"):
        yield path.relative_to(folder).as_posix(), path


def _neighbours(root: Path, own: str) -> frozenset[str]:
    """Name what a plugin could import from the folder that it lies in, beside itself."""
    if set(root.parts) & set(SHARED_FOLDERS):
        return frozenset()
    covered = {CORE_PACKAGE, BUILT_IN_PACKAGE}
    if (root / own / "__init__.py").is_file():
        covered.add(own)
    return frozenset(path.stem for path in root.iterdir()) - covered


def _imports(path: Path, root: Path, neighbours: frozenset[str]) -> Iterator[str]:
    """Yield the dotted names that a file imports from neighbours, wherever in the file."""
    content = path.read_bytes()
    # Few files of a large package import a neighbour; to parse them all would take seconds.
    is_in_package = (path.parent / "__init__.py").is_file()
    if is_in_package and not any(name.encode() in content for name in neighbours):
        return
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    package = path.parent.relative_to(root).parts
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = [*above, *(node.module or "").split(".")]
            # What is imported from a folder without __init__.py may be a module itself.
            names = [".".join(filter(None, [*base, alias.name])) for alias in node.names]
        yield from (name for name in names if name.split(".")[0] in neighbours)


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
