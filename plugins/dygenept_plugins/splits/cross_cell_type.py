"""Each cell type is held out in turn: one fold per cell type.

The held-out type's perturbations are the test part; the model learns from the other types and is
given every type's controls. Source: METRICS of this project; the cross-context task of PerturBench
(Wu et al. 2024). Loads nothing.
"""

from __future__ import annotations

from pydantic import Field

from dygenept.evaluation.held_out import subgroups, validation_positions
from dygenept.plugin import PluginConfig, SplitError, SplitSpec, hookimpl
from dygenept.types import Fold, PerturbationData


class CrossCellTypeConfig(PluginConfig):
    """Options of ``cross_cell_type``.

    Attributes:
        val_fraction: Share of each fold's training labels that is held out for validation.
    """

    val_fraction: float = Field(default=0.1, ge=0.0, lt=1.0)


class CrossCellType:
    """One fold for each cell type that has perturbations; ``n_folds`` is ignored."""

    def __init__(self, config: CrossCellTypeConfig) -> None:
        self._config = config

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        """Return the folds, in the order of the cell types.

        A label may be in train (its cells of other types) and in test (its cells of this one).

        Raises:
            SplitError: If fewer than two cell types have perturbations.
        """
        perturbed = {condition.cell_type for condition in data.conditions}
        held_out = [name for name in data.cell_types if name in perturbed]
        if len(held_out) < 2:
            raise SplitError(
                f"cross_cell_type needs perturbations in at least two cell types, but "
                f"{data.name!r} has them in {len(held_out)}; use --split kfold"
            )
        return tuple(
            self._fold(data, name, seed=(seed, number)) for number, name in enumerate(held_out)
        )

    def _fold(self, data: PerturbationData, cell_type: str, *, seed: tuple[int, int]) -> Fold:
        test = {c.perturbation for c in data.conditions if c.cell_type == cell_type}
        known = sorted({c.perturbation for c in data.conditions if c.cell_type != cell_type})
        val = set(validation_positions(len(known), fraction=self._config.val_fraction, seed=seed))
        return Fold(
            train=tuple(item.label for row, item in enumerate(known) if row not in val),
            val=tuple(item.label for row, item in enumerate(known) if row in val),
            test=tuple(item.label for item in sorted(test)),
            subgroups=subgroups(known, test),
            test_cell_type=cell_type,
        )


def _build(config: CrossCellTypeConfig) -> CrossCellType:
    return CrossCellType(config)


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="cross_cell_type",
            summary="One fold a cell type: train on the others, test on this one.",
            source="this project; Wu et al. 2024 (PerturBench), arXiv:2408.10609",
            config=CrossCellTypeConfig,
            factory=_build,
        )
    ]
