"""Each cell type is held out in turn: one fold per cell type.

The held-out type's perturbations are the test part; the model learns from the other types and is
given every type's controls. Source: METRICS of this project; the cross-context task of PerturBench
(Wu et al. 2024). Loads nothing.
"""

from __future__ import annotations

from dygenept.plugin import SplitSpec, hookimpl
from dygenept.types import Fold, PerturbationData
from dygenept_plugins.splits._held_out_types import HeldOutTypesConfig, fold_of, perturbed_types


class CrossCellType:
    """One fold for each cell type that has perturbations; ``n_folds`` is ignored."""

    def __init__(self, config: HeldOutTypesConfig) -> None:
        self._config = config

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        """Return the folds, in the order of the cell types.

        A label may be in train (its cells of other types) and in test (its cells of this one).

        Raises:
            SplitError: If fewer than two cell types have perturbations.
        """
        return tuple(
            fold_of(
                name,
                known={c.perturbation for c in data.conditions if c.cell_type != name},
                test={c.perturbation for c in data.conditions if c.cell_type == name},
                val_fraction=self._config.val_fraction,
                seed=(seed, number),
            )
            for number, name in enumerate(perturbed_types(data, "cross_cell_type"))
        )


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="cross_cell_type",
            summary="One fold per cell type: train on the others, test on this one.",
            source="this project; Wu et al. 2024 (PerturBench), arXiv:2408.10609",
            config=HeldOutTypesConfig,
            factory=CrossCellType,
        )
    ]
