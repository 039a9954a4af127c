"""What a command works in: registry, plugins, folders, and the device that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar, cast

from pydantic import BaseModel

from dygenept.machine.folders import default_cache_dir, default_data_dir
from dygenept.plugin.configured import ConfiguredPlugin, with_data_folder
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry, load_registry
from dygenept.plugin.specs import PluginSpec
from dygenept.plugin.yaml_files import validated
from dygenept.types import Progress, Runtime, no_report

S = TypeVar("S", bound=PluginSpec)
E = TypeVar("E", bound=BaseModel)
Section = Literal["facets", "models", "datasets", "collections", "assets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Made once by whoever starts a run, and passed along the walk.

    Attributes:
        registry: The merged registry.
        manager: The loaded plugins.
        data_dir: Where data sets and knowledge graphs live.
        cache_dir: Where computed knowledge is cached.
        device: What was asked for: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        registries: Registry files that were merged over the bundled one.
        plugin_files: Single files that plugins were loaded from.
    """

    registry: Registry
    manager: PluginManager
    data_dir: Path = field(default_factory=default_data_dir)
    cache_dir: Path = field(default_factory=default_cache_dir)
    device: str = "auto"
    registries: tuple[Path, ...] = ()
    plugin_files: tuple[Path, ...] = ()
    _sections: dict[str, Mapping[str, BaseModel]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def load(
        cls,
        registries: Sequence[Path] = (),
        plugin_files: Sequence[Path] = (),
        *,
        data_dir: Path | None = None,
        cache_dir: Path | None = None,
        device: str = "auto",
    ) -> Environment:
        """Merge the registries and load every plugin.

        Args:
            registries: Files to merge over the bundled registry, the last one winning.
            plugin_files: Python files with plugins.
            data_dir: Where data sets live; None takes ``$DYGENEPT_DATA``, else the user's folder.
            cache_dir: Where computed knowledge is cached; None takes ``$DYGENEPT_HOME``, else the
                user's cache.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; picked when a run begins.

        Raises:
            ConfigError: If a registry file is missing or not valid.
            PluginError: If a plugin file is missing, or two plugins share a name.
        """
        registry = load_registry(registries)
        return cls(
            registry=registry,
            manager=PluginManager.load(registry.plugins, files=plugin_files),
            data_dir=data_dir or default_data_dir(),
            cache_dir=cache_dir or default_cache_dir(),
            device=device,
            registries=tuple(registries),
            plugin_files=tuple(plugin_files),
        )

    @property
    def recipe(self) -> Callable[[], Environment]:
        """Loads the same environment in another process; picklable, which plugins are not."""
        return partial(
            Environment.load,
            self.registries,
            self.plugin_files,
            data_dir=self.data_dir,
            cache_dir=self.cache_dir,
            device=self.device,
        )

    def runtime(
        self, report: Callable[[Progress], None] = no_report, *, device: str = "cpu"
    ) -> Runtime:
        """Return what a plugin may know about where it runs, outside a job."""
        return Runtime(
            device=device, report=report, cache_dir=self.cache_dir, data_dir=self.data_dir
        )

    def configured(
        self,
        spec_class: type[S],
        name: str,
        options: Mapping[str, object] | None = None,
        *,
        where: str | None = None,
    ) -> ConfiguredPlugin[S]:
        """Find a plugin and validate its options.

        Args:
            spec_class: Its kind.
            name: Its name.
            options: Options that differ from its defaults.
            where: What errors call the options; None takes the plugin's kind and name.

        Raises:
            PluginError: If there is no such plugin.
            ConfigError: If an option is unknown (the nearest is named) or not allowed.
        """
        spec = self.manager.get(spec_class, name)
        given = with_data_folder(spec, options or {}, self.data_dir)
        config = validated(spec.config, given, where or f"{spec.kind}.{spec.name}")
        return ConfiguredPlugin(spec, config, self.manager.provenance(spec.kind, spec.name))

    def entries(self, section: Section, entry: type[E]) -> Mapping[str, E]:
        """Validate a section of the registry, once, for the module that owns its entries.

        Args:
            section: Such as ``datasets``.
            entry: What each entry of the section must be.

        Raises:
            ConfigError: If an entry has an unknown key or a value that is not allowed.
        """
        if section not in self._sections:
            self._sections[section] = {
                name: validated(entry, dict(document), f"{section}.{name}")
                for name, document in getattr(self.registry, section).items()
            }
        return cast(Mapping[str, E], self._sections[section])
