"""GEARS' combo split: a tenth of the combinations.

GEARS draws with replacement, so fewer than a tenth may be held out.
Identical to cell-gears 0.1.2 for every seed. Source: Roohani et al. 2024. Loads nothing.
"""

from __future__ import annotations

from dygenept.plugin import PluginConfig, SplitSpec, hookimpl
from dygenept_plugins.splits._gears_draws import combo
from dygenept_plugins.splits._gears_folds import SOURCE, GearsSplitter


def _build(config: PluginConfig) -> GearsSplitter:
    return GearsSplitter(
        "gears_combo_seen2", lambda labels, seed: combo(labels, n_seen=2, seed=seed)
    )


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="gears_combo_seen2",
            summary="GEARS' combo split: a tenth of the combinations.",
            source=SOURCE,
            factory=_build,
        )
    ]
