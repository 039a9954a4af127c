"""Perturbation and cell type both unseen: each cell type is held out with a share of perturbations.

One fold per cell type and share: the test part are the share's perturbations in the held-out type;
the model learns from the other perturbations in the other types, and is given every type's controls
where there are cells. ``kfold`` holds perturbations out of every cell type, ``cross_cell_type``
holds out a whole type whose perturbations are known elsewhere.
Source: the settings of PIE (Arc Institute 2026, doi:10.64898/2026.10.02.756297) and TxPert
(arXiv:2505.14919). Loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from dygenept.evaluation.held_out import shuffled_parts
from dygenept.plugin import SplitError, SplitSpec, hookimpl
from dygenept.types import Fold, Perturbation, PerturbationData
from dygenept_plugins.splits._held_out_types import HeldOutTypesConfig, fold_of, perturbed_types


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
    """Return the protocol."""
    return [
        SplitSpec(
            name="unseen_both",
            summary="Each cell type held out with a share of perturbations: both unseen.",
            source="Arc Institute 2026 (PIE), doi:10.64898/2026.10.02.756297; arXiv:2505.14919",
            config=HeldOutTypesConfig,
            factory=UnseenBoth,
        )
    ]
