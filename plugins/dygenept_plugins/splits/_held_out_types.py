"""What protocols that hold out a cell type share: their options, the types, and one fold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import Field

from dygenept.evaluation.held_out import subgroups, validation_positions
from dygenept.plugin import PluginConfig, SplitError
from dygenept.types import Fold, Perturbation, PerturbationData


class HeldOutTypesConfig(PluginConfig):
    """Options of a protocol that holds out cell types.

    Attributes:
        val_fraction: Share of each fold's training labels that is held out for validation.
    """

    val_fraction: float = Field(default=0.1, ge=0.0, lt=1.0)


def perturbed_types(data: PerturbationData, protocol: str) -> list[str]:
    """Return the cell types that have perturbations, in the data's order.

    Args:
        data: The data set.
        protocol: Name of the protocol, for the error.

    Raises:
        SplitError: If there are fewer than two.
    """
    perturbed = {condition.cell_type for condition in data.conditions}
    types = [name for name in data.cell_types if name in perturbed]
    if len(types) < 2:
        raise SplitError(
            f"{protocol} needs perturbations in at least two cell types, but {data.name!r} has "
            f"them in {len(types)}; use --split kfold"
        )
    return types


def fold_of(
    cell_type: str,
    *,
    known: Iterable[Perturbation],
    test: Iterable[Perturbation],
    val_fraction: float,
    seed: Sequence[int],
) -> Fold:
    """Return the fold that tests perturbations in one cell type.

    Args:
        cell_type: The type that is held out.
        known: Perturbations of the other types, for train and validation.
        test: Perturbations of this type.
        val_fraction: Share of the known ones that is held out for validation.
        seed: Seeds of that draw.
    """
    known, test = sorted(known), sorted(test)
    val = set(validation_positions(len(known), fraction=val_fraction, seed=seed))
    return Fold(
        train=tuple(item.label for row, item in enumerate(known) if row not in val),
        val=tuple(item.label for row, item in enumerate(known) if row in val),
        test=tuple(item.label for item in test),
        subgroups=subgroups(known, test),
        test_cell_type=cell_type,
    )
