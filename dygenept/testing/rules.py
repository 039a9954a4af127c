"""How a conformance check says which rule is broken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from dygenept.errors import ConfigError, DataUnavailableError, PluginError
from dygenept.plugin.configured import absent_packages
from dygenept.plugin.specs import BaselineSpec, PluginConfig, PluginSpec
from dygenept.plugin.yaml_files import validated


class ConformanceError(PluginError):
    """A plugin breaks a rule of its kind; the message is a sentence that says which."""


class NotCheckedError(PluginError):
    """A plugin cannot be checked here: it lacks an option, a file or an optional package."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that one plugin is held to.

    Attributes:
        plugin: ``kind/name``, for messages.
    """

    plugin: str

    def require(self, holds: bool, sentence: str) -> None:
        """Hold the plugin to a rule; the sentence says what is wrong otherwise.

        Raises:
            ConformanceError: If it is broken.
        """
        if not holds:
            raise ConformanceError(f"{self.plugin}: {sentence}")


@contextmanager
def checking(spec: PluginSpec) -> Iterator[Rules]:
    """Check one plugin: its declaration first, then the body of the ``with`` statement.

    Raises:
        ConformanceError: If a rule is broken, or the plugin raises what it must not.
        NotCheckedError: If the plugin says that a file of its own is not on this machine.
    """
    rules = Rules(f"{spec.kind}/{spec.name}")
    _check_declaration(spec, rules)
    try:
        yield rules
    except (ConformanceError, NotCheckedError):
        raise
    except DataUnavailableError as error:
        raise NotCheckedError(f"{rules.plugin}: not checked: {error}") from error
    # A plugin may raise anything at all; each of them is a broken rule, with its cause chained.
    except (Exception, SystemExit) as error:
        raise ConformanceError(f"{rules.plugin}: raised {type(error).__name__}: {error}") from error


def configured(spec: PluginSpec, options: Mapping[str, object] | None) -> PluginConfig:
    """Build a plugin's configuration for a check.

    Args:
        spec: The plugin.
        options: Its options; None takes its ``check_options``, over its defaults.

    Raises:
        NotCheckedError: If the defaults do not suffice, or the plugin needs something that is
            not on this machine.
        ConfigError: If an option is not allowed.
    """
    where = f"{spec.kind}.{spec.name}"
    given = dict(spec.check_options if options is None else options)
    try:
        config = validated(spec.config, given, where)
    except ConfigError as error:
        if given:
            raise
        raise NotCheckedError(f"{spec.kind}/{spec.name}: needs options: {error}") from error
    absent = absent_packages(spec)
    if absent:
        raise NotCheckedError(
            f"{spec.kind}/{spec.name}: not checked: pip install {' '.join(absent)} first"
        )
    _require_environment(spec, config)
    missing = spec.missing(config) if spec.missing else None
    if missing:
        raise NotCheckedError(f"{spec.kind}/{spec.name}: not checked: {missing}")
    return config


def _require_environment(spec: PluginSpec, config: PluginConfig) -> None:
    """Check what runs in an environment of its own only where that is built already."""
    if not isinstance(spec, BaselineSpec) or spec.environment is None:
        return
    from dygenept.machine.folders import default_cache_dir
    from dygenept.plugin.isolated.building import find_environment

    environment = spec.environment(config)
    needs_packages = bool(environment.requirements or environment.no_deps)
    if needs_packages and find_environment(environment, default_cache_dir()) is None:
        raise NotCheckedError(
            f"{spec.kind}/{spec.name}: not checked: its environment is not built; "
            f"`dygenept env build {spec.name}`"
        )


def _check_declaration(spec: PluginSpec, rules: Rules) -> None:
    rules.require(
        bool(spec.summary.strip()) and "\n" not in spec.summary,
        f"its summary must be one line of text, got {spec.summary!r}",
    )
    rules.require(bool(spec.source.strip()), "its source is empty; name a paper or 'this project'")
    rules.require(callable(spec.factory), "its factory cannot be called")  # type: ignore[attr-defined]
    rules.require(
        isinstance(spec.config, type) and issubclass(spec.config, PluginConfig),
        f"its config must be a subclass of PluginConfig, got {spec.config!r}",
    )
    model_config = spec.config.model_config
    rules.require(
        model_config.get("extra") == "forbid" and model_config.get("frozen") is True,
        "its config must be frozen and forbid unknown keys, as PluginConfig does",
    )
