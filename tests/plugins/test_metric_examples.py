"""Every metric's docstring has an example with hand-worked numbers, and it holds."""

from __future__ import annotations

import doctest
import importlib

import pytest

from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import MetricSpec

MANAGER = PluginManager.load(load_registry().plugins)
OWNERS = {
    spec.name: MANAGER.provenance(MetricSpec.kind, spec.name).owner
    for spec in MANAGER.specs(MetricSpec)
}


def examples(name: str) -> list[doctest.DocTest]:
    module = importlib.import_module(OWNERS[name])
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


@pytest.mark.parametrize("name", sorted(OWNERS))
def test_the_metrics_own_docstring_has_an_example(name: str) -> None:
    assert f"{OWNERS[name]}.{name}" in {test.name for test in examples(name)}


@pytest.mark.parametrize("name", sorted(OWNERS))
def test_examples_give_what_they_say(name: str) -> None:
    for test in examples(name):
        result = doctest.DocTestRunner(verbose=False).run(test)
        assert result.attempted > 0
        assert result.failed == 0, test.name
