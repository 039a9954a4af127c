"""Loads plugins from the registry, from entry points and from files, and finds them by name."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import logging
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pluggy

from dygenept import __version__
from dygenept.errors import PluginError, nearest
from dygenept.plugin import hookspecs
from dygenept.plugin.specs import (
    AttentionSpec,
    BaselineSpec,
    CellEncoderSpec,
    DatasetSpec,
    DecoderSpec,
    FacetWriterSpec,
    GeneEncoderSpec,
    KgSourceSpec,
    MetricSpec,
    PluginConfig,
    PluginSpec,
    SplitSpec,
    TextEncoderSpec,
)
from dygenept.plugin.validation import validated

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "dygenept"
BUILT_IN_PACKAGE = "dygenept_plugins"
FILE_DISTRIBUTION = "file"
UNKNOWN = "unknown"
SPEC_CLASSES: tuple[type[PluginSpec], ...] = (
    DatasetSpec,
    SplitSpec,
    GeneEncoderSpec,
    TextEncoderSpec,
    FacetWriterSpec,
    KgSourceSpec,
    CellEncoderSpec,
    AttentionSpec,
    DecoderSpec,
    BaselineSpec,
    MetricSpec,
)
KINDS: tuple[str, ...] = tuple(spec_class.kind for spec_class in SPEC_CLASSES)

S = TypeVar("S", bound=PluginSpec)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a plugin came from; recorded in every result.

    Attributes:
        kind: Plugin kind.
        name: Plugin name.
        owner: Module that registered it, or the path of a single file.
        distribution: Installed distribution, ``file`` for a single file, or ``unknown`` for a
            module that no distribution holds.
        version: Version of the distribution, or the SHA-256 of the file or module, so that
            results of edited code are told apart.
    """

    kind: str
    name: str
    owner: str
    distribution: str
    version: str


@dataclass(frozen=True, slots=True)
class _Entry:
    spec: PluginSpec
    provenance: Provenance


class PluginManager:
    """All plugins of one run.

    Built-in plugins, entry points and single files go through the same registration; none has a
    privilege over another.
    """

    def __init__(self) -> None:
        self._pm = pluggy.PluginManager(hookspecs.PROJECT)
        self._pm.add_hookspecs(hookspecs)
        self._entries: dict[tuple[str, str], _Entry] = {}
        self.failures: dict[str, str] = {}

    @classmethod
    def load(
        cls,
        modules: Iterable[str] = (),
        *,
        files: Iterable[Path] = (),
        entry_points: bool = True,
    ) -> PluginManager:
        """Register modules, then installed entry points, then files.

        A plugin that cannot be imported is kept in ``failures`` and left out.

        Raises:
            PluginError: If a file does not exist, a hook is misspelt, or two plugins of one kind
                share a name.
        """
        manager = cls()
        for module in modules:
            manager._try_import(module)
        if entry_points:
            for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
                dist = entry_point.dist
                source = (dist.name, dist.version) if dist else (UNKNOWN, UNKNOWN)
                manager._try_import(entry_point.value.split(":")[0], source)
        for file in files:
            manager.register_file(file)
        return manager

    def register_file(self, path: Path) -> None:
        """Import and register one Python file; one that fails to import goes to ``failures``.

        Raises:
            PluginError: If the file does not exist, or does what ``register`` refuses.
        """
        if not path.is_file():
            raise PluginError(f"no plugin file at {path}; give the path of a .py file to --plugin")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        name = f"dygenept_file_plugin_{path.stem}_{digest[:8]}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise PluginError(f"{path} is not a Python file; give a .py file to --plugin")
        if self._pm.has_plugin(name):
            return
        module, loader = importlib.util.module_from_spec(spec), spec.loader

        def execute() -> ModuleType:
            # Dataclasses and pydantic look their own module up while its body runs.
            sys.modules[name] = module
            try:
                loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
            return module

        self._try_register(str(path), execute, (FILE_DISTRIBUTION, digest), owner=str(path))

    def register(
        self, module: ModuleType, source: tuple[str, str], *, owner: str | None = None
    ) -> None:
        """Register a module's hooks and collect its specs: all of them, or none on an error.

        A module that is registered already is passed over.

        Args:
            module: The module.
            source: Its distribution and version.
            owner: What errors and provenance call it; None takes the module's name.

        Raises:
            PluginError: If there is no hook, a hook is misspelt or undecorated, takes arguments,
                or returns something else than specs of its kind, or a name is taken.
        """
        if self._pm.has_plugin(module.__name__):
            return
        owner = owner or module.__name__
        specs: list[PluginSpec] = []
        for spec_class, hook in _hooks_of(module, owner).items():
            specs.extend(_specs_of(hook(), spec_class, owner))
        self._add(specs, owner, source)
        self._pm.register(module, name=module.__name__)

    def _try_import(self, name: str, source: tuple[str, str] | None = None) -> None:
        self._try_register(
            name, lambda: importlib.import_module(name), source or _distribution_of(name)
        )

    def _try_register(
        self,
        name: str,
        load: Callable[[], ModuleType],
        source: tuple[str, str],
        *,
        owner: str | None = None,
    ) -> None:
        # Whatever a broken plugin raises, even SystemExit, must not stop the others.
        try:
            # What a module prints at import is no result of the command.
            with redirect_stdout(sys.stderr):
                module = load()
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self._leave_out(name, error)
            return
        if source[0] == UNKNOWN:
            source = (UNKNOWN, _digest_of(module))
        try:
            self.register(module, source, owner=owner)
        except PluginError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self._leave_out(name, error)

    def _leave_out(self, name: str, error: BaseException) -> None:
        self.failures[name] = f"{type(error).__name__}: {error}"
        logger.warning("plugin %s left out, it failed to import: %s", name, self.failures[name])
        logger.debug("plugin %s", name, exc_info=error)

    def _add(self, specs: Iterable[PluginSpec], owner: str, source: tuple[str, str]) -> None:
        added: dict[tuple[str, str], _Entry] = {}
        for spec in specs:
            key = (spec.kind, spec.name)
            entry = _Entry(spec, Provenance(spec.kind, spec.name, owner, *source))
            taken = self._entries.get(key) or added.get(key)
            if taken is not None:
                first, second = taken.provenance, entry.provenance
                raise PluginError(
                    f"two plugins of kind {spec.kind!r} are named {spec.name!r}: {first.owner} "
                    f"({first.distribution}) and {second.owner} ({second.distribution}); "
                    "rename one or uninstall it"
                )
            added[key] = entry
        self._entries.update(added)

    def names(self, kind: str) -> tuple[str, ...]:
        """Names of all plugins of a kind, sorted."""
        return tuple(sorted(name for of, name in self._entries if of == kind))

    def specs(self, spec_class: type[S]) -> tuple[S, ...]:
        """All specs of a kind, in order of registration."""
        return tuple(
            entry.spec for entry in self._entries.values() if isinstance(entry.spec, spec_class)
        )

    def get(self, spec_class: type[S], name: str) -> S:
        """Return a plugin's spec.

        Raises:
            PluginError: If there is none; the message names the nearest and any import failure.
        """
        entry = self._entries.get((spec_class.kind, name))
        if entry is None or not isinstance(entry.spec, spec_class):
            noun = spec_class.kind.removesuffix("s").replace("_", " ")
            message = f"unknown {noun} {name!r}; {nearest(name, self.names(spec_class.kind))}"
            if self.failures:
                message += f"; left out, failed to import: {', '.join(sorted(self.failures))}"
            raise PluginError(message)
        return entry.spec

    def provenance(self, kind: str, name: str) -> Provenance:
        """Return where a plugin came from.

        Raises:
            PluginError: If there is no such plugin.
        """
        if (kind, name) not in self._entries:
            raise PluginError(
                f"no plugin {name!r} of kind {kind!r}; {nearest(name, self.names(kind))}"
            )
        return self._entries[(kind, name)].provenance

    def configure(
        self, spec: PluginSpec, options: Mapping[str, object] | None = None
    ) -> PluginConfig:
        """Validate a plugin's options; none gives its defaults.

        Raises:
            ConfigError: If a key is unknown (the nearest is named) or a value not allowed.
        """
        return validated(spec.config, dict(options or {}), f"{spec.kind}.{spec.name}")


