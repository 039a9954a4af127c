"""Finds a baseline by name, with the options that the registry and the command line give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dygenept.errors import ConfigError, nearest
from dygenept.model.assembly import model_names, shown_value
from dygenept.model.assembly_text import registered_entry
from dygenept.model.overrides import NO_OVERRIDES, Overrides, split_overrides
from dygenept.plugin.configured import ConfiguredPlugin
from dygenept.plugin.environment import Environment
from dygenept.plugin.registry import merge
from dygenept.plugin.specs import BaselineSpec, PluginConfig
from dygenept.types import FitSize, FitWork


@dataclass(frozen=True, slots=True)
class ConfiguredBaseline:
    """A baseline plugin with its options.

    Attributes:
        shown: Its registered name with the options that were changed, such as
            ``ridge[embedding=go_minilm]``.
        plugin: The plugin and its configuration.
    """

    shown: str
    plugin: ConfiguredPlugin[BaselineSpec]

    @property
    def spec(self) -> BaselineSpec:
        """The plugin."""
        return self.plugin.spec

    @property
    def options(self) -> PluginConfig:
        """Its configuration."""
        return self.plugin.options

    @property
    def knowledge(self) -> str | None:
        """Facet set or file that it reads gene embeddings from."""
        return None if self.spec.knowledge is None else self.spec.knowledge(self.options)

    def fit_bytes(self, size: FitSize) -> int:
        """Bytes that it says it takes beside the task; 0 where it goes through it in parts."""
        return 0 if self.spec.fit_bytes is None else self.spec.fit_bytes(self.options, size)

    def fit_work(self, size: FitSize) -> FitWork | None:
        """Steps that it says fitting and predicting take; None where it does not say."""
        return None if self.spec.fit_work is None else self.spec.fit_work(self.options, size)


def configured_baseline(
    name: str, environment: Environment, overrides: Overrides = NO_OVERRIDES
) -> ConfiguredBaseline:
    """Resolve a baseline plugin, or an entry of ``models`` that names one under ``baseline``.

    Only what addresses the model by its name changes it (``--set ridge.alpha=1``).

    Raises:
        ConfigError: If the name or an option is unknown (the nearest is named), or a value is
            not allowed.
    """
    known = model_names(environment)
    if name not in known:
        raise ConfigError(f"unknown model {name!r}; {nearest(name, known)}")
    plugin, registered = name, dict[str, object]()
    if name in environment.registry.models:
        registered = registered_entry(name, environment.registry)
        registered.pop("summary", None)
        plugin = str(registered.pop("baseline"))
    _, own = split_overrides(name, overrides, known)
    before = environment.configured(BaselineSpec, plugin, registered)
    if not own:
        return ConfiguredBaseline(name, before)
    after = environment.configured(BaselineSpec, plugin, merge(registered, own))
    return ConfiguredBaseline(_shown(name, before.options, after.options), after)


def baseline_of_config(
    options: PluginConfig, environment: Environment, *, shown: str | None = None
) -> ConfiguredBaseline:
    """Find the baseline plugin that a configuration belongs to.

    Args:
        options: Such as ``RidgeConfig(alpha=0.1)``.
        environment: Knows the plugins.
        shown: Name in leaderboards; None takes the plugin's, with the options that differ from
            its defaults.

    Raises:
        ConfigError: If it belongs to no baseline, or to several.
    """
    owners = [
        spec.name
        for spec in environment.manager.specs(BaselineSpec)
        if spec.config is type(options) and spec.config is not PluginConfig
    ]
    if len(owners) != 1:
        raise ConfigError(
            f"{type(options).__name__} is the configuration of {len(owners)} baselines; name the "
            "model instead"
        )
    before = environment.configured(BaselineSpec, owners[0])
    after = environment.configured(BaselineSpec, owners[0], options.model_dump())
    name = shown or _shown(owners[0], before.options, after.options)
    return ConfiguredBaseline(name, after)


def _shown(name: str, before: PluginConfig, after: PluginConfig) -> str:
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    changes = [f"{key}={_short(new[key])}" for key in sorted(new) if new[key] != old[key]]
    return f"{name}[{','.join(changes)}]" if changes else name


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return "+".join(f"{key}:{shown_value(item)}" for key, item in value.items()) or "none"
    return shown_value(value)
