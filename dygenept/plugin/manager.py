"""Registers plugins and finds them by name; reads a module's hooks and checks what they return."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import pluggy

from dygenept.errors import PluginError, nearest
from dygenept.plugin import hookspecs
from dygenept.plugin.loading import (
    Candidate,
    Origin,
    file_candidate,
    installed_candidates,
    module_candidate,
)
from dygenept.plugin.moved import new_home
from dygenept.plugin.specs import SPEC_CLASSES, PluginConfig, PluginSpec
from dygenept.plugin.yaml_files import validated
from dygenept.types.results import Provenance

logger = logging.getLogger(__name__)

S = TypeVar("S", bound=PluginSpec)


@dataclass(frozen=True, slots=True)
class _Entry:
    spec: PluginSpec
    provenance: Provenance


class _Hooks(pluggy.PluginManager):
    """Looks for hooks among names that may be one's: a module has many others."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        if not name.startswith(f"{hookspecs.PROJECT}_"):
            return None
        return super().parse_hookimpl_opts(plugin, name)


class PluginManager:
    """All plugins of one run.

    Built-in plugins, entry points and single files go through the same registration; none has a
    privilege over another.

    Attributes:
        failures: Why a module or file was left out, by its name.
    """

    def __init__(self) -> None:
        self._pm = _Hooks(hookspecs.PROJECT)
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

        A plugin that cannot be imported is named in ``failures`` and left out.

        Raises:
            PluginError: If a file does not exist, a hook is misspelt, or two plugins of one kind
                share a name.
        """
        manager = cls()
        for candidate in chain(
            map(module_candidate, modules),
            installed_candidates() if entry_points else (),
            map(file_candidate, files),
        ):
            manager._import_and_register(candidate)
        return manager

    def register(self, module: ModuleType, origin: Origin) -> None:
        """Register a module's hooks and collect its specs: all of them, or none on an error.

        A module that is registered already is passed over.

        Raises:
            PluginError: If there is no hook, a hook is misspelt or undecorated, takes arguments,
                or returns anything but specs of its kind, or a name is taken.
        """
        if self._pm.has_plugin(module.__name__):
            return
        self._add(declared_specs(module, origin.owner), origin)
        self._pm.register(module, name=module.__name__)

    def _import_and_register(self, candidate: Candidate) -> None:
        if self._pm.has_plugin(candidate.module_name) or candidate.name in self.failures:
            return
        # Whatever a broken plugin raises, even SystemExit, must not stop the others; errors of
        # the harness count as failures only while the plugin's own code runs.
        try:
            module, origin = candidate.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self._leave_out(candidate.name, error)
            return
        try:
            self.register(module, origin)
        except PluginError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001
            self._leave_out(candidate.name, error)

    def _leave_out(self, name: str, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}"
        if advice := new_home(error):
            reason += f"; {advice}"
        self.failures[name] = reason
        logger.warning("plugin %s left out, it failed to import: %s", name, reason)
        logger.debug("plugin %s", name, exc_info=error)

    def _add(self, specs: Iterable[PluginSpec], origin: Origin) -> None:
        added: dict[tuple[str, str], _Entry] = {}
        for spec in specs:
            key = (spec.kind, spec.name)
            provenance = Provenance(kind=spec.kind, name=spec.name, **asdict(origin))
            taken = self._entries.get(key) or added.get(key)
            if taken is not None:
                first = taken.provenance
                raise PluginError(
                    f"two plugins of kind {spec.kind!r} are named {spec.name!r}: {first.owner} "
                    f"({first.distribution}) and {origin.owner} ({origin.distribution}); "
                    "rename one or uninstall it"
                )
            added[key] = _Entry(spec, provenance)
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


_NAME = re.compile(r"[a-z][a-z0-9_]*(?:\+[a-z][a-z0-9_]*)*")


def declared_specs(module: ModuleType, owner: str) -> list[PluginSpec]:
    """Return every spec that a module's hooks declare; ``owner`` is what errors call it.

    Raises:
        PluginError: If there is no hook, a hook is misspelt or undecorated, takes arguments, or
            returns anything but specs of its kind.
    """
    return [
        spec
        for spec_class, hook in _hooks_of(module, owner).items()
        for spec in _specs_of(hook(), spec_class, owner)
    ]


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
            raise PluginError(f"{owner}: {name!r} looks like a hook but is not one; {fix}")
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
