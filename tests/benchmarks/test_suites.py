from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from dygenept.data.catalog import resolve_dataset
from dygenept.errors import ConfigError
from dygenept.models import resolve_models
from dygenept.plugin_manager import PluginManager
from dygenept.registry import load_registry
from dygenept.runner import dataset_entries
from dygenept.specs import MetricSpec, SplitSpec
from dygenept.suites import load_suite

DIRECTORY = Path(str(files("dygenept_benchmarks")))
NAMES = sorted(path.stem for path in DIRECTORY.glob("*.yaml"))


def test_the_quick_suite_ships() -> None:
    assert "quick" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_names_only_what_exists(name: str) -> None:
    suite = load_suite(name, DIRECTORY)
    registry = load_registry()
    manager = PluginManager.load(registry.plugins, entry_points=False)
    assert suite.name == name
    assert resolve_models(suite.models, registry, manager) or not suite.models
    manager.configure(manager.get(SplitSpec, suite.split), dict(suite.split_options))
    for metric in suite.metrics:
        manager.get(MetricSpec, metric)
    for dataset in suite.datasets:
        resolve_dataset(
            dataset, entries=dataset_entries(registry), manager=manager, scale=suite.scale
        )


def test_an_unknown_key_of_a_suite_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nversion: 1\nsummary: x\ndatasets: [norman]\nfolds: 3\n")
    with pytest.raises(ConfigError, match=r"unknown key .*folds.*n_folds"):
        load_suite(str(path), tmp_path)
