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

from pydantic import Field

from dygenept.evaluation.held_out import shuffled_parts, subgroups, validation_positions
from dygenept.plugin import PluginConfig, SplitError, SplitSpec, hookimpl
from dygenept.types import Fold, Perturbation, PerturbationData


class UnseenBothConfig(PluginConfig):
    """Options of ``unseen_both``.

    Attributes:
        val_fraction: Share of each fold's training labels that is held out for validation.
    """

    val_fraction: float = Field(default=0.1, ge=0.0, lt=1.0)


class UnseenBoth:
    """``n_folds`` shares of perturbations for each cell type."""

    def __init__(self, config: UnseenBothConfig) -> None:
        self._config = config

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        """Return the folds, cell type by cell type.

        Raises:
            SplitError: If fewer than two cell types have perturbations, or there are fewer
                perturbations than folds, or fewer than two folds.
        """
        perturbed = {condition.cell_type for condition in data.conditions}
        types = [name for name in data.cell_types if name in perturbed]
        if len(types) < 2:
            raise SplitError(
                f"unseen_both needs perturbations in at least two cell types, but {data.name!r} "
                f"has them in {len(types)}; use --split kfold"
            )
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
        known = sorted(
            {
                item.perturbation
                for item in data.conditions
                if item.cell_type != cell_type and item.perturbation not in held_out
            }
        )
        if not test or not known:
            return None
        val = set(validation_positions(len(known), fraction=self._config.val_fraction, seed=seed))
        return Fold(
            train=tuple(item.label for row, item in enumerate(known) if row not in val),
            val=tuple(item.label for row, item in enumerate(known) if row in val),
            test=tuple(item.label for item in sorted(test)),
            subgroups=subgroups(known, test),
            test_cell_type=cell_type,
        )


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="unseen_both",
            summary="Each cell type held out with a share of perturbations: both unseen.",
            source="Arc Institute 2026 (PIE), doi:10.64898/2026.10.02.756297; arXiv:2505.14919",
            config=UnseenBothConfig,
            factory=UnseenBoth,
        )
    ]
