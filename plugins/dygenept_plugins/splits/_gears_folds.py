"""From GEARS' draws on raw labels to one fold over perturbations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dygenept.evaluation.held_out import subgroups
from dygenept.plugin import SplitError
from dygenept.types import CONTROL_LABEL, Fold, PerturbationData
from dygenept_plugins.splits._gears_draws import RawSplit

SOURCE = "Roohani et al. 2024 (GEARS), doi:10.1038/s41587-023-01905-6; cell-gears 0.1.2"


class GearsSplitter:
    """Makes the one fold of a GEARS protocol; ``n_folds`` is ignored.

    GEARS splits raw labels, and two of them may name one perturbation (``A+ctrl``, ``ctrl+A``)
    and land in different parts. Held out wins then: test over validation over train, since the
    perturbation's cells are pooled.
    """

    def __init__(self, name: str, draw: Callable[[tuple[str, ...], int], RawSplit]) -> None:
        self._name = name
        self._draw = draw

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        """Return the fold.

        Raises:
            SplitError: If a perturbation has more than two genes, or train or test is empty.
        """
        spelled = _gears_spelling(data, self._name)
        raw = self._draw(tuple(spelled), seed)
        fold = _pooled(raw, data, spelled)
        if not fold.train:
            raise SplitError(f"{self._name} with seed {seed} leaves nothing to train on; {_FIX}")
        if raw.test == () and self._name != "gears_no_test":
            raise SplitError(f"{self._name} with seed {seed} holds nothing out; {_FIX}")
        return (fold,)


_FIX = "use another --seed, or --split kfold"


def _gears_spelling(data: PerturbationData, name: str) -> Mapping[str, str]:
    """Return each raw label as GEARS would spell it, with its perturbation's label.

    Labels in GEARS' own spelling stay as they are. ``A`` becomes ``A+ctrl``, and other names of
    control become ``ctrl``.
    """
    genes = {perturbation.label: perturbation.genes for perturbation in data.perturbations}
    spelled: dict[str, str] = {}
    for raw in data.raw_labels:
        label = data.raw_to_label[raw]
        targets = genes[label]
        if len(targets) > 2:
            raise SplitError(
                f"{name} is defined for one or two genes, but {label!r} has {len(targets)}; "
                "use --split kfold"
            )
        parts = [part.strip() for part in raw.split("+")]
        ordered = [part if part in targets else CONTROL_LABEL for part in parts]
        if len(targets) == 1 and len(ordered) != 2:
            ordered = [targets[0], CONTROL_LABEL]
        spelled.setdefault("+".join(ordered), label)
    return spelled


def _pooled(raw: RawSplit, data: PerturbationData, spelled: Mapping[str, str]) -> Fold:
    test = {spelled[label] for label in raw.test}
    val = {spelled[label] for label in raw.val} - test
    train = {spelled[label] for label in raw.train} - test - val
    groups: dict[str, tuple[str, ...]] = {
        name: tuple(sorted({spelled[label] for label in members}))
        for name, members in raw.subgroups.items()
        if members
    }
    if not raw.subgroups:
        known = [item for item in data.perturbations if item.label in train | val]
        held_out = [item for item in data.perturbations if item.label in test]
        groups = dict(subgroups(known, held_out))
    return Fold(
        train=tuple(sorted(train)),
        val=tuple(sorted(val)),
        test=tuple(sorted(test)),
        subgroups=groups,
    )
