"""Finds a baseline by name, with the options that the registry and the command line give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dygenept.errors import ConfigError, nearest
from dygenept.machine.checksums import file_sha256
from dygenept.model.config import (
    NO_OVERRIDES,
    Overrides,
    model_names,
    registered_entry,
    shown_value,
    split_overrides,
)
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry, merge
from dygenept.plugin.requirements import lacking
from dygenept.plugin.specs import BaselineSpec, PluginConfig


@dataclass(frozen=True, slots=True)
class ConfiguredBaseline:
    """A baseline plugin with its options.

    Attributes:
        shown: Its registered name with the options that were changed, such as
            ``ridge[embedding=go_minilm]``.
        spec: The plugin.
        options: Its configuration.
    """

    shown: str
    spec: BaselineSpec
    options: PluginConfig

    @property
    def knowledge(self) -> str | None:
        """Facet set or file that it reads gene embeddings from."""
        return None if self.spec.knowledge is None else self.spec.knowledge(self.options)

    def missing(self) -> str | None:
        """Say in one sentence what it needs that is not on this machine."""
        return lacking(self.spec, self.options)


def configured_baseline(
    name: str, registry: Registry, manager: PluginManager, overrides: Overrides = NO_OVERRIDES
) -> ConfiguredBaseline:
    """Resolve a baseline plugin, or an entry of ``models`` that names one under ``baseline``.

    Only what addresses the model by its name changes it (``--set ridge.alpha=1``).

    Raises:
        ConfigError: If the name or an option is unknown (the nearest is named), or a value is
            not allowed.
    """
    known = model_names(registry, manager)
    if name not in known:
        raise ConfigError(f"unknown model {name!r}; {nearest(name, known)}")
    plugin, registered = name, dict[str, object]()
    if name in registry.models:
        registered = registered_entry(name, registry)
        registered.pop("summary", None)
        plugin = str(registered.pop("baseline"))
    spec = manager.get(BaselineSpec, plugin)
    _, own = split_overrides(name, overrides, known)
    before = manager.configure(spec, registered)
    after = manager.configure(spec, merge(registered, own))
    return ConfiguredBaseline(shown=_shown(name, before, after), spec=spec, options=after)


def file_digest(name_or_file: str) -> str | None:
    """Hash the file that an option names; None where it names none."""
    path = Path(name_or_file).expanduser()
    return file_sha256(path) if path.is_file() else None


def _shown(name: str, before: PluginConfig, after: PluginConfig) -> str:
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    changes = [f"{key}={_short(new[key])}" for key in sorted(new) if new[key] != old[key]]
    return f"{name}[{','.join(changes)}]" if changes else name


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return "+".join(f"{key}:{shown_value(item)}" for key, item in value.items()) or "none"
    return shown_value(value)
