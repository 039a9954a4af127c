from __future__ import annotations

import pytest

from dygenept.data.reading.labels import LabelRules, apply_rules, parse_labels
from dygenept.errors import DataError
from dygenept.knowledge.genes.identity import GeneNames
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


NAMES = GeneNames(["KLF1", "MAPK1", "CEBPA", "JUN"])


@pytest.mark.parametrize("control", ["NT-1", "NTC", "non_targeting", "NegCtrl0", "AAVS1", "WT"])
def test_what_is_a_control_by_its_name_is_read_so_and_named(control: str) -> None:
    parsed = parse_labels(["ctrl", control, f"KLF1+{control}"], NAMES)
    assert parsed.perturbations[control] is None
    assert parsed.perturbations[f"KLF1+{control}"] == Perturbation("KLF1+ctrl", ("KLF1",))
    assert any(
        note.startswith(f"Read as control, by the name: '{control}'") for note in parsed.notes
    )


def test_a_plasmid_makes_no_combination_and_is_refused_by_itself() -> None:
    parsed = parse_labels(["ctrl", "KLF1+pDS255"], NAMES)
    assert parsed.perturbations["KLF1+pDS255"] == Perturbation("KLF1+ctrl", ("KLF1",))
    assert any("'pDS255'" in note for note in parsed.notes)
    with pytest.raises(DataError, match=r"'pDS255' look.* --control pDS255"):
        parse_labels(["ctrl", "KLF1", "pDS255"], NAMES)


