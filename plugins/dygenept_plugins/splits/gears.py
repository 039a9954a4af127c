"""The seven protocols of GEARS' ``DataSplitter``, identical to cell-gears 0.1.2 for every seed.

Each makes one fold and ignores ``n_folds``. ``gears_no_test`` has no test part: it is for training
a model to keep, not for a benchmark. Source: Roohani et al. 2024. Loads nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from dygenept.evaluation.held_out import subgroups
from dygenept.plugin import PluginConfig, SplitError, SplitSpec, hookimpl
from dygenept.types import CONTROL_LABEL, Fold, PerturbationData
from dygenept_plugins.splits import _gears_draws as draws

SOURCE = "Roohani et al. 2024 (GEARS), doi:10.1038/s41587-023-01905-6; cell-gears 0.1.2"
_FIX = "use another --seed, or --split kfold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """One of GEARS' protocols.

    Attributes:
        name: The plugin's name.
        summary: One line.
        draw: Splits raw labels in order of appearance with a seed.
        has_test: False where GEARS leaves the test part empty.
    """

    name: str
    summary: str
    draw: Callable[[Sequence[str], int], draws.RawSplit]
    has_test: bool = True


PROTOCOLS = (
    # Its subgroups are GEARS' own: unseen_single, combo_seen0, combo_seen1, combo_seen2.
    Protocol(
        name="gears_simulation",
        summary="GEARS' simulation split: a quarter of the genes unseen.",
        draw=draws.simulation,
    ),
    Protocol(
        name="gears_simulation_single",
        summary="GEARS' simulation split for data with only single perturbations.",
        draw=draws.simulation_single,
    ),
    # Combinations of a test gene with a seen gene are in no part.
    Protocol(
        name="gears_combo_seen0",
        summary="GEARS' combo split: combinations of two unseen genes.",
        draw=partial(draws.combo, n_seen=0),
    ),
    # Combinations with a test gene are all held out, and so are the test genes' singles.
    Protocol(
        name="gears_combo_seen1",
        summary="GEARS' combo split: combinations with one gene seen.",
        draw=partial(draws.combo, n_seen=1),
    ),
    # GEARS draws with replacement, so fewer than a tenth may be held out.
    Protocol(
        name="gears_combo_seen2",
        summary="GEARS' combo split: a tenth of the combinations.",
        draw=partial(draws.combo, n_seen=2),
    ),
    # Combinations with a test gene are in no part.
    Protocol(
        name="gears_single",
        summary="GEARS' single split: singles of unseen genes.",
        draw=draws.single,
    ),
    Protocol(
        name="gears_no_test",
        summary="GEARS' no_test split: only train and validation.",
        draw=draws.no_test,
        has_test=False,
    ),
)


class GearsSplitter:
    """Makes the one fold of a GEARS protocol.

    GEARS splits raw labels, and two of them may name one perturbation (``A+ctrl``, ``ctrl+A``)
    and land in different parts. Held out wins then: test over validation over train, since the
    perturbation's cells are pooled.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        """Return the fold.

        Raises:
            SplitError: If a perturbation has more than two genes, or train or test is empty.
        """
        name = self._protocol.name
        spelled = _gears_spelling(data, name)
        raw = self._protocol.draw(tuple(spelled), seed)
        fold = _pooled(raw, data, spelled)
        if not fold.train:
            raise SplitError(f"{name} with seed {seed} leaves nothing to train on; {_FIX}")
        if self._protocol.has_test and not raw.test:
            raise SplitError(f"{name} with seed {seed} holds nothing out; {_FIX}")
        return (fold,)


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


def _pooled(raw: draws.RawSplit, data: PerturbationData, spelled: Mapping[str, str]) -> Fold:
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


def _spec(protocol: Protocol) -> SplitSpec:
    def build(config: PluginConfig) -> GearsSplitter:
        return GearsSplitter(protocol)

    return SplitSpec(name=protocol.name, summary=protocol.summary, source=SOURCE, factory=build)


@hookimpl
def dygenept_splits() -> list[SplitSpec]:
    """Return the seven protocols."""
    return [_spec(protocol) for protocol in PROTOCOLS]
