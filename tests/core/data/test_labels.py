from __future__ import annotations

import pytest

from dygenept.data.reading.labels import parse_labels
from dygenept.errors import DataError
from dygenept.types import Perturbation


def test_both_orders_of_a_label_name_one_perturbation_with_the_smallest_label() -> None:
    parsed = parse_labels(["ctrl+KLF1", "KLF1+ctrl", "MAPK1+KLF1", "KLF1+MAPK1", "ctrl"])
    assert parsed.perturbations == {
        "ctrl+KLF1": Perturbation("KLF1+ctrl", ("KLF1",)),
        "KLF1+ctrl": Perturbation("KLF1+ctrl", ("KLF1",)),
        "MAPK1+KLF1": Perturbation("KLF1+MAPK1", ("KLF1", "MAPK1")),
        "KLF1+MAPK1": Perturbation("KLF1+MAPK1", ("KLF1", "MAPK1")),
        "ctrl": None,
    }
    assert parsed.notes == ("Cells of several raw labels were pooled for 2 perturbation(s).",)


def test_the_smallest_raw_label_wins_even_where_it_is_the_control_first_one() -> None:
    parsed = parse_labels(["zzz1+ctrl", "ctrl+zzz1"])
    assert {of.label for of in parsed.perturbations.values() if of} == {"ctrl+zzz1"}


@pytest.mark.parametrize(
    "spelling", ["ctrl", "Ctrl", "control", "Control", "non-targeting", "Non-Targeting", "NT", "nt"]
)
def test_control_spellings_are_read_as_control(spelling: str) -> None:
    parsed = parse_labels([spelling, f"KLF1+{spelling}", f"{spelling}+{spelling}"])
    assert parsed.perturbations[spelling] is None
    assert parsed.perturbations[f"{spelling}+{spelling}"] is None
    assert parsed.perturbations[f"KLF1+{spelling}"] == Perturbation(f"KLF1+{spelling}", ("KLF1",))
    if spelling != "ctrl":
        assert f"Read as control: '{spelling}'." in parsed.notes


def test_the_gene_ctrl_is_not_mistaken_for_control() -> None:
    parsed = parse_labels(["ctrl", "CTRL+ctrl", "CTRL+KLF1"])
    assert parsed.perturbations["CTRL+ctrl"] == Perturbation("CTRL+ctrl", ("CTRL",))
    assert parsed.perturbations["CTRL+KLF1"] == Perturbation("CTRL+KLF1", ("CTRL", "KLF1"))


def test_upper_case_ctrl_is_control_where_nothing_else_is() -> None:
    parsed = parse_labels(["CTRL", "KLF1+CTRL"])
    assert parsed.perturbations["CTRL"] is None
    assert parsed.perturbations["KLF1+CTRL"] == Perturbation("KLF1+CTRL", ("KLF1",))
    assert "Read as control: 'CTRL'." in parsed.notes


def test_singles_without_control_are_accepted_and_named() -> None:
    parsed = parse_labels(["ctrl", "KLF1", "NT5E"])
    assert parsed.perturbations["KLF1"] == Perturbation("KLF1", ("KLF1",))
    assert parsed.perturbations["NT5E"] == Perturbation("NT5E", ("NT5E",))
    assert parsed.notes == ("Read as single perturbations without '+ctrl': 'KLF1', 'NT5E'.",)


def test_a_bare_single_and_the_gears_spelling_share_a_perturbation() -> None:
    parsed = parse_labels(["KLF1+ctrl", "KLF1"])
    assert set(parsed.perturbations.values()) == {Perturbation("KLF1", ("KLF1",))}


def test_a_gene_named_twice_counts_once_and_is_named() -> None:
    parsed = parse_labels(["ctrl", "KLF1+KLF1"])
    assert parsed.perturbations["KLF1+KLF1"] == Perturbation("KLF1+KLF1", ("KLF1",))
    assert parsed.notes == ("Name one gene more than once, which counts once: 'KLF1+KLF1'.",)


def test_three_genes_are_one_perturbation() -> None:
    parsed = parse_labels(["C+A+B"])
    assert parsed.perturbations["C+A+B"] == Perturbation("C+A+B", ("A", "B", "C"))


def test_blanks_around_names_are_left_out_of_the_label() -> None:
    parsed = parse_labels([" KLF1 + ctrl ", "ctrl"])
    assert parsed.perturbations[" KLF1 + ctrl "] == Perturbation("KLF1+ctrl", ("KLF1",))
    assert parsed.notes == ("Blanks around names were left out: ' KLF1 + ctrl '.",)


@pytest.mark.parametrize("label", ["", "  ", "KLF1+", "+KLF1", "A++B"])
def test_a_label_with_an_empty_part_is_refused(label: str) -> None:
    with pytest.raises(DataError, match="names no gene") as caught:
        parse_labels(["ctrl", label])
    assert f"adata.obs['condition'] != {label!r}" in str(caught.value)


def test_labels_keep_their_order_of_appearance() -> None:
    assert list(parse_labels(["B+ctrl", "ctrl", "A+ctrl", "B+ctrl"]).perturbations) == [
        "B+ctrl",
        "ctrl",
        "A+ctrl",
    ]
