from __future__ import annotations

import pytest

from dygenept.data.splits import check_split, make_split
from dygenept.errors import SplitError
from dygenept.testing.toy import ToyShape, toy_data
from dygenept_plugins.splits.cross_cell_type import HeldOutTypesConfig, UnseenBoth, dygenept_splits

SPEC = next(spec for spec in dygenept_splits() if spec.name == "unseen_both")


def test_unseen_both_holds_out_perturbations_and_their_cell_type() -> None:
    data = toy_data(ToyShape(n_singles=12, n_doubles=0, n_cell_types=2))
    split = make_split(SPEC, UnseenBoth(HeldOutTypesConfig()), data, n_folds=3, seed=0)
    check_split(split, data)
    assert [fold.test_cell_type for fold in split.folds] == [
        name for name in data.cell_types for _ in range(3)
    ]
    for fold in split.folds:
        assert not {*fold.train, *fold.val} & set(fold.test)
    for name in data.cell_types:
        held_out = [
            label for fold in split.folds if fold.test_cell_type == name for label in fold.test
        ]
        own = {item.label for item in data.conditions if item.cell_type == name}
        assert sorted(held_out) == sorted(own)


@pytest.mark.parametrize(("n_cell_types", "n_folds"), [(1, 3), (2, 1)])
def test_too_few_cell_types_or_folds_are_refused(n_cell_types: int, n_folds: int) -> None:
    data = toy_data(ToyShape(n_singles=6, n_doubles=0, n_cell_types=n_cell_types))
    with pytest.raises(SplitError, match="unseen_both"):
        UnseenBoth(HeldOutTypesConfig()).folds(data, n_folds=n_folds, seed=0)
