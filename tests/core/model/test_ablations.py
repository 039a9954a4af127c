"""Ablation grids: the product of swaps, as models of one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from dygenept.errors import ConfigError
from dygenept.model.ablations import Grid
from dygenept.model.overrides import NO_OVERRIDES, Overrides
from dygenept.model.resolve import resolve_models
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.yaml_files import validated
from dygenept.runs.suites import load_suite


def grid_of(**axes: object) -> Grid:
    return validated(Grid, {"model": "dygenept_small", "axes": axes}, "grid")


@pytest.fixture(scope="module")
def shipped() -> Environment:
    registry = load_registry()
    return Environment(
        registry=registry, manager=PluginManager.load(registry.plugins, entry_points=False)
    )


def names_of(grid: Grid, shipped: Environment, overrides: Overrides = NO_OVERRIDES) -> list[str]:
    models = resolve_models(("additive",), shipped, overrides, grid.variants())
    assert models[0].name == "additive"
    return [model.name for model in models[1:]]


def test_product_of_swaps_shows_in_the_models_names(
    shipped: Environment,
) -> None:
    grid = grid_of(facets=["go_minilm", "random"], kg=["none", "go", ["string", "go"]])
    assert names_of(grid, shipped) == [
        "dygenept_small",
        "dygenept_small[kg=go]",
        "dygenept_small[kg=string+go]",
        "dygenept_small[facets=random]",
        "dygenept_small[facets=random,kg=go]",
        "dygenept_small[facets=random,kg=string+go]",
    ]


def test_parts_and_dotted_options_are_axes(shipped: Environment) -> None:
    grid = grid_of(**{"attention": ["mean"], "decoder.dropout": [0.0, 0.2]})
    assert names_of(grid, shipped) == [
        "dygenept_small[attention=mean]",
        "dygenept_small[attention=mean,decoder.dropout=0.2]",
    ]


def test_flags_of_the_run_change_every_cell_and_cells_alike_count_once(
    shipped: Environment,
) -> None:
    grid = grid_of(facets=["go_minilm", "random"], kg=["none", "go"])
    changed = Overrides(parts={}, facets="identity", sets=("kg.go.weight=0.5",))
    assert names_of(grid, shipped, changed) == [
        "dygenept_small[facets=identity]",
        "dygenept_small[facets=identity,kg=go,kg.go.weight=0.5]",
    ]


def test_options_of_a_graph_that_no_cell_uses_are_refused() -> None:
    grid = grid_of(kg=["none", "go"])
    grid.check(("kg.go.weight=0.5", "training.lr=1e-3"))
    with pytest.raises(ConfigError, match="'string' is not among"):
        grid.check(("kg.string.weight=0.5",))


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"facets": []}, "no value"),
        ({"atention": ["mean"]}, "must be one of facets, kg"),
        ({}, "axes"),
    ],
)
def test_wrong_axes_are_refused(axes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        grid_of(**axes)


def test_grid_is_a_section_of_a_suite(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nversion: 1\nsummary: x\ndatasets: [norman]\n"
        "grid: {model: dygenept_small, axes: {attention: [mean, softmax]}}\n"
    )
    grid = load_suite("mine", tmp_path).grid
    assert grid is not None
    assert [variant.overrides.parts for variant in grid.variants()] == [
        {"attention": "mean"},
        {"attention": "softmax"},
    ]
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nversion: 1\nsummary: x\ndatasets: [norman]\n"
        "grid: {model: x, axes: {attention: [mean]}, axs: 1}\n"
    )
    with pytest.raises(ConfigError, match="did you mean 'axes'"):
        load_suite("mine", tmp_path)
