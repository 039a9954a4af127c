"""GEARS' combo split: combinations with one gene seen.

Combinations with a test gene are all held out, beside the test genes' singles.
Identical to cell-gears 0.1.2 for every seed. Source: Roohani et al. 2024. Loads nothing.
"""

from __future__ import annotations

from dygenept.plugin import PluginConfig, SplitSpec, hookimpl
from dygenept_plugins.splits._gears_draws import combo
from dygenept_plugins.splits._gears_folds import SOURCE, GearsSplitter


def _build(config: PluginConfig) -> GearsSplitter:
    return GearsSplitter(
        "gears_combo_seen1", lambda labels, seed: combo(labels, n_seen=1, seed=seed)
    )


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="gears_combo_seen1",
            summary="GEARS' combo split: combinations with one gene seen.",
            source=SOURCE,
            factory=_build,
        )
    ]
