from __future__ import annotations

import pytest

from dygenept.data.splits import check_split, make_split, split_from_json, split_to_json
from dygenept.errors import SplitError
from dygenept.testing.split_checks import check_split as check_conformance
from dygenept.testing.toy import ToyShape, toy_data
from dygenept.types import PerturbationData
from dygenept_plugins.splits.cross_cell_type import (
    CrossCellType,
    HeldOutTypesConfig,
    dygenept_splits,
)

SPEC = dygenept_splits()[0]


@pytest.fixture(scope="module")
def data() -> PerturbationData:
    return toy_data(ToyShape(n_cell_types=2))


def test_cross_cell_type_conforms() -> None:
    check_conformance(SPEC)


def test_each_cell_type_is_held_out_once(data: PerturbationData) -> None:
    folds = CrossCellType(HeldOutTypesConfig()).folds(data, n_folds=5, seed=0)
    assert [fold.test_cell_type for fold in folds] == list(data.cell_types)
    for fold in folds:
        held_out = {c.label for c in data.conditions if c.cell_type == fold.test_cell_type}
        others = {c.label for c in data.conditions if c.cell_type != fold.test_cell_type}
        assert set(fold.test) == held_out
        assert {*fold.train, *fold.val} == others
        assert fold.val


def test_a_label_may_be_trained_on_elsewhere_and_survives_the_manifest(
    data: PerturbationData,
) -> None:
    splitter = CrossCellType(HeldOutTypesConfig())
    split = make_split(SPEC, splitter, data, n_folds=5, seed=0)
    check_split(split, data)
    assert set(split.folds[0].train) & set(split.folds[0].test)
    assert split_from_json(split_to_json(split)) == split


def test_what_no_other_cell_type_has_is_its_own_subgroup(data: PerturbationData) -> None:
    folds = CrossCellType(HeldOutTypesConfig()).folds(data, n_folds=5, seed=0)
    alone = next(fold for fold in folds if fold.test_cell_type == "toy_b")
    others = {c.label for c in data.conditions if c.cell_type == "toy_a"}
    assert set(alone.subgroups["seen_perturbation"]) == set(alone.test) & others
    rest = {x for name, xs in alone.subgroups.items() if name != "seen_perturbation" for x in xs}
    assert rest == set(alone.test) - others != set()


def test_one_cell_type_is_refused_and_the_fix_is_named() -> None:
    with pytest.raises(SplitError, match=r"at least two cell types.*use --split kfold"):
        CrossCellType(HeldOutTypesConfig()).folds(toy_data(), n_folds=5, seed=0)
