"""GEARS' combo split: combinations of two unseen genes.

Combinations of a test gene with a seen gene are in no part.
Identical to cell-gears 0.1.2 for every seed. Source: Roohani et al. 2024. Loads nothing.
"""

from __future__ import annotations

from dygenept.plugin import PluginConfig, SplitSpec, hookimpl
from dygenept_plugins.splits._gears_draws import combo
from dygenept_plugins.splits._gears_folds import SOURCE, GearsSplitter


def _build(config: PluginConfig) -> GearsSplitter:
    return GearsSplitter(
        "gears_combo_seen0", lambda labels, seed: combo(labels, n_seen=0, seed=seed)
    )


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="gears_combo_seen0",
            summary="GEARS' combo split: combinations of two unseen genes.",
            source=SOURCE,
            factory=_build,
        )
    ]
