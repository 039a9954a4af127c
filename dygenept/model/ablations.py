"""Ablation grids: lists of swaps whose product gives the assemblies that a suite compares."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator

from dygenept.knowledge.graph.sources import check_graph_options, kg_names
from dygenept.model.assembly_text import PARTS
from dygenept.model.overrides import Overrides, combined, from_dotlist
from dygenept.model.resolve import Variant

# Axes beside the parts; any other axis is a dotted option such as decoder.dropout.
NAMED_AXES = ("facets", "kg", *PARTS)


class Grid(BaseModel):
    """The product of swaps.

    Attributes:
        model: Registered assembly that is varied.
        axes: Values by axis: ``facets``, ``kg`` (``none``, or names such as ``string,go``), a part
            such as ``attention``, or a dotted option such as ``decoder.dropout``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    axes: Mapping[str, tuple[object, ...]] = Field(min_length=1)

    @field_validator("axes")
    @classmethod
    def _has_values(
        cls, axes: Mapping[str, tuple[object, ...]]
    ) -> Mapping[str, tuple[object, ...]]:
        for axis, values in axes.items():
            if not values:
                raise ValueError(f"axis {axis!r} has no value")
            if axis not in NAMED_AXES and "." not in axis:
                raise ValueError(
                    f"axis {axis!r} must be one of {', '.join(NAMED_AXES)} or a dotted option"
                )
        return axes

    def variants(self) -> tuple[Variant, ...]:
        """Return one assembly per cell of the grid, the last axis varying fastest."""
        cells = itertools.product(*self.axes.values())
        return tuple(Variant(self.model, self._overrides(cell)) for cell in cells)

    def check(self, sets: Sequence[str]) -> None:
        """Refuse options of a knowledge graph that no cell uses.

        Args:
            sets: ``key=value`` items that change every cell that they fit.

        Raises:
            ConfigError: As said; the nearest graph is named.
        """
        used = {name for item in self.variants() for name in item.overrides.kg or ()}
        if "kg" in self.axes:
            check_graph_options(from_dotlist(sets).get("kg"), dict.fromkeys(used))

    def _overrides(self, cell: tuple[object, ...]) -> Overrides:
        changes = Overrides(parts={})
        for axis, value in zip(self.axes, cell, strict=True):
            changes = combined(changes, _change(axis, value))
        return changes


def _change(axis: str, value: object) -> Overrides:
    if axis == "facets":
        return Overrides(parts={}, facets=str(value))
    if axis == "kg":
        names = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        return Overrides(parts={}, kg=kg_names(names or "none"))
    if axis in PARTS:
        return Overrides(parts={axis: str(value)})
    return Overrides(parts={}, sets=(f"{axis}={value}",))
