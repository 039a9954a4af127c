"""Split manifests to the letter, and what a refusal says about where the fault is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dygenept.data.splits import (
    check_split,
    load_split,
    make_split,
    save_split,
    split_from_json,
    split_sha256,
    split_to_json,
)
from dygenept.errors import PluginError, SplitError
from dygenept.plugin.specs import PluginConfig, SplitSpec
from dygenept.testing.toy import ToyShape, toy_data, toy_fold
from dygenept.types import Fold, PerturbationData, Split

FOLD = Fold(train=("A",), val=("B",), test=("C", "D"), subgroups={"z": ("C",), "a": ("D",)})
SPLIT = Split("kfold", 1, 42, "ab", (FOLD, replace(FOLD, test_cell_type="K562")))
FOLD_TEXT = """    {
      "subgroups": {
        "a": [
          "D"
        ],
        "z": [
          "C"
        ]
      },
      "test": [
        "C",
        "D"
      ],%s
      "train": [
        "A"
      ],
      "val": [
        "B"
      ]
    }"""
HELD_OUT_TEXT = FOLD_TEXT % '\n      "test_cell_type": "K562",'
TEXT = f"""{{
  "algorithm": "kfold",
  "dataset_sha256": "ab",
  "folds": [
{FOLD_TEXT % ""},
{HELD_OUT_TEXT}
  ],
  "seed": 42,
  "version": 1
}}
"""


@pytest.fixture(scope="module")
def data() -> PerturbationData:
    return toy_data(ToyShape(n_cell_types=2))


class Fixed:
    """Returns the folds it was given, or fails."""

    def __init__(self, *folds: Fold) -> None:
        self._folds = folds

    def folds(self, data: PerturbationData, *, n_folds: int, seed: int) -> tuple[Fold, ...]:
        if not self._folds:
            raise ValueError("no idea")
        return self._folds


def made(data: PerturbationData, *folds: Fold, seed: int = 7, version: int = 3) -> Split:
    spec = SplitSpec(
        name="mine",
        summary="",
        source="test",
        config=PluginConfig,
        factory=lambda config: Fixed(*folds),
        version=version,
    )
    return make_split(spec, Fixed(*folds), data, n_folds=2, seed=seed)


def refusal(split: Split, data: PerturbationData) -> str:
    with pytest.raises(SplitError) as caught:
        check_split(split, data)
    return str(caught.value)


def of(data: PerturbationData, *folds: Fold) -> Split:
    return Split("mine", 1, 0, data.sha256, folds)


def test_a_manifest_is_sorted_indented_json_with_a_newline() -> None:
    assert split_to_json(SPLIT) == TEXT
    assert split_from_json(TEXT) == SPLIT


def test_the_hash_is_that_of_the_manifest_without_white_space() -> None:
    canonical = json.dumps(json.loads(TEXT), sort_keys=True, separators=(",", ":"))
    assert split_sha256(SPLIT) == hashlib.sha256(canonical.encode()).hexdigest()


def test_a_split_carries_its_protocols_name_and_version_and_the_seed(
    data: PerturbationData,
) -> None:
    split = made(data, toy_fold(data))
    assert (split.algorithm, split.version, split.seed) == ("mine", 3, 7)
    assert split.dataset_sha256 == data.sha256
    assert split.folds == (toy_fold(data),)


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_the_smallest_and_the_largest_seed_are_allowed(data: PerturbationData, seed: int) -> None:
    assert made(data, toy_fold(data), seed=seed).seed == seed


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_beyond_numpys_range_is_named_with_the_range(
    data: PerturbationData, seed: int
) -> None:
    with pytest.raises(SplitError, match=rf"seed {seed} .* 0 to 4294967295"):
        made(data, toy_fold(data), seed=seed)


def test_a_protocol_that_fails_is_named(data: PerturbationData) -> None:
    with pytest.raises(PluginError, match=r"^split 'mine' raised ValueError: no idea"):
        made(data)


def test_a_leak_is_refused_when_the_split_is_made(data: PerturbationData) -> None:
    fold = toy_fold(data)
    with pytest.raises(SplitError, match="both train and test"):
        made(data, replace(fold, train=(*fold.train, fold.test[0])))


def test_a_protocol_without_a_test_part_passes_until_it_is_scored(data: PerturbationData) -> None:
    split = made(data, replace(toy_fold(data), test=(), subgroups={}))
    assert "no test perturbation" in refusal(split, data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"algoritm": "kfold"}, r"unknown key 'algoritm'; did you mean 'algorithm'\?"),
        ({"zzz": 1}, r"unknown key 'zzz'; known: algorithm, dataset_sha256"),
    ],
)
def test_an_unknown_key_at_the_top_is_held_against_the_keys_of_a_split(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(SplitError, match=rf"^split manifest: {message}"):
        split_from_json(json.dumps({**json.loads(TEXT), **change}))


def test_an_unknown_key_of_a_fold_is_held_against_the_keys_of_a_fold() -> None:
    document = json.loads(TEXT)
    document["folds"][1]["trian"] = []
    expected = r"^here: unknown key 'folds\.1\.trian'; did you mean 'train'\?"
    with pytest.raises(SplitError, match=expected):
        split_from_json(json.dumps(document), where="here")


def test_text_that_is_not_json_is_called_the_document() -> None:
    with pytest.raises(SplitError, match=r"^here: document: invalid json"):
        split_from_json("{", where="here")


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("{}")
    with pytest.raises(SplitError, match=r"mine\.json: algorithm: field required"):
        load_split(path)


def test_labels_beyond_ascii_come_back_from_a_file(tmp_path: Path) -> None:
    split = replace(SPLIT, folds=(replace(FOLD, train=("Ä",)),))
    assert load_split(save_split(split, tmp_path)) == split
    path = tmp_path / "raw.json"
    text = split_to_json(split).replace("\\u00c4", "Ä")
    path.write_bytes(text.encode("utf-8"))
    assert load_split(path) == split


def test_a_manifest_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    path = save_split(SPLIT, tmp_path)
    path.write_text("mine")
    assert save_split(SPLIT, tmp_path) == path
    assert path.read_text() == "mine"


def test_a_name_that_is_no_hash_is_not_held_against_the_content(tmp_path: Path) -> None:
    path = tmp_path / ("0" * 63 + ".json")
    path.write_text(TEXT)
    assert load_split(path) == SPLIT
    edited = tmp_path / ("0" * 64 + ".json")
    edited.write_text(TEXT)
    with pytest.raises(SplitError, match=rf"{split_sha256(SPLIT)}.*--split manifest"):
        load_split(edited)


def test_the_fold_at_fault_is_numbered_from_one(data: PerturbationData) -> None:
    fold = toy_fold(data)
    for number in (1, 2):
        folds = [fold, fold]
        folds[number - 1] = replace(fold, train=())
        message = refusal(of(data, *folds), data)
        assert message.startswith(f"fold {number} of split 'mine' has no train perturbation")


def broken(data: PerturbationData, part: str, labels: Sequence[str]) -> str:
    fold = replace(toy_fold(data), subgroups={})
    changed = replace(fold, **{part: (*getattr(fold, part), *labels)})
    return refusal(of(data, changed), data)


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_label_twice_or_unknown_is_named_with_fold_and_part(
    data: PerturbationData, part: str
) -> None:
    last = getattr(toy_fold(data), part)[-1]
    twice = broken(data, part, [last])
    assert twice.startswith("fold 1 of split 'mine'")
    assert f"{last!r} twice in {part};" in twice
    unknown = broken(data, part, [last[:-1]])
    assert unknown.startswith("fold 1 of split 'mine'")
    assert f"{last[:-1]!r} in {part}," in unknown
    assert "did you mean" in unknown
    assert "known:" not in unknown
    assert broken(data, part, ["?"]).endswith("use the data set the split was made for")


@pytest.mark.parametrize(
    ("first", "second"), [("train", "val"), ("train", "test"), ("val", "test")]
)
def test_labels_in_two_parts_are_counted_and_the_first_is_named(
    data: PerturbationData, first: str, second: str
) -> None:
    shared = sorted(getattr(toy_fold(data), first))[:2]
    message = broken(data, second, shared[::-1])
    assert message.startswith("fold 1 of split 'mine'")
    assert f"{shared[0]!r} in both {first} and {second}" in message
    assert f"({len(shared)} such label(s))" in message


def test_a_subgroup_label_outside_test_is_named(data: PerturbationData) -> None:
    fold = replace(toy_fold(data), subgroups={"odd": toy_fold(data).train[:2]})
    message = refusal(of(data, fold), data)
    assert message.startswith("fold 1 of split 'mine': subgroup 'odd'")
    assert repr(min(fold.train[:2])) in message


def test_a_split_of_other_cells_shows_twelve_digits_of_each_hash(data: PerturbationData) -> None:
    message = refusal(replace(of(data, toy_fold(data)), dataset_sha256="0" * 64), data)
    assert f" {'0' * 12}…" in message
    assert f" {data.sha256[:12]}…" in message


def cell_type_fold(data: PerturbationData) -> Fold:
    """The second cell type held out; its own label cannot be trained on elsewhere."""
    inside = {c.label for c in data.conditions if c.cell_type == data.cell_types[1]}
    outside = sorted({c.label for c in data.conditions if c.cell_type == data.cell_types[0]})
    return Fold(
        train=tuple(outside[1:]),
        val=(outside[0],),
        test=tuple(sorted(inside)),
        test_cell_type=data.cell_types[1],
    )


def test_a_held_out_cell_type_that_fits_passes(data: PerturbationData) -> None:
    check_split(of(data, cell_type_fold(data)), data)


def test_a_label_that_its_side_lacks_is_named_with_part_and_side(data: PerturbationData) -> None:
    fold = cell_type_fold(data)
    (own,) = set(fold.test) - {*fold.train, *fold.val}
    for part in ("train", "val"):
        wrong = replace(fold, **{part: (*getattr(fold, part), own)})
        message = refusal(of(data, wrong), data)
        assert message.startswith("fold 1 of split 'mine'")
        assert f"{own!r} in {part}, " in message
        assert f"outside cell type {data.cell_types[1]!r}; remove it from {part}" in message
    first = replace(fold, test_cell_type=data.cell_types[0])
    trained = [label for label in first.train if label != own]
    first = replace(first, train=tuple(trained))
    message = refusal(of(data, first), data)
    assert f"{own!r} in test, " in message
    assert f" in cell type {data.cell_types[0]!r}; remove it from test" in message


def test_an_unknown_cell_type_is_named_with_the_nearest(data: PerturbationData) -> None:
    name = data.cell_types[0]
    message = refusal(of(data, replace(cell_type_fold(data), test_cell_type=name[:-1])), data)
    assert message.startswith("fold 1 of split 'mine'")
    assert repr(name[:-1]) in message
    assert "did you mean" in message
