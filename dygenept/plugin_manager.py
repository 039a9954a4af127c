"""Loads plugins from the registry, from entry points and from files, and finds them by name."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import logging
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pluggy
from pydantic import ValidationError

from dygenept import hookspecs
from dygenept.errors import ConfigError, PluginError, nearest
from dygenept.specs import (
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

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "dygenept"
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


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a plugin came from; recorded in every result.

    Attributes:
        kind: Plugin kind.
        name: Plugin name.
        owner: Module that registered it.
        distribution: Installed distribution, or ``file`` for a single file.
        version: Version of the distribution, or the file's SHA-256.
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
                source = (dist.name, dist.version) if dist else ("unknown", "unknown")
                manager._try_import(entry_point.value.split(":")[0], source)
        for file in files:
            manager.register_file(file)
        return manager

    def _try_import(self, name: str, source: tuple[str, str] | None = None) -> None:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  # a broken plugin must not stop the others
            reason = f"{type(error).__name__}: {error}"
            self.failures[name] = reason
            logger.warning("plugin %s left out, it failed to import: %s", name, reason)
            return
        self.register(module, source or _distribution_of(name))

    def register_file(self, path: Path) -> None:
        """Import and register one Python file.

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
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # noqa: BLE001  # a broken plugin must not stop the others
            reason = f"{type(error).__name__}: {error}"
            self.failures[str(path)] = reason
            logger.warning("plugin %s left out, it failed to import: %s", path, reason)
            return
        self.register(module, ("file", digest))

    def register(self, module: ModuleType, source: tuple[str, str]) -> None:
        """Register a module's hooks and collect its specs.

        Raises:
            PluginError: If a hook is misspelt or undecorated, returns something else than specs
                of its kind, or a name is taken.
        """
        owner = module.__name__
        if self._pm.has_plugin(owner):
            return
        _check_hook_names(module)
        self._pm.register(module, name=owner)
        for spec_class in SPEC_CLASSES:
            hook = getattr(module, f"dygenept_{spec_class.kind}", None)
            if hook is None:
                continue
            for spec in _specs_of(hook(), spec_class, owner):
                self._add(spec, Provenance(spec.kind, spec.name, owner, *source))

    def _add(self, spec: PluginSpec, provenance: Provenance) -> None:
        key = (spec.kind, spec.name)
        if key in self._entries:
            other = self._entries[key].provenance
            raise PluginError(
                f"two plugins of kind {spec.kind!r} are named {spec.name!r}: {other.owner} "
                f"({other.distribution}) and {provenance.owner} ({provenance.distribution}); "
                "rename one or uninstall it"
            )
        self._entries[key] = _Entry(spec, provenance)

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
        """Return where a plugin came from."""
        return self._entries[(kind, name)].provenance

    def configure(self, spec: PluginSpec, options: dict[str, object] | None = None) -> PluginConfig:
        """Validate a plugin's options.

        Raises:
            ConfigError: If a key is unknown (the nearest is named) or a value not allowed.
        """
        return validate(spec.config, options or {}, f"{spec.kind}.{spec.name}")


C = TypeVar("C", bound=PluginConfig)


def validate(config: type[C], options: dict[str, object], where: str) -> C:
    """Validate options against a config class; errors name the key and the nearest allowed one.

    Raises:
        ConfigError: As said.
    """
    try:
        return config.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"unknown key {key!r} in {where}; "
                f"{nearest(str(first['loc'][-1]), config.model_fields)}"
            ) from error
        raise ConfigError(
            f"{where}.{key}: {first['msg'].lower()}, got {first['input']!r}"
        ) from error


def _check_hook_names(module: ModuleType) -> None:
    known = {f"dygenept_{kind}" for kind in KINDS}
    for name, value in vars(module).items():
        if not callable(value) or getattr(value, "__module__", None) != module.__name__:
            continue
        is_marked = hasattr(value, f"{hookspecs.PROJECT}_impl")
        if is_marked and name not in known:
            raise PluginError(
                f"{module.__name__}: no hook is called {name!r}; {nearest(name, known)}"
            )
        if name.startswith("dygenept_") and not is_marked:
            fix = "decorate it with @hookimpl" if name in known else nearest(name, known)
            raise PluginError(f"{module.__name__}: {name!r} looks like a hook but is none; {fix}")


def _specs_of(returned: object, spec_class: type[S], owner: str) -> Sequence[S]:
    items: list[S] = []
    for item in returned if isinstance(returned, list | tuple) else [returned]:
        if not isinstance(item, spec_class):
            raise PluginError(
                f"{owner}: hook dygenept_{spec_class.kind} must return a list of "
                f"{spec_class.__name__}, got {type(item).__name__}"
            )
        if not item.name.isidentifier() or item.name != item.name.lower():
            raise PluginError(f"{owner}: plugin name {item.name!r} is not lower snake case")
        items.append(item)
    return items


def _distribution_of(module: str) -> tuple[str, str]:
    top = module.split(".")[0]
    for distribution in importlib.metadata.packages_distributions().get(top, ()):
        return distribution, importlib.metadata.version(distribution)
    if top.startswith("dygenept_"):
        from dygenept import __version__

        return "dygenept", __version__
    return "unknown", "unknown"
