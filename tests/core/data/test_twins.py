from __future__ import annotations

from dataclasses import replace

import pytest

from dygenept.data.reading.label_kinds import twin_labels
from dygenept.data.splits import check_split
from dygenept.errors import SplitError
from dygenept.testing.toy import toy_data
from dygenept.types import Condition, Fold, Perturbation, PerturbationData, Split


def data_with(**genes_of: str) -> PerturbationData:
    data = toy_data()
    conditions = tuple(
        Condition(Perturbation(label, tuple(sorted(genes.split("+")))), "toy_a")
        for label, genes in genes_of.items()
    )
    return replace(data, conditions=conditions)


SPELT = data_with(a="KLF1", b="klf1", c="ENSG00000105610", d="JUN", e="MARCH1", f="MARCHF1")


def test_labels_of_one_set_of_target_genes_are_found() -> None:
    twins = twin_labels(SPELT)
    assert twins == {"a": "KLF1", "b": "KLF1", "c": "KLF1", "e": "MARCHF1", "f": "MARCHF1"}


def test_guides_and_other_separators_count_as_their_genes() -> None:
    twins = twin_labels(data_with(a="KLF1_1", b="sgKLF1-2", c="KLF1_JUN", d="JUN+KLF1", e="JUN"))
    assert twins == {"a": "KLF1", "b": "KLF1", "c": "JUN+KLF1", "d": "JUN+KLF1"}


def test_several_guides_in_one_label_count_as_all_their_genes() -> None:
    pair = "KLF1_-_1.23-P1P2|JUN_-_2.23-P1P2"
    assert twin_labels(data_with(a=pair, b="KLF1+JUN", c="KLF1")) == {
        "a": "JUN+KLF1",
        "b": "JUN+KLF1",
    }


def test_the_toy_data_has_no_twins() -> None:
    assert twin_labels(toy_data()) == {}


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [(("a", "d"), (), ("b",)), (("a",), ("c",), ("d",)), (("d",), ("e",), ("f",))],
)
def test_one_set_of_target_genes_lies_on_one_side(
    train: tuple[str, ...], val: tuple[str, ...], test: tuple[str, ...]
) -> None:
    split = Split("manifest", 1, 0, SPELT.sha256, (Fold(train=train, val=val, test=test),))
    with pytest.raises(SplitError, match="one set of target genes"):
        check_split(split, SPELT)


def test_twins_on_one_side_pass() -> None:
    fold = Fold(train=("a", "b", "c"), val=("d",), test=("e", "f"))
    check_split(Split("manifest", 1, 0, SPELT.sha256, (fold,)), SPELT)