@pytest.mark.parametrize("text", ["nan", "None", "<NA>", "KLF1+nan", "unassigned", "doublet"])
def test_labels_without_a_perturbation_are_refused_with_the_line_that_drops_them(text: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_labels(["ctrl", "KLF1", text], NAMES, column="gene")
    assert f"adata = adata[~adata.obs['gene'].isin([{text!r}])]" in str(caught.value)


def test_spellings_of_one_gene_are_one_perturbation() -> None:
    raw = ["ctrl", "KLF1+ctrl", "klf1+ctrl", "ENSG00000105610", "MAPK1+klf1", "KLF1+MAPK1"]
    parsed = parse_labels(raw, NAMES)
    assert set(parsed.perturbations.values()) == {
        None,
        Perturbation("KLF1+ctrl", ("KLF1",)),
        Perturbation("KLF1+MAPK1", ("KLF1", "MAPK1")),
    }
    assert "Spellings of one gene were read as one gene: 'ENSG00000105610 = KLF1 = klf1'." in (
        parsed.notes
    )


def test_a_guide_and_another_separator_are_named_with_the_flag_and_the_line() -> None:
    parsed = parse_labels(["ctrl", "KLF1", "MAPK1", "CEBPA", "KLF1_1", "KLF1_MAPK1"], NAMES)
    guide, combination = parsed.notes[-2:]
    assert "'KLF1_1 (KLF1)'; pass --guide-pattern '_\\d+$'" in guide
    assert "str.replace(r'_\\d+$', '', regex=True)" in guide
    assert "'KLF1_MAPK1 looks like KLF1+MAPK1'; pass --separator '_'" in combination
    assert "str.replace('_', '+', regex=False)" in combination


def test_guides_of_several_genes_are_named_with_both_flags() -> None:
    label = "KLF1_+_1.23-P1P2|MAPK1_+_2.23-P1P2"
    parsed = parse_labels(["ctrl", "KLF1", "MAPK1", "CEBPA", label], NAMES)
    assert f"'{label} looks like guides of KLF1+MAPK1'" in parsed.notes[-1]
    assert parsed.notes[-1].endswith("--separator '|' --guide-pattern '_[+-]_[^|]*$'.")


def test_patterns_of_several_kinds_of_guides_are_one_flag() -> None:
    parsed = parse_labels(["ctrl", "KLF1", "MAPK1", "CEBPA", "KLF1_1", "JUN.2"], NAMES)
    assert (
        r"'JUN.2 (JUN)', 'KLF1_1 (KLF1)'; pass --guide-pattern '\.\d+$|_\d+$'" in parsed.notes[-1]
    )


def test_no_line_is_offered_that_would_cut_genes_with_a_dash() -> None:
    parsed = parse_labels(["ctrl", "KLF1", "MAPK1", "HLA-A", "HLA-A-KLF1"], NAMES)
    assert parsed.notes[-1].endswith("looks like HLA-A+KLF1'; pass --separator '-'.")


def test_dates_of_a_spreadsheet_are_named() -> None:
    parsed = parse_labels(["ctrl", "KLF1", "MAPK1", "CEBPA", "2-Sep", "Dec-01"], NAMES)
    assert "dates that a spreadsheet made" in parsed.notes[-1]
    assert "'2-Sep', 'Dec-01'" in parsed.notes[-1]


def test_genes_of_a_mouse_are_not_to_be_written_as_human_ones() -> None:
    mouse = GeneNames(["Klf1", "Mapk1", "Jun"])
    assert "another case" not in str(parse_labels(["ctrl", "Klf1", "Cd19"], mouse).notes)
    assert "'Cd19 (CD19)'; write them so" in str(
        parse_labels(["ctrl", "KLF1", "Cd19"], NAMES).notes
    )


def test_labels_most_of_which_nobody_knows_are_refused() -> None:
    with pytest.raises(DataError, match=r"2 of 3 targets in obs.*'Trametinib', 'Vorinostat'"):
        parse_labels(["ctrl", "KLF1", "Trametinib", "Vorinostat"], NAMES)
    with pytest.raises(DataError, match="--guide-pattern 'g"):
        parse_labels(["ctrl", "KLF1g1", "KLF1g2"], NAMES)


def test_genes_of_another_species_are_known_by_var() -> None:
    names = GeneNames(["YAL001C", "YAL002C", "Klf1"])
    parsed = parse_labels(["ctrl", "YAL001C", "YAL001C+YAL002C", "Klf1"], names)
    assert parsed.notes == ("Read as single perturbations without '+ctrl': 'YAL001C', 'Klf1'.",)


def test_the_strand_of_a_protospacer_joins_no_genes() -> None:
    parsed = parse_labels(["ctrl", "KLF1_+_48997_.23-P1P2"])
    assert parsed.perturbations["KLF1_+_48997_.23-P1P2"] == Perturbation(
        "KLF1_+_48997_.23-P1P2", ("KLF1_+_48997_.23-P1P2",)
    )


@pytest.mark.parametrize(
    ("rules", "label", "written"),
    [
        (LabelRules(separator="_"), "KLF1_MAPK1", "KLF1+MAPK1"),
        (LabelRules(separator="_"), "KLF1_NegCtrl0__KLF1_NegCtrl0", "KLF1+NegCtrl0+KLF1+NegCtrl0"),
        (LabelRules(separator="_"), "non_targeting", "non_targeting"),
        (LabelRules(separator="_"), "C4B_2", "C4B_2"),
        (LabelRules(separator="-"), "HLA-A-KLF1", "HLA-A+KLF1"),
        (LabelRules(separator=","), "KLF1, FOO", "KLF1+FOO"),
        (LabelRules(guide_pattern=r"_\d+$"), "KLF1_2+MAPK1_1", "KLF1+MAPK1"),
        (LabelRules(guide_pattern=r"-\d+$"), "NKX2-1", "NKX2-1"),
        (LabelRules(guide_pattern=r"-\d+$"), "NKX2-1-2", "NKX2-1"),
        (LabelRules(guide_pattern=r"_[+-]_.*$"), "KLF1_+_48997_.23-P1P2", "KLF1"),
        (LabelRules(separator="_", guide_pattern=r"_\d+$"), "KLF1_1_MAPK1_2", "KLF1+MAPK1"),
        (
            LabelRules(separator="|", guide_pattern=r"_[+-]_[^|]*$"),
            "KLF1_+_1.23-P1P2|MAPK1_-_2.23-P1P2",
            "KLF1+MAPK1",
        ),
        (LabelRules(separator="-"), "FOO--BAR", "FOO+BAR"),
        (LabelRules(controls=("con",)), "KLF1+con", "KLF1+ctrl"),
        (LabelRules(), "KLF1_MAPK1", "KLF1_MAPK1"),
    ],
)
def test_labels_are_written_by_the_rules_of_their_owner(
    rules: LabelRules, label: str, written: str
) -> None:
    assert apply_rules([label], NAMES, rules) == {label: written}


@pytest.mark.parametrize("rule", [{"separator": ""}, {"guide_pattern": "("}])
def test_what_cannot_be_a_rule_is_refused(rule: dict[str, str]) -> None:
    with pytest.raises(DataError):
        LabelRules(**rule)  # type: ignore[arg-type]


def test_signs_that_do_not_show_make_no_other_gene() -> None:
    parsed = parse_labels(["ctrl", "KLF1", "KLF1\u200b", "\uff2b\uff2c\uff26\uff11", "KLF1\u00a0"])
    assert {of.genes for of in parsed.perturbations.values() if of} == {("KLF1",)}
    parsed = parse_labels(["ctrl", "NKX2\u20111", "HLA\u2013A"], NAMES)
    assert {of.genes for of in parsed.perturbations.values() if of} == {("NKX2-1",), ("HLA-A",)}
