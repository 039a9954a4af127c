"""GEARS' simulation split for data of singles alone.

A quarter of the genes are held out; data with combinations are refused, as in GEARS.
Identical to cell-gears 0.1.2 for every seed. Source: Roohani et al. 2024. Loads nothing.
"""

from __future__ import annotations

from dygenept.plugin import PluginConfig, SplitSpec, hookimpl
from dygenept_plugins.splits._gears_draws import simulation_single
from dygenept_plugins.splits._gears_folds import SOURCE, GearsSplitter


def _build(config: PluginConfig) -> GearsSplitter:
    return GearsSplitter(
        "gears_simulation_single", lambda labels, seed: simulation_single(labels, seed=seed)
    )


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="gears_simulation_single",
            summary="GEARS' simulation split for data of singles alone.",
            source=SOURCE,
            factory=_build,
        )
    ]
