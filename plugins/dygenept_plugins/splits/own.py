"""The split that a table of effects brings in a column of its own: one fold.

Train, validation and test are conditions; where only one cell type has test conditions, and that
type no others, the cell type is held out. Without validation part, a share of the train
perturbations is drawn, as in ``kfold``.
Source: the file's authors. Loads nothing.
"""

from __future__ import annotations

from pydantic import Field

from dygenept.evaluation.held_out import subgroups, validation_positions
from dygenept.plugin import PluginConfig, SplitError, SplitSpec, hookimpl
from dygenept.types import Fold, PerturbationData


class OwnConfig(PluginConfig):
    """Options of ``own``.

    Attributes:
        val_fraction: Share of the train perturbations that is held out for validation where the
            file names none.
    """

    val_fraction: float = Field(default=0.1, ge=0.0, lt=1.0)


class Own:
    """One fold; ``n_folds`` is ignored."""

    def __init__(self, config: OwnConfig) -> None:
        self._config = config

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        """Return the fold.

        Raises:
            SplitError: If the data set has no split of its own, lacks a train or test part, or has
                a perturbation in train and test within one cell type or across several.
        """
        parts = {} if data.effects is None else data.effects.parts
        if not parts:
            raise SplitError(f"{data.name!r} has no column split; use --split kfold")
        by_part = {
            name: {condition for condition, part in parts.items() if part == name}
            for name in ("train", "val", "test")
        }
        for name in ("train", "test"):
            if not by_part[name]:
                raise SplitError(
                    f"the split of {data.name!r} has no {name} perturbation; mend it, or pass "
                    "--split kfold"
                )
        test = {condition.perturbation for condition in by_part["test"]}
        known = {condition.perturbation for condition in by_part["train"] | by_part["val"]}
        test_type = None
        if shared := test & known:
            types = {condition.cell_type for condition in by_part["test"]}
            elsewhere = {item.cell_type for item in by_part["train"] | by_part["val"]}
            if len(types) > 1 or types & elsewhere:
                raise SplitError(
                    f"{min(shared).label!r} is in train and in test of {data.name!r}, in different "
                    "cell types; hold a perturbation out of all of them, hold out a whole cell "
                    "type, or pass --split kfold or cross_cell_type"
                )
            test_type = min(types)
        val = {condition.perturbation for condition in by_part["val"]} - test
        train = {condition.perturbation for condition in by_part["train"]} - val
        if not val:
            items = sorted(train)
            drawn = validation_positions(
                len(items), fraction=self._config.val_fraction, seed=(seed, 0)
            )
            val = {items[position] for position in drawn}
            train -= val
        return (
            Fold(
                train=tuple(sorted(item.label for item in train)),
                val=tuple(sorted(item.label for item in val)),
                test=tuple(sorted(item.label for item in test)),
                subgroups=subgroups(train | val, test),
                test_cell_type=test_type,
            ),
        )


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the protocol."""
    return [
        SplitSpec(
            name="own",
            summary="The train, validation and test parts that a table of effects names itself.",
            source="the file's authors",
            config=OwnConfig,
            factory=Own,
        )
    ]
