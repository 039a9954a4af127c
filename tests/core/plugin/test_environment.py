"""The environment of a run: plugins with validated options, and a recipe for other processes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from dygenept.data.catalog import dataset_entries
from dygenept.errors import ConfigError, PluginError
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry
from dygenept.plugin.specs import AttentionSpec

OWN_PLUGIN = """
from dygenept.plugin import MetricSpec, hookimpl

@hookimpl
def dygenept_metrics():
    return [MetricSpec(name="own", summary="A", source="a", factory=object, higher_is_better=True)]
"""


@pytest.fixture(scope="module")
def environment() -> Environment:
    return Environment.load()


def test_a_plugin_is_found_with_its_options_and_provenance(environment: Environment) -> None:
    found = environment.configured(AttentionSpec, "sparsemax", {"num_heads": 2})
    assert found.document()["name"] == "sparsemax"
    assert found.document()["num_heads"] == 2
    assert (found.provenance.kind, found.provenance.name) == ("attention", "sparsemax")
    assert found.missing() is None
    assert found.label is None


def test_a_wrong_option_is_refused_under_the_name_that_the_user_wrote(
    environment: Environment,
) -> None:
    with pytest.raises(ConfigError, match=r"'attention\.num_head'; did you mean 'num_heads'"):
        environment.configured(AttentionSpec, "sparsemax", {"num_head": 2}, where="attention")
    with pytest.raises(ConfigError, match=r"'attention\.sparsemax\.num_head'"):
        environment.configured(AttentionSpec, "sparsemax", {"num_head": 2})
    with pytest.raises(PluginError, match="did you mean 'softmax'"):
        environment.configured(AttentionSpec, "sofmax")


def test_a_section_of_the_registry_is_validated_once(environment: Environment) -> None:
    assert dataset_entries(environment)["norman"] is dataset_entries(environment)["norman"]


def test_a_wrong_entry_of_the_registry_is_named() -> None:
    registry = Registry(datasets={"mine": {"summary": "no source"}})
    broken = Environment(registry=registry, manager=PluginManager())
    with pytest.raises(ConfigError, match=r"datasets\.mine\.source must be given"):
        dataset_entries(broken)


def test_another_process_loads_the_same_environment_from_the_recipe(tmp_path: Path) -> None:
    plugin, registry = tmp_path / "own.py", tmp_path / "own.yaml"
    plugin.write_text(OWN_PLUGIN)
    registry.write_text("defaults: {seed: 7}\n")
    first = Environment.load(
        (registry,), (plugin,), data_dir=tmp_path, cache_dir=tmp_path / "cache", device="cpu"
    )
    again = pickle.loads(pickle.dumps(first.recipe))()
    assert "own" in again.manager.names("metrics")
    assert again.registry == first.registry
    assert again.registry.defaults.seed == 7
    assert (again.data_dir, again.cache_dir, again.device) == (
        tmp_path,
        tmp_path / "cache",
        "cpu",
    )
