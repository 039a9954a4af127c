"""Split that deals perturbations out like cards. Source: this project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dygenept.plugin import PluginConfig, SplitError, SplitSpec, hookimpl
from dygenept.types import Fold

if TYPE_CHECKING:
    from dygenept.types import PerturbationData


class Alternate:
    """Holds out every n-th label; the label after it is for validation."""

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        """Return the folds; the seed shifts the deal."""
        labels = sorted(perturbation.label for perturbation in data.perturbations)
        if not 2 <= n_folds <= len(labels) // 3:
            raise SplitError(
                f"split 'alternate' needs 2 to {len(labels) // 3} folds for {len(labels)} "
                f"perturbations, got {n_folds}; pass --folds"
            )
        hands = [labels[(seed + start) % n_folds :: n_folds] for start in range(n_folds)]
        folds = []
        for test in hands:
            rest = [label for label in labels if label not in test]
            folds.append(Fold(train=tuple(rest[1:]), val=(rest[0],), test=tuple(test)))
        return tuple(folds)


def build(config: PluginConfig) -> Alternate:
    """Build the splitter."""
    return Alternate()


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the split ``alternate``."""
    return [
        SplitSpec(
            name="alternate",
            summary="Every n-th perturbation is held out.",
            source="this project",
            factory=build,
        )
    ]
