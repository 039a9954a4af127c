"""Protocols that hold out each cell type in turn; they load nothing.

``cross_cell_type``: one fold per cell type. The held-out type's perturbations are the test part;
the model learns from the other types and is given every type's controls. Source: METRICS of this
project; the cross-context task of PerturBench (Wu et al. 2024).
``unseen_both``: perturbation and cell type both unseen, each cell type held out with a share of
perturbations. One fold per cell type and share: the test part are the share's perturbations in the
held-out type; the model learns from the other perturbations in the other types, and is given every
type's controls where there are cells. ``kfold`` holds perturbations out of every cell type,
``cross_cell_type`` holds out a whole type whose perturbations are known elsewhere. Source: the
settings of PIE (Arc Institute 2026, doi:10.64898/2026.10.02.756297) and TxPert (arXiv:2505.14919).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import Field

from dygenept.evaluation.held_out import shuffled_parts, subgroups, validation_positions
from dygenept.plugin import PluginConfig, SplitError, SplitSpec, hookimpl
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


class UnseenBoth:
    """``n_folds`` shares of perturbations for each cell type."""

    def __init__(self, config: HeldOutTypesConfig) -> None:
        self._config = config

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        """Return the folds, cell type by cell type.

        Raises:
            SplitError: If fewer than two cell types have perturbations, or there are fewer
                perturbations than folds, or fewer than two folds.
        """
        types = perturbed_types(data, "unseen_both")
        items = list(data.perturbations)
        if not 2 <= n_folds <= len(items):
            raise SplitError(
                f"unseen_both cuts the {len(items)} perturbations of {data.name!r} into 2 to "
                f"{len(items)} folds, got {n_folds}; pass --folds"
            )
        shares = shuffled_parts(len(items), n_folds, seed=seed)
        folds = [
            self._fold(data, name, [items[row] for row in test], (seed, code, share))
            for code, name in enumerate(types)
            for share, test in enumerate(shares)
        ]
        return tuple(fold for fold in folds if fold is not None)

    def _fold(
        self,
        data: PerturbationData,
        cell_type: str,
        share: Sequence[Perturbation],
        seed: tuple[int, ...],
    ) -> Fold | None:
        held_out = set(share)
        test = {
            item.perturbation
            for item in data.conditions
            if item.cell_type == cell_type and item.perturbation in held_out
        }
        known = {
            item.perturbation
            for item in data.conditions
            if item.cell_type != cell_type and item.perturbation not in held_out
        }
        if not test or not known:
            return None
        fraction = self._config.val_fraction
        return fold_of(cell_type, known=known, test=test, val_fraction=fraction, seed=seed)


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return both protocols."""
    return [
        SplitSpec(
            name="cross_cell_type",
            summary="One fold per cell type: train on the others, test on this one.",
            source="this project; Wu et al. 2024 (PerturBench), arXiv:2408.10609",
            config=HeldOutTypesConfig,
            factory=CrossCellType,
        ),
        SplitSpec(
            name="unseen_both",
            summary="Each cell type held out with a share of perturbations: both unseen.",
            source="Arc Institute 2026 (PIE), doi:10.64898/2026.10.02.756297; arXiv:2505.14919",
            config=HeldOutTypesConfig,
            factory=UnseenBoth,
        ),
    ]
