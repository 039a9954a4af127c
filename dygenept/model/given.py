"""Puts a model that a user hands over as an object behind the protocol of all models."""

from __future__ import annotations

import copy
import hashlib
import inspect
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dygenept.errors import ConfigError
from dygenept.model.assembly import Assembly
from dygenept.model.assembly_text import AssemblyText
from dygenept.model.baselines import baseline_of_config
from dygenept.model.object_state import object_state
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.code_identity import sources_sha256
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import Model
from dygenept.plugin.own_files import plugin_files
from dygenept.plugin.specs import PluginConfig


@dataclass(frozen=True, slots=True)
class GivenModel:
    """A model that is not named but handed over.

    Attributes:
        name: How leaderboards call it; None takes the name of its class or plugin.
        value: An assembly's text, the configuration of a baseline, or an object (or a class that
            needs no argument) with ``fit`` and ``predict``.
    """

    name: str | None
    value: object


def resolve_given(given: GivenModel, environment: Environment) -> ResolvedModel:
    """Resolve a model that was handed over.

    Raises:
        ConfigError: If it is none of the things that ``GivenModel`` lists.
    """
    value = given.value
    if isinstance(value, AssemblyText):
        assembly = Assembly.of(value, environment)
        name = assembly.labelled(given.name or "assembly", environment)
        return ResolvedModel.from_assembly(assembly, environment, name=name, base=name)
    if isinstance(value, PluginConfig):
        baseline = baseline_of_config(value, environment, shown=given.name)
        return ResolvedModel.from_baseline(baseline, environment, base=baseline.spec.name)
    if isinstance(value, type) and issubclass(value, Model):
        return _object_model(given.name, value, value, object_state(value))
    if isinstance(value, Model):
        # Each fold fits a copy, so that none begins where another ended.
        return _object_model(given.name, type(value), partial(_copied, value), object_state(value))
    raise ConfigError(
        f"{type(value).__name__} is not a model: give a name, an AssemblyText, the configuration "
        "of a baseline, or an object with fit(task) and predict(conditions)"
    )


def _object_model(
    name: str | None, kind: type, build: Callable[[], Model], state: object
) -> ResolvedModel:
    return ResolvedModel.from_object(
        name or kind.__name__,
        of_class=f"{kind.__module__}.{kind.__qualname__}",
        state=state,
        code=_code_of(kind),
        build=build,
    )


def _copied(value: Model) -> Model:
    try:
        return copy.deepcopy(value)
    except Exception as error:
        # Objects may refuse to be copied in any way.
        kind = type(value).__name__
        raise ConfigError(
            f"the {kind} cannot be copied, and each fold fits a copy of it ({error}); give the "
            "class itself, or open files, locks and the like in its fit"
        ) from error


def _code_of(kind: type) -> str:
    """Hash the sources of a class; of one typed into a console, a name that never comes again."""
    module = sys.modules.get(kind.__module__)
    # A script is its file; a console and a notebook have none.
    file = getattr(module, "__file__", None)
    if module is not None and file is not None:
        is_script = module.__name__ == "__main__"
        if files := plugin_files(module, name=Path(file).stem if is_script else None):
            return sources_sha256(files)
    try:
        return hashlib.sha256(inspect.getsource(kind).encode()).hexdigest()
    except (OSError, TypeError):
        return secrets.token_hex(32)
