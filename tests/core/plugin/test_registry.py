from __future__ import annotations

from pathlib import Path

import pytest

from dygenept.errors import ConfigError
from dygenept.plugin.registry import (
    ENVIRONMENT_VARIABLE,
    bundled_registry_path,
    load_registry,
    merge,
)


@pytest.fixture(autouse=True)
def _no_environment_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_bundled_registry_is_found_and_names_the_design_models() -> None:
    registry = load_registry()
    assert bundled_registry_path().name == "registry.yaml"
    assert {"dygenept", "dygenept_large", "dygenept_small"} <= set(registry.models)
    assert "dygenept_plugins.attention.sparsemax" in registry.plugins


def test_a_users_registry_is_merged_over_the_bundled_one(tmp_path: Path) -> None:
    mine = write(
        tmp_path / "mine.yaml",
        "plugins: [my_plugins.attention]\n"
        "models: {dygenept_small: {width: 7}}\n"
        "defaults: {n_folds: 3}\n",
    )
    bundled, merged = load_registry(), load_registry([mine])
    assert merged.plugins == (*bundled.plugins, "my_plugins.attention")
    assert merged.models["dygenept_small"]["width"] == 7
    assert merged.models["dygenept_small"]["facets"] == bundled.models["dygenept_small"]["facets"]
    assert merged.defaults.n_folds == 3
    assert merged.defaults.seed == bundled.defaults.seed


def test_the_environment_variable_names_a_registry_and_a_flag_wins_over_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = write(tmp_path / "env.yaml", "defaults: {n_folds: 3, seed: 1}\n")
    flag = write(tmp_path / "flag.yaml", "defaults: {n_folds: 4}\n")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(environment))
    defaults = load_registry([flag]).defaults
    assert (defaults.n_folds, defaults.seed) == (4, 1)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "~/env.yaml")
    assert load_registry().defaults.n_folds == 3


def test_a_plugin_named_twice_is_registered_once(tmp_path: Path) -> None:
    mine = write(tmp_path / "mine.yaml", "plugins: [dygenept_plugins.attention.sparsemax]\n")
    assert load_registry([mine]).plugins == load_registry().plugins


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modles: {}\n", "did you mean 'models'"),
        ("defaults: {folds: 3}\n", "known: .*n_folds"),
        ("plugins: attention\n", "list of module names"),
        ("- a\n", "must contain a mapping"),
        ("a: [1\n", "not valid YAML"),
    ],
)
def test_a_wrong_registry_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_registry([write(tmp_path / "mine.yaml", text)])
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_registry_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file .*none\.yaml"):
        load_registry([tmp_path / "none.yaml"])


def test_merging_replaces_lists_and_keeps_what_is_not_named() -> None:
    base = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    assert merge(base, {"a": {"y": [3]}}) == {"a": {"x": 1, "y": [3]}, "b": 1}
    assert base["a"] == {"x": 1, "y": [1, 2]}
