"""GEARS' no_test split: train and validation alone.

There is no test part, so it is for training a model to keep, not for a benchmark.
Identical to cell-gears 0.1.2 for every seed. Source: Roohani et al. 2024. Loads nothing.
"""

from __future__ import annotations

from dygenept.plugin import PluginConfig, SplitSpec, hookimpl
from dygenept_plugins.splits._gears_draws import no_test
from dygenept_plugins.splits._gears_folds import SOURCE, GearsSplitter


def _build(config: PluginConfig) -> GearsSplitter:
    return GearsSplitter("gears_no_test", lambda labels, seed: no_test(labels, seed=seed))


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="gears_no_test",
            summary="GEARS' no_test split: train and validation alone.",
            source=SOURCE,
            factory=_build,
        )
    ]
