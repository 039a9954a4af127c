from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dygenept.data.splits import (
    check_split,
    load_split,
    save_split,
    split_from_json,
    split_sha256,
    split_to_json,
)
from dygenept.errors import SplitError
from dygenept.testing.toy import ToyShape, toy_data, toy_fold
from dygenept.types import Fold, PerturbationData, Split


@pytest.fixture(scope="module")
def data() -> PerturbationData:
    return toy_data(ToyShape(n_cell_types=2))


@pytest.fixture
def split(data: PerturbationData) -> Split:
    fold = replace(toy_fold(data), subgroups={"some": toy_fold(data).test[:1]})
    return Split("kfold", 1, 42, data.sha256, (fold,))


def with_fold(split: Split, fold: Fold) -> Split:
    return replace(split, folds=(fold,))


def test_a_split_survives_its_manifest(split: Split) -> None:
    assert split_from_json(split_to_json(split)) == split


def test_the_manifest_has_exactly_the_named_keys(split: Split) -> None:
    document = json.loads(split_to_json(split))
    assert set(document) == {"algorithm", "version", "seed", "dataset_sha256", "folds"}
    assert set(document["folds"][0]) == {"train", "val", "test", "subgroups"}
    held_out = replace(split.folds[0], test_cell_type="toy_a")
    document = json.loads(split_to_json(with_fold(split, held_out)))
    assert document["folds"][0]["test_cell_type"] == "toy_a"


def test_the_hash_says_what_a_split_holds(split: Split) -> None:
    again = replace(split, folds=(replace(split.folds[0]),))
    assert split_sha256(again) == split_sha256(split)
    changed = [
        replace(split, algorithm="gears_single"),
        replace(split, version=2),
        replace(split, seed=43),
        replace(split, dataset_sha256="0" * 64),
        with_fold(split, replace(split.folds[0], val=())),
        with_fold(split, replace(split.folds[0], subgroups={})),
        with_fold(split, replace(split.folds[0], test_cell_type="toy_a")),
    ]
    assert len({split_sha256(item) for item in (split, *changed)}) == 1 + len(changed)


def test_the_hash_does_not_depend_on_the_order_of_subgroups(split: Split) -> None:
    one, other = {"a": (), "b": ()}, {"b": (), "a": ()}
    hashes = {
        split_sha256(with_fold(split, replace(split.folds[0], subgroups=groups)))
        for groups in (one, other)
    }
    assert len(hashes) == 1


def test_a_split_is_saved_under_its_hash_and_read_back(tmp_path: Path, split: Split) -> None:
    path = save_split(split, tmp_path)
    assert path == tmp_path / "splits" / f"{split_sha256(split)}.json"
    assert load_split(path) == split
    assert save_split(split, tmp_path) == path
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_an_edited_manifest_is_refused(tmp_path: Path, split: Split) -> None:
    path = save_split(split, tmp_path)
    path.write_text(path.read_text().replace('"seed": 42', '"seed": 43'))
    with pytest.raises(SplitError, match="was edited"):
        load_split(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "invalid json"),
        ("[]", "document"),
        ('{"algorithm": "kfold", "seed": 1}', "version: field required"),
    ],
)
def test_what_is_no_manifest_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(SplitError, match=message) as caught:
        split_from_json(text, where="mine.json")
    assert str(caught.value).startswith("mine.json: ")
    assert "\n" not in str(caught.value)


def test_an_unknown_key_names_the_nearest(split: Split) -> None:
    document = json.loads(split_to_json(split))
    document["folds"][0]["tests"] = document["folds"][0]["test"]
    with pytest.raises(SplitError, match=r"unknown key 'folds.0.tests'; did you mean 'test'"):
        split_from_json(json.dumps(document))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="cannot read split manifest"):
        load_split(tmp_path / "none.json")


def test_a_sound_split_passes(split: Split, data: PerturbationData) -> None:
    check_split(split, data)


