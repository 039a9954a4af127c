"""GEARS' single split: singles of unseen genes.

Combinations with a test gene are in no part.
Identical to cell-gears 0.1.2 for every seed. Source: Roohani et al. 2024. Loads nothing.
"""

from __future__ import annotations

from dygenept.plugin import PluginConfig, SplitSpec, hookimpl
from dygenept_plugins.splits._gears_draws import single
from dygenept_plugins.splits._gears_folds import SOURCE, GearsSplitter


def _build(config: PluginConfig) -> GearsSplitter:
    return GearsSplitter("gears_single", lambda labels, seed: single(labels, seed=seed))


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="gears_single",
            summary="GEARS' single split: singles of unseen genes.",
            source=SOURCE,
            factory=_build,
        )
    ]
