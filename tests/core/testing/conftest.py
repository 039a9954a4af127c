"""Sound toy plugins of every kind, and what makes them break a rule."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dygenept.testing import ConformanceError, check_plugin

SOURCE = Path(__file__).parents[2] / "third_party" / "dygenept-toyplugins" / "src"
MODULES = {
    "attention": "most_confident",
    "baselines": "median_shift",
    "cell_encoders": "depth",
    "datasets": "toy_file",
    "decoders": "summed",
    "facet_writers": "handwritten",
    "gene_encoders": "projected",
    "kg_sources": "family",
    "metrics": "cosine_delta",
    "splits": "alternate",
    "text_encoders": "trigrams",
}


@pytest.fixture(params=MODULES)
def kind(request: pytest.FixtureRequest) -> str:
    """Return each kind of plugin in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def sound() -> Iterator[Callable[[str], Any]]:
    """Return the sound toy plugin of a kind."""
    before = set(sys.modules)
    sys.path.insert(0, str(SOURCE))

    def of(kind: str) -> Any:
        module = importlib.import_module(f"dygenept_toyplugins.{MODULES[kind]}")
        return getattr(module, f"dygenept_{kind}")()[0]

    yield of
    sys.path.remove(str(SOURCE))
    for name in set(sys.modules) - before:
        if name.startswith("dygenept_toyplugins"):
            del sys.modules[name]


def changed(spec: Any, change: Callable[[Any], Any]) -> Any:
    """Return a spec whose factory's product is passed through ``change``."""
    return replace(spec, factory=lambda *arguments: change(spec.factory(*arguments)))


class Over:
    """Wraps a plugin and replaces some of what it has."""

    def __init__(self, inner: object, **members: object) -> None:
        self._inner = inner
        self.__dict__.update(members)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


def overriding(**members: Callable[..., object]) -> Callable[[Any], Any]:
    """Replace methods by functions of the sound plugin and the arguments."""

    def change(inner: Any) -> Any:
        def bind(member: Callable[..., object]) -> Callable[..., object]:
            return lambda *arguments, **options: member(inner, *arguments, **options)

        methods = {name: bind(member) for name, member in members.items()}
        kept = {
            name: getattr(inner, name)
            for name in ("status", "fetch", "load", "folds", "encode", "write", "graph")
            if hasattr(inner, name)
        }
        for name in ("identity", "corpus_dependent"):
            if hasattr(inner, name):
                kept[name] = getattr(inner, name)
        return Over(inner, **{**kept, **methods})

    return change


def expect_broken(spec: Any, match: str) -> None:
    with pytest.raises(ConformanceError, match=match) as caught:
        check_plugin(spec)
    assert str(caught.value).startswith(f"{spec.kind}/{spec.name}: ")


@pytest.fixture
def broken() -> Callable[[Any, str], None]:
    """Check a spec and expect that it breaks a rule."""
    return expect_broken


@pytest.fixture
def altered(sound: Callable[[str], Any]) -> Callable[[str, Any], Any]:
    """Return the spec of a kind's sound plugin with a change to what its factory makes.

    The change is a function of that, or the methods to replace: functions of the sound plugin and
    the arguments.
    """

    def of(kind: str, change: Any) -> Any:
        change = overriding(**change) if isinstance(change, Mapping) else change
        return changed(sound(kind), change)

    return of


@pytest.fixture
def breaks(altered: Callable[[str, Any], Any]) -> Callable[[str, Any, str], None]:
    """Alter a sound plugin and expect that it breaks a rule."""
    return lambda kind, change, match: expect_broken(altered(kind, change), match)
