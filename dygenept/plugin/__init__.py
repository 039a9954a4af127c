"""Everything that a plugin author imports: hooks, specs, interfaces, contexts and errors.

Read in this order: ``hookspecs`` (one hook per kind), ``specs`` (what a hook returns),
``interfaces`` (what a factory builds, and what a plugin may offer besides), ``loading``
and ``manager`` (how plugins are imported, asked and found), ``registry`` (what
``registry.yaml`` names) and ``yaml_files`` (how anybody's file is read and validated),
``configured`` (a plugin with its options), ``environment`` (registry, plugins, folders and device,
which a whole run is given), ``isolated`` (models in an environment of their own). ``faults`` and
``moved`` say what is wrong with a plugin, ``code_identity`` which code it is. Specs are loaded on
first use, so that an attention module needs no pydantic. ``own_files`` says on which files a
plugin's numbers depend.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from dygenept.errors import (
    ConfigError,
    DataError,
    DataUnavailableError,
    DygeneptError,
    PluginError,
    ShapeError,
    SplitError,
    nearest,
)
from dygenept.plugin import interfaces
from dygenept.plugin.interfaces import *  # noqa: F403

if TYPE_CHECKING:
    from dygenept.plugin.hookspecs import hookimpl
    from dygenept.plugin.isolated.environment import EnvironmentSpec
    from dygenept.plugin.isolated.model import IsolatedConfig, IsolatedModel, IsolatedProgram
    from dygenept.plugin.specs import (
        AttentionSpec,
        BaselineSpec,
        CellEncoderSpec,
        DatasetSpec,
        DecoderSpec,
        EffectMetricSpec,
        FacetWriterSpec,
        GeneEncoderSpec,
        KgSourceSpec,
        MappedConfig,
        MetricGuide,
        MetricSpec,
        PluginConfig,
        SplitSpec,
        TextEncoderSpec,
    )

__all__ = [
    "AttentionSpec",
    "BaselineSpec",
    "CellEncoderSpec",
    "ConfigError",
    "DataError",
    "DataUnavailableError",
    "DatasetSpec",
    "DecoderSpec",
    "DygeneptError",
    "EffectMetricSpec",
    "EnvironmentSpec",
    "FacetWriterSpec",
    "GeneEncoderSpec",
    "IsolatedConfig",
    "IsolatedModel",
    "IsolatedProgram",
    "KgSourceSpec",
    "MappedConfig",
    "MetricGuide",
    "MetricSpec",
    "PluginConfig",
    "PluginError",
    "ShapeError",
    "SplitError",
    "SplitSpec",
    "TextEncoderSpec",
    "hookimpl",
    "nearest",
]
__all__ += interfaces.__all__


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_home(name)), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _home(name: str) -> str:
    if name.startswith("Isolated"):
        return "dygenept.plugin.isolated.model"
    if name == "EnvironmentSpec":
        return "dygenept.plugin.isolated.environment"
    if name == "hookimpl":
        return "dygenept.plugin.hookspecs"
    return "dygenept.plugin.specs"
