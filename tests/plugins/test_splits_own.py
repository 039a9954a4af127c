from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dygenept.data.splits import check_split, make_split
from dygenept.errors import SplitError
from dygenept.testing.toy import ToyShape, toy_data
from dygenept.types import EffectTable, PerturbationData
from dygenept_plugins.splits.own import Own, OwnConfig, dygenept_splits

(SPEC,) = dygenept_splits()


def table(parts: list[str], n_cell_types: int = 1) -> PerturbationData:
    """Toy singles with a part for each condition, in order."""
    data = toy_data(ToyShape(n_singles=6, n_doubles=0, n_cell_types=n_cell_types))
    effects = EffectTable(
        kind="values",
        values=np.zeros((len(data.conditions), data.n_genes)),
        parts={item: parts[row % len(parts)] for row, item in enumerate(data.conditions)},  # type: ignore[misc]
    )
    return replace(data, effects=effects)


def test_own_takes_the_parts_of_the_file() -> None:
    data = table(["train", "test", "val", "train", "test", "train"])
    split = make_split(SPEC, Own(OwnConfig()), data, n_folds=5, seed=0)
    check_split(split, data)
    labels = [item.label for item in data.conditions]
    (fold,) = split.folds
    assert fold.test == (labels[1], labels[4])
    assert (fold.val, len(fold.train)) == ((labels[2],), 3)


def test_validation_is_drawn_from_train_where_the_file_names_none() -> None:
    (fold,) = Own(OwnConfig()).folds(table(["train"] * 4 + ["test"] * 2), n_folds=1, seed=0)
    assert (len(fold.train), len(fold.val), len(fold.test)) == (3, 1, 2)


def test_a_whole_cell_type_may_be_held_out() -> None:
    data = table(["train"], n_cell_types=2)
    assert data.effects is not None
    held_out = data.cell_types[1]
    parts = {
        item: "test" if item.cell_type == held_out else "train"
        for item in data.conditions
        if item.label != "CXCL8+ctrl"  # in one cell type only
    }
    data = replace(data, effects=replace(data.effects, parts=parts))
    (fold,) = Own(OwnConfig()).folds(data, n_folds=1, seed=0)
    assert fold.test_cell_type == data.cell_types[1]
    assert set(fold.test) == {*fold.train, *fold.val}
    assert fold.test


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (["train"], "no test perturbation"),
        (["test"], "no train perturbation"),
        (["train", "test", "test"], "in train and in test"),
    ],
)
def test_a_split_that_leaks_or_lacks_a_part_is_refused(parts: list[str], says: str) -> None:
    with pytest.raises(SplitError, match=says):
        Own(OwnConfig()).folds(table(parts, n_cell_types=2), n_folds=1, seed=0)


def test_a_file_without_a_split_is_refused() -> None:
    with pytest.raises(SplitError, match="kfold"):
        Own(OwnConfig()).folds(toy_data(), n_folds=1, seed=0)