def _hooks_of(module: ModuleType, owner: str) -> dict[type[PluginSpec], Callable[[], object]]:
    """Return a module's hooks by what each must return.

    Raises:
        PluginError: If one is misspelt, undecorated or takes arguments.
    """
    by_name = {f"dygenept_{spec_class.kind}": spec_class for spec_class in SPEC_CLASSES}
    hooks: dict[type[PluginSpec], Callable[[], object]] = {}
    for name, value in vars(module).items():
        if not callable(value) or isinstance(value, type):
            continue
        is_marked = hasattr(value, f"{hookspecs.PROJECT}_impl")
        if is_marked and name not in by_name:
            raise PluginError(f"{owner}: no hook is called {name!r}; {nearest(name, by_name)}")
        is_own = getattr(value, "__module__", None) == module.__name__
        if name.startswith("dygenept_") and is_own and not is_marked:
            fix = "decorate it with @hookimpl" if name in by_name else nearest(name, by_name)
            raise PluginError(f"{owner}: {name!r} looks like a hook but is none; {fix}")
        if is_marked:
            if inspect.signature(value).parameters:
                raise PluginError(f"{owner}: hook {name!r} must take no arguments")
            hooks[by_name[name]] = value
    if not hooks:
        raise PluginError(f"{owner} has no hook, so it adds nothing; {nearest('', by_name)}")
    return hooks


def _specs_of(returned: object, spec_class: type[S], owner: str) -> list[S]:
    hook = f"{owner}: hook dygenept_{spec_class.kind}"
    if not isinstance(returned, list | tuple):
        raise PluginError(
            f"{hook} must return a list of {spec_class.__name__}, got {type(returned).__name__}"
        )
    for item in returned:
        if not isinstance(item, spec_class):
            raise PluginError(
                f"{hook} must return a list of {spec_class.__name__}, got {type(item).__name__} "
                "in it"
            )
        if not isinstance(item.name, str) or not _NAME.fullmatch(item.name):
            raise PluginError(f"{owner}: plugin name {item.name!r} is not lower snake case")
        if not (isinstance(item.config, type) and issubclass(item.config, PluginConfig)):
            raise PluginError(
                f"{owner}: config of {item.name!r} must be a subclass of PluginConfig, got "
                f"{item.config!r}"
            )
    return list(returned)


def _distribution_of(module: str) -> tuple[str, str]:
    top = module.split(".")[0]
    if top == BUILT_IN_PACKAGE:
        return "dygenept", __version__
    for distribution in _distributions_by_package().get(top, ()):
        return distribution, importlib.metadata.version(distribution)
    return UNKNOWN, UNKNOWN


def _digest_of(module: ModuleType) -> str:
    if module.__file__ is None:
        return UNKNOWN
    return hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()


@lru_cache(maxsize=1)
def _distributions_by_package() -> Mapping[str, list[str]]:
    # It reads every installed distribution's file list, a quarter of a second in all.
    return importlib.metadata.packages_distributions()
