"""What a plugin needs that is not on this machine: packages first, then what it says itself."""

from __future__ import annotations

from importlib import metadata

from dygenept.errors import PluginError
from dygenept.plugin.specs import PluginConfig, PluginSpec


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
        return f"{spec.name} needs what is not installed: pip install {names}"
    return None if spec.missing is None else spec.missing(config)
