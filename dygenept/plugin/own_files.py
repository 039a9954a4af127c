"""Which files a plugin's numbers depend on: its modules, what they import, and what they read."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import all_suffixes
from pathlib import Path
from types import ModuleType

CORE_PACKAGE, BUILT_IN_PACKAGE = "dygenept", "dygenept_plugins"
# Other people's packages lie side by side here, so a plugin's neighbours are not its own code.
SHARED_FOLDERS = ("site-packages", "dist-packages")
# What a package may contain, or a program leave in it, that no number depends on.
PASSING_FOLDERS = ("__pycache__", "node_modules")
PASSING_SUFFIXES = (".pyc", ".pyo", ".log", ".lock", ".tmp", ".partial", ".md", ".rst")
IMPORT = re.compile(rb"^[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+import|import[ \t]+([^#\n]+))", re.M)
NAMED_FILE = re.compile(rb"""["']([\w./ -]*\w\.\w{1,12})["']""")


def plugin_files(
    module: ModuleType, *, name: str | None = None, loaded: Iterable[str] = ()
) -> Mapping[str, Path]:
    """Return the files that a plugin consists of, found without running any of them.

    They are the plugin's module, or the whole package that it belongs to with all that is shipped
    in it; every module or package that one of these imports, at its top or inside a function,
    unless that is another distribution's; what importing the plugin has loaded besides; and files
    that its code names by a path beside it.

    Args:
        module: The imported module that has the hooks.
        name: Its dotted name where ``module.__name__`` says something else, as for a single file.
        loaded: Names of modules that were imported while the plugin was.

    Returns:
        File by its path from the folder that the plugin is imported from; empty where the module
        has no file.
    """
    if module.__file__ is None:
        return {}
    dotted = (name or module.__name__).split(".")
    path = on_disk(Path(module.__file__).absolute())
    root = _root(path, dotted)
    search = _Search()
    search.add(root, list(_files_of(root, dotted)) or [path])
    for other in loaded:
        search.add_loaded(other)
    search.run()
    return {Path(os.path.relpath(file, root)).as_posix(): file for file in search.found}


def distribution_files(distribution: str) -> Mapping[str, Path]:
    """Return what an installed distribution put on disk, by its path among the others'.

    An editable one has put only a pointer there; its files are found by what is imported.
    """
    listed = importlib.metadata.files(distribution) or ()
    found = {file.as_posix(): Path(str(file.locate())) for file in listed}
    return {
        name: path
        for name, path in found.items()
        if not name.startswith("..") and ".dist-info/" not in name and _counts(Path(name))
        if path.is_file()
    }


@dataclass(slots=True)
class _Search:
    """Follows imports from file to file.

    Attributes:
        found: The files so far, each with the folder that it is imported from.
    """

    found: dict[Path, Path] = field(default_factory=dict)
    _todo: list[Path] = field(default_factory=list)
    _followed: set[tuple[Path, str]] = field(default_factory=set)
    _roots: dict[tuple[Path, str], tuple[Path, ...]] = field(default_factory=dict)

    def add(self, root: Path, files: Iterable[Path]) -> None:
        for file in files:
            if file not in self.found:
                self.found[file] = root
                self._todo.append(file)

    def add_loaded(self, name: str) -> None:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is None or _is_covered(name.split(".")[0]):
            return
        path = on_disk(Path(file).absolute())
        if path.is_file() and not _is_shared(path):
            self.add(_root(path, name.split(".")), [path])

    def run(self) -> None:
        while self._todo:
            path = self._todo.pop()
            if path.suffix != ".py":
                continue
            content, root = path.read_bytes(), self.found[path]
            for name in _imports(content, path, root, self._is_own):
                for place in self._places(root, name.split(".")[0]):
                    if (place, name) not in self._followed:
                        self._followed.add((place, name))
                        self.add(place, _files_of(place, name.split(".")))
            self.add(root, _named_files(content, path.parent))

    def _is_own(self, root: Path, top: str) -> bool:
        return bool(self._places(root, top))

    def _places(self, root: Path, top: str) -> tuple[Path, ...]:
        """Return the folders that a module is imported from; none where it is another's."""
        key = (root, top)
        if key not in self._roots:
            beside = () if _is_shared(root) or not _is_in(root, top) else (root,)
            covered = _is_covered(top)
            self._roots[key] = () if covered else tuple(dict.fromkeys((*beside, *_found_at(top))))
        return self._roots[key]


def _found_at(top: str) -> Iterator[Path]:
    """Yield the folders in which Python finds a module, outside other distributions."""
    if top in sys.stdlib_module_names:
        return
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return
    if spec is None:
        return
    for place in spec.submodule_search_locations or [spec.origin or ""]:
        path = Path(place)
        if path.exists() and not _is_shared(path):
            yield path.absolute().parent


def _files_of(root: Path, dotted: Sequence[str]) -> Iterator[Path]:
    """Yield the file of a module below a folder, or all files of the package that it lies in."""
    place = root
    for part in dotted:
        place /= part
        if any(place.joinpath(f"__init__{suffix}").is_file() for suffix in all_suffixes()):
            yield from _shipped(place)
            return
        files = [place.with_name(f"{part}{suffix}") for suffix in all_suffixes()]
        if found := [file for file in files if file.is_file()]:
            yield from found
            return
        if not place.is_dir():
            return


def _shipped(package: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(package):
        below[:] = sorted(name for name in below if _counts(Path(name)))
        for name in sorted(names):
            path = Path(folder, name)
            if _counts(Path(name)) and path.is_file():
                yield path


def _counts(path: Path) -> bool:
    is_passing = any(part.startswith(".") or part in PASSING_FOLDERS for part in path.parts)
    return not is_passing and path.suffix not in PASSING_SUFFIXES


def _imports(
    content: bytes, path: Path, root: Path, is_own: Callable[[Path, str], bool]
) -> Iterator[str]:
    """Yield the dotted names that a file imports from the plugin's own code."""
    # Few files of a large package import anything but other distributions; to parse all is slow.
    if not any(is_own(root, top) for top in _first_words(content, path, root)):
        return
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    package = path.parent.relative_to(root).parts if path.is_relative_to(root) else ()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = [*above, *(node.module or "").split(".")]
            # What is imported from a folder without __init__.py may be a module itself.
            names = [".".join(filter(None, [*base, alias.name])) for alias in node.names]
        yield from (name for name in names if is_own(root, name.split(".")[0]))


def _first_words(content: bytes, path: Path, root: Path) -> set[str]:
    """Name the top-level modules that a file's import statements may mean."""
    words: set[str] = set()
    for dots, source, listed in IMPORT.findall(content):
        if dots:
            # A package's own modules are there already, as the package is whole.
            if not (path.parent / "__init__.py").is_file():
                words |= {path.relative_to(root).parts[0].split(".")[0], source.decode()}
        for word in [source, *listed.split(b",")]:
            words.add(word.decode(errors="replace").strip().split(".")[0].split(" ")[0])
    return words - {""}


def _named_files(content: bytes, folder: Path) -> Iterator[Path]:
    """Yield files beside a module that its code names, such as ``weights.json``."""
    for text in dict.fromkeys(found.decode().lstrip("./") for found in NAMED_FILE.findall(content)):
        path = folder / text
        if path.is_file() and path.suffix not in PASSING_SUFFIXES:
            yield path


def _is_in(root: Path, top: str) -> bool:
    names = [top, *(f"{top}{suffix}" for suffix in all_suffixes())]
    return any((root / name).exists() for name in names)


def _is_covered(top: str) -> bool:
    return top in (CORE_PACKAGE, BUILT_IN_PACKAGE)


def _is_shared(path: Path) -> bool:
    return bool(set(path.parts) & set(SHARED_FOLDERS)) or path.is_relative_to(
        Path(os.__file__).parent
    )


def _root(path: Path, dotted: Sequence[str]) -> Path:
    """Return the folder that a module is imported from."""
    depth = len(dotted) if path.name.startswith("__init__.") else len(dotted) - 1
    parts = path.with_suffix("").parts if depth < len(dotted) else path.parent.parts
    fits = parts[-len(dotted) :][:-1] == tuple(dotted)[:-1]
    return path.parents[depth] if fits else path.parent


def on_disk(path: Path) -> Path:
    """Return a module's file, or the archive that contains it."""
    return next((place for place in (path, *path.parents) if place.is_file()), path)