def test_a_split_of_other_cells_is_refused(split: Split, data: PerturbationData) -> None:
    with pytest.raises(SplitError, match="was made for the data set 000000000000"):
        check_split(replace(split, dataset_sha256="0" * 64), data)


def test_a_split_without_folds_is_refused(split: Split, data: PerturbationData) -> None:
    with pytest.raises(SplitError, match="has no fold"):
        check_split(replace(split, folds=()), data)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("train", "no train perturbation; use fewer folds"),
        ("test", "no test perturbation, so there is nothing to score"),
    ],
)
def test_an_empty_part_is_refused_and_the_fix_is_named(
    split: Split, data: PerturbationData, part: str, message: str
) -> None:
    fold = replace(split.folds[0], subgroups={}, **{part: ()})
    with pytest.raises(SplitError, match=message):
        check_split(with_fold(split, fold), data)


@pytest.mark.parametrize(
    ("first", "second"), [("train", "val"), ("train", "test"), ("val", "test")]
)
def test_a_label_in_two_parts_is_refused(
    split: Split, data: PerturbationData, first: str, second: str
) -> None:
    fold = split.folds[0]
    leaked = getattr(fold, second)[0]
    fold = replace(fold, **{first: (*getattr(fold, first), leaked)})
    with pytest.raises(SplitError, match=f"in both {first} and {second}"):
        check_split(with_fold(split, fold), data)


def test_a_held_out_cell_type_may_share_labels_with_train_but_val_may_not(
    split: Split, data: PerturbationData
) -> None:
    labels = tuple(sorted({c.label for c in data.conditions if c.cell_type == "toy_a"}))
    fold = Fold(train=labels[1:], val=labels[:1], test=labels, test_cell_type="toy_a")
    check_split(with_fold(split, fold), data)
    leaking = replace(fold, train=labels)
    with pytest.raises(SplitError, match="in both train and val"):
        check_split(with_fold(split, leaking), data)


def test_a_label_that_no_cell_of_its_side_has_is_refused(
    split: Split, data: PerturbationData
) -> None:
    by_type = {
        name: {c.label for c in data.conditions if c.cell_type == name} for name in data.cell_types
    }
    (alone,) = by_type["toy_b"] - by_type["toy_a"]
    shared = min(by_type["toy_a"] & by_type["toy_b"])
    only_there = Fold(train=(alone, shared), val=(), test=(shared,), test_cell_type="toy_b")
    with pytest.raises(SplitError, match="in train, which has no cell outside cell type 'toy_b'"):
        check_split(with_fold(split, only_there), data)
    not_here = Fold(train=(shared,), val=(), test=(alone,), test_cell_type="toy_a")
    with pytest.raises(SplitError, match="in test, which has no cell in cell type 'toy_a'"):
        check_split(with_fold(split, not_here), data)
    misspelt = replace(only_there, test_cell_type="toy_c")
    with pytest.raises(SplitError, match="did you mean 'toy_"):
        check_split(with_fold(split, misspelt), data)


def test_an_unknown_label_names_the_nearest(split: Split, data: PerturbationData) -> None:
    fold = replace(split.folds[0], train=(*split.folds[0].train, "KLF11+ctrl"))
    with pytest.raises(SplitError, match=r"'KLF11.ctrl' in train.*did you mean 'KLF1.ctrl'"):
        check_split(with_fold(split, fold), data)


def test_a_label_twice_in_one_part_is_refused(split: Split, data: PerturbationData) -> None:
    fold = split.folds[0]
    with pytest.raises(SplitError, match="twice in train"):
        check_split(with_fold(split, replace(fold, train=(*fold.train, fold.train[0]))), data)


def test_a_subgroup_holds_test_labels_alone(split: Split, data: PerturbationData) -> None:
    fold = replace(split.folds[0], subgroups={"unseen_single": split.folds[0].train[:1]})
    with pytest.raises(SplitError, match=r"subgroup 'unseen_single'.*not in test"):
        check_split(with_fold(split, fold), data)
