"""A plugin together with its options, validated once, and what it needs that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Generic, TypeVar

from dygenept.errors import PluginError
from dygenept.plugin.specs import PluginConfig, PluginSpec
from dygenept.types.results import Provenance

# A plugin that reads the data folder has an option of this name.
DATA_DIR_OPTION = "data_dir"
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


def with_data_folder(
    spec: PluginSpec, options: Mapping[str, object], data_dir: Path | None
) -> dict[str, object]:
    """Add a run's data folder to the options of a plugin that reads it; one given there wins.

    Such a plugin's configuration has a field ``data_dir``, declared with ``exclude=True``, so that
    no record contains a path of one machine.
    """
    given = dict(options)
    if data_dir is not None and DATA_DIR_OPTION in spec.config.model_fields:
        given.setdefault(DATA_DIR_OPTION, str(data_dir))
    return given


def absent_packages(spec: PluginSpec) -> tuple[str, ...]:
    """Return those of a plugin's ``requires`` that are not installed in a version that fits.

    Raises:
        PluginError: If one is not a valid requirement.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    absent = []
    for text in spec.requires:
        try:
            wanted = Requirement(text)
        except InvalidRequirement as error:
            raise PluginError(
                f"{spec.kind}/{spec.name}: requires has {text!r}; write distributions, such as "
                "'openai>=1'"
            ) from error
        try:
            version = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            absent.append(text)
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            absent.append(text)
    return tuple(absent)


def unmet_need(spec: PluginSpec, config: PluginConfig) -> str | None:
    """Say in one sentence what a plugin with this configuration still needs; None if nothing."""
    absent = absent_packages(spec)
    if absent:
        names = " ".join(f"'{text}'" if set(text) & set("<>; ") else text for text in absent)
        extra = f" (the extra {spec.extra!r})" if spec.extra else ""
        return f"{spec.name} needs what is not installed: pip install {names}{extra}"
    return None if spec.missing is None else spec.missing(config)
