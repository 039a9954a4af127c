"""GEARS' simulation split: a quarter of the genes unseen.

Its subgroups are GEARS' own: unseen_single, combo_seen0, combo_seen1, combo_seen2.
Identical to cell-gears 0.1.2 for every seed. Source: Roohani et al. 2024. Loads nothing.
"""

from __future__ import annotations

from dygenept.plugin import PluginConfig, SplitSpec, hookimpl
from dygenept_plugins.splits._gears_draws import simulation
from dygenept_plugins.splits._gears_folds import SOURCE, GearsSplitter


def _build(config: PluginConfig) -> GearsSplitter:
    return GearsSplitter("gears_simulation", lambda labels, seed: simulation(labels, seed=seed))


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="gears_simulation",
            summary="GEARS' simulation split: a quarter of the genes unseen.",
            source=SOURCE,
            factory=_build,
        )
    ]
