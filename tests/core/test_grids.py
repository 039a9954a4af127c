"""Ablation grids: which assemblies a product of swaps gives, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from dygenept.grids import Grid


def test_a_grid_gives_one_assembly_a_cell() -> None:
    grid = Grid(
        model="dygenept_small",
        axes={"facets": ("go_tfidf", "random"), "attention": ("sparsemax", "mean", "softmax")},
    )
    variants = grid.variants()
    assert len(variants) == 6
    assert len(set(map(repr, variants))) == 6


def test_an_axis_without_values_is_refused() -> None:
    with pytest.raises(ValidationError, match="'facets' has no value"):
        Grid(model="dygenept_small", axes={"facets": ()})


def test_an_axis_that_is_neither_part_nor_option_is_refused() -> None:
    with pytest.raises(ValidationError, match="'colour' must be one of"):
        Grid(model="dygenept_small", axes={"colour": ("red",)})
