"""Reads a module's hooks and checks what they return."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

from dygenept.errors import PluginError, nearest
from dygenept.plugin import hookspecs
from dygenept.plugin.specs import SPEC_CLASSES, PluginConfig, PluginSpec

S = TypeVar("S", bound=PluginSpec)
_NAME = re.compile(r"[a-z][a-z0-9_]*(?:\+[a-z][a-z0-9_]*)*")


def declared_specs(module: ModuleType, owner: str) -> list[PluginSpec]:
    """Return every spec that a module's hooks declare; ``owner`` is what errors call it.

    Raises:
        PluginError: If there is no hook, a hook is misspelt or undecorated, takes arguments, or
            returns anything but specs of its kind.
    """
    return [
        spec
        for spec_class, hook in _hooks_of(module, owner).items()
        for spec in _specs_of(hook(), spec_class, owner)
    ]


def _hooks_of(module: ModuleType, owner: str) -> dict[type[PluginSpec], Callable[[], object]]:
    """Return a module's hooks by what each must return.

    Raises:
        PluginError: If one is misspelt, undecorated or takes arguments.
    """
    by_name = {f"dygenept_{spec_class.kind}": spec_class for spec_class in SPEC_CLASSES}
    hooks: dict[type[PluginSpec], Callable[[], object]] = {}
    for name, value in vars(module).items():
        if not callable(value) or isinstance(value, type):
            continue
        is_marked = hasattr(value, f"{hookspecs.PROJECT}_impl")
        if is_marked and name not in by_name:
            raise PluginError(f"{owner}: no hook is called {name!r}; {nearest(name, by_name)}")
        is_own = getattr(value, "__module__", None) == module.__name__
        if name.startswith("dygenept_") and is_own and not is_marked:
            fix = "decorate it with @hookimpl" if name in by_name else nearest(name, by_name)
            raise PluginError(f"{owner}: {name!r} looks like a hook but is not one; {fix}")
        if is_marked:
            if inspect.signature(value).parameters:
                raise PluginError(f"{owner}: hook {name!r} must take no arguments")
            hooks[by_name[name]] = value
    if not hooks:
        raise PluginError(f"{owner} has no hook, so it adds nothing; {nearest('', by_name)}")
    return hooks


def _specs_of(returned: object, spec_class: type[S], owner: str) -> list[S]:
    hook = f"{owner}: hook dygenept_{spec_class.kind}"
    if not isinstance(returned, list | tuple):
        raise PluginError(
            f"{hook} must return a list of {spec_class.__name__}, got {type(returned).__name__}"
        )
    for item in returned:
        if not isinstance(item, spec_class):
            raise PluginError(
                f"{hook} must return a list of {spec_class.__name__}, got {type(item).__name__} "
                "in it"
            )
        if not isinstance(item.name, str) or not _NAME.fullmatch(item.name):
            raise PluginError(f"{owner}: plugin name {item.name!r} is not lower snake case")
        if not (isinstance(item.config, type) and issubclass(item.config, PluginConfig)):
            raise PluginError(
                f"{owner}: config of {item.name!r} must be a subclass of PluginConfig, got "
                f"{item.config!r}"
            )
    return list(returned)
