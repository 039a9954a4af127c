"""What a command works in: registry, plugins, folders, and the device that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dygenept.machine.folders import default_cache_dir, default_data_dir
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry, load_registry
from dygenept.types import Progress, Runtime, no_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Made once by whoever starts a run, and handed along the walk.

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
    data_dir: Path
    cache_dir: Path
    device: str = "auto"
    registries: tuple[Path, ...] = ()
    plugin_files: tuple[Path, ...] = ()

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

    def runtime(self, report: Callable[[Progress], None] = no_report) -> Runtime:
        """Return what a plugin may know of where it runs, outside a job."""
        return Runtime(report=report, cache_dir=self.cache_dir, data_dir=self.data_dir)
