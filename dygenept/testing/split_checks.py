"""Conformance of split protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dygenept.errors import SplitError
from dygenept.plugin.interfaces import Splitter
from dygenept.plugin.specs import SplitSpec
from dygenept.testing.rules import Rules, checking, configured
from dygenept.testing.toy import ToyShape, toy_data
from dygenept.types import Condition, EffectTable, Fold, PerturbationData
from dygenept.types.effects import Part

TOY_SPLIT_SHAPE = ToyShape(n_singles=12, n_doubles=12, n_cell_types=2)
SINGLES_SHAPE = ToyShape(n_singles=12, n_doubles=0, n_cell_types=2)


def check_split(
    spec: SplitSpec,
    *,
    options: Mapping[str, object] | None = None,
    data: PerturbationData | None = None,
    n_folds: int = 3,
    seed: int = 1,
) -> None:
    """Check a split protocol.

    Its parts share no label, every label is a perturbation of the data, every fold trains on
    something and holds something out, and the folds depend on nothing but data, number and seed.

    Args:
        spec: The plugin.
        options: Its options.
        data: The data to cut; None takes the toy data set of ``TOY_SPLIT_SHAPE``, or one without
            combinations where the protocol refuses these.
        n_folds: Number of folds.
        seed: Seed.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If the plugin needs options that were not given.
    """
    config = configured(spec, options)
    with checking(spec) as rules:
        rules.require(spec.version >= 1, f"its version must be 1 or more, got {spec.version}")
        splitter = spec.factory(config)
        if data is None:
            data = _accepted_data(splitter, n_folds=n_folds, seed=seed)
        before = _global_state()
        folds = splitter.folds(data, n_folds=n_folds, seed=seed)
        rules.require(
            _global_state() == before,
            "it draws from numpy's global generator; make a generator from the seed",
        )
        rules.require(
            isinstance(folds, tuple) and len(folds) > 0, "it must return a tuple of folds"
        )
        for number, fold in enumerate(folds, start=1):
            rules.require(isinstance(fold, Fold), f"fold {number} is not a Fold: {fold!r}")
            _check_fold(fold, data, f"fold {number}", rules)
        rules.require(
            splitter.folds(data, n_folds=n_folds, seed=seed) == folds,
            "the same seed gives other folds on a second call",
        )
        rules.require(
            spec.factory(config).folds(data, n_folds=n_folds, seed=seed) == folds,
            "the same seed gives other folds from a second instance",
        )
        _check_too_many_folds(splitter, data, rules)


def _accepted_data(splitter: Splitter, *, n_folds: int, seed: int) -> PerturbationData:
    data = toy_data(TOY_SPLIT_SHAPE)
    try:
        splitter.folds(data, n_folds=n_folds, seed=seed)
    except SplitError:
        data = toy_data(SINGLES_SHAPE)
    try:
        splitter.folds(data, n_folds=n_folds, seed=seed)
    except SplitError:
        # A protocol that reads a table of effects.
        values = np.zeros((len(data.conditions), data.n_genes))
        held_out = set(data.perturbations[::3])
        parts: dict[Condition, Part] = {
            item: "test" if item.perturbation in held_out else "train" for item in data.conditions
        }
        table = EffectTable(kind="values", values=values, parts=parts)
        return replace(data, effects=table)
    return data


def _check_fold(fold: Fold, data: PerturbationData, where: str, rules: Rules) -> None:
    known = {condition.label for condition in data.conditions}
    parts = {"train": fold.train, "val": fold.val, "test": fold.test}
    for part, labels in parts.items():
        rules.require(len(labels) == len(set(labels)), f"{where} names a {part} label twice")
        unknown = sorted(set(labels) - known)
        rules.require(not unknown, f"{where} has {part} labels that the data lack: {unknown[:3]}")
    rules.require(len(fold.train) > 0, f"{where} has nothing to train on")
    rules.require(len(fold.test) + len(fold.val) > 0, f"{where} holds nothing out")
    shared = {"train and val": set(fold.train) & set(fold.val)}
    if fold.test_cell_type is None:
        # Under test_cell_type the same label may be trained on in the other cell types.
        shared["train and test"] = set(fold.train) & set(fold.test)
        shared["val and test"] = set(fold.val) & set(fold.test)
    for pair, both in shared.items():
        rules.require(not both, f"{where}: {pair} share {sorted(both)[:3]}")
    rules.require(
        fold.test_cell_type is None or fold.test_cell_type in data.cell_types,
        f"{where} holds out {fold.test_cell_type!r}, which is not a cell type of the data",
    )
    for subgroup, members in fold.subgroups.items():
        stray = sorted(set(members) - set(fold.test))
        rules.require(not stray, f"{where}: subgroup {subgroup!r} has labels not in test: {stray}")


def _check_too_many_folds(splitter: Splitter, data: PerturbationData, rules: Rules) -> None:
    try:
        folds = splitter.folds(data, n_folds=10 * len(data.perturbations), seed=0)
    except SplitError:
        return
    for number, fold in enumerate(folds, start=1):
        _check_fold(fold, data, f"asked for too many folds, fold {number}", rules)


def _global_state() -> bytes:
    # The global generator is read, not drawn from.
    state = np.random.get_state(legacy=True)  # noqa: NPY002
    assert isinstance(state, tuple)
    return state[1].tobytes() + repr(state[2:]).encode()
