"""A plugin together with its options, validated once and then handed along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from dygenept.plugin.requirements import unmet_need
from dygenept.plugin.specs import PluginConfig, PluginSpec
from dygenept.types.provenance import Provenance

S_co = TypeVar("S_co", bound=PluginSpec, covariant=True)


@dataclass(frozen=True, slots=True)
class ConfiguredPlugin(Generic[S_co]):
    """A plugin and the options that it is built with.

    Attributes:
        spec: The plugin.
        options: Its configuration, of the class that the plugin declares.
        provenance: Where the plugin came from.
    """

    spec: S_co
    options: PluginConfig
    provenance: Provenance

    @property
    def name(self) -> str:
        """Name of the plugin."""
        return self.spec.name

    @property
    def label(self) -> str | None:
        """Words that the name of every model with this configuration must carry, if any."""
        return None if self.spec.label is None else self.spec.label(self.options)

    def missing(self) -> str | None:
        """Say in one sentence what it needs that is not on this machine; None if all is there."""
        return unmet_need(self.spec, self.options)

    def document(self) -> dict[str, object]:
        """Return the plugin's name and every option, ready for JSON."""
        return {"name": self.name, **self.options.model_dump(mode="json")}
