"""Imports plugins: modules by name and single files, whatever their code does on the way."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import TypeVar

from dygenept import __version__
from dygenept.errors import PluginError
from dygenept.machine.checksums import file_sha256
from dygenept.plugin.code_identity import sources_sha256
from dygenept.plugin.own_files import BUILT_IN_PACKAGE, distribution_files, on_disk, plugin_files

ENTRY_POINT_GROUP = "dygenept"
FILE_DISTRIBUTION = "file"
UNKNOWN = "unknown"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a module of plugins came from; the fields are those of ``Provenance``."""

    owner: str
    distribution: str
    version: str
    code_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A module that may have plugins, not yet imported.

    Attributes:
        name: What errors call it: the module's name, or the path of a file.
        module_name: Its name among Python's modules.
        load: Imports it and says where it came from; raises whatever its code raises.
    """

    name: str
    module_name: str
    load: Callable[[], tuple[ModuleType, Origin]]


def module_candidate(name: str, distribution: tuple[str, str] | None = None) -> Candidate:
    """Offer an installed module.

    Args:
        name: Its dotted name.
        distribution: Name and version of the distribution it belongs to; None looks it up.
    """

    def load() -> tuple[ModuleType, Origin]:
        before = frozenset(sys.modules)
        module = _quietly(lambda: importlib.import_module(name))
        owner, version = distribution or _distribution_of(name)
        if owner == UNKNOWN and module.__file__ is not None:
            version = file_sha256(on_disk(Path(module.__file__)))
        return module, Origin(name, owner, version, _code_of(module, name, before, owner))

    return Candidate(name, name, load)


def installed_candidates() -> Iterator[Candidate]:
    """Offer every module that an installed distribution names in the entry point group."""
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        dist = entry_point.dist
        source = (dist.name, dist.version) if dist else (UNKNOWN, UNKNOWN)
        yield module_candidate(entry_point.value.split(":")[0], source)


class _AsWritten(SourceFileLoader):
    """Compiles a file as it is now: Python's cache misses an edit within a second."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def file_candidate(path: Path) -> Candidate:
    """Offer one Python file.

    Raises:
        PluginError: If it does not exist or is not a Python file.
    """
    if not path.is_file():
        raise PluginError(f"no plugin file at {path}; give the path of a .py file to --plugin")
    digest = file_sha256(path)
    name = f"dygenept_file_plugin_{path.stem}_{digest[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} is not a Python file; give a .py file to --plugin")
    loader = spec.loader
    if isinstance(loader, SourceFileLoader):
        loader = spec.loader = _AsWritten(name, str(path))

    def load() -> tuple[ModuleType, Origin]:
        module = importlib.util.module_from_spec(spec)
        # Dataclasses and pydantic look their own module up while its body runs.
        before = frozenset(sys.modules)
        sys.modules[name] = module
        try:
            _quietly(lambda: loader.exec_module(module))
        except BaseException:
            del sys.modules[name]
            raise
        code = _code_of(module, path.stem, before | {name})
        return module, Origin(str(path), FILE_DISTRIBUTION, digest, code)

    return Candidate(str(path), name, load)


def _quietly(run: Callable[[], T]) -> T:
    # What a module prints at import is not a result of the command.
    with redirect_stdout(sys.stderr):
        return run()


def _code_of(module: ModuleType, name: str, before: Set[str], owner: str = UNKNOWN) -> str:
    """Hash what a plugin consists of.

    Args:
        module: Its module.
        name: Its dotted name.
        before: Names of the modules that were loaded before it.
        owner: Its distribution.
    """
    if name.split(".")[0] == BUILT_IN_PACKAGE:
        return ""
    installed = {} if owner == UNKNOWN else distribution_files(owner)
    found = plugin_files(module, name=name, loaded=sorted(set(sys.modules) - before))
    return sources_sha256({**installed, **found})


def _distribution_of(module: str) -> tuple[str, str]:
    top = module.split(".")[0]
    if top == BUILT_IN_PACKAGE:
        return "dygenept", __version__
    for distribution in _distributions_by_package().get(top, ()):
        return distribution, importlib.metadata.version(distribution)
    return UNKNOWN, UNKNOWN


@lru_cache(maxsize=1)
def _distributions_by_package() -> Mapping[str, list[str]]:
    # It reads every installed distribution's file list, a quarter of a second in all.
    return importlib.metadata.packages_distributions()
