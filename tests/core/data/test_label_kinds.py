from __future__ import annotations

import time

import pytest

from dygenept.data.reading.label_kinds import (
    Guides,
    combination_of,
    guide_of,
    guides_of,
    is_date,
    is_missing,
    is_unassigned,
    looks_like_control,
    looks_like_plasmid,
    separator_of,
)
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.knowledge.genes.tables import load_gene_tables

NAMES = GeneNames(["KLF1", "MAPK1"])


@pytest.mark.parametrize(
    "name",
    "NT-1 NT-3 NT3 NTg12 NTC NTC-2 non_targeting nontargeting Non-Targeting_12 no-target NegCtrl0 "
    "NegCtrl10_NegCtrl0__NegCtrl10_NegCtrl0 negative_control neg1 3x_neg_ctrl_pMJ144-1 AAVS1 "
    "sgAAVS1-1 safe-targeting Safe_Harbor_3 scrambled_1 shScramble INTERGENIC1216445 "
    "ONE_INTERGENIC_SITE_101 ONE_NON-GENE_SITE_1 NO_SITE_12 NonTargetingControlGuideForHuman_0001 "
    "CTRL00022 Control_3 sgCtrl siNT EGFP eGFPg1 lacZ luciferase DMSO WT untreated mock "
    "NT_+_123.23 NT_-_123.23-P1P2 NT_NT NT--NT NTC|NT_2 non-targeting_01|non-targeting_02 DMSO_TF "
    "p_INTERGENIC393453 ONE_SITE_12 SCR scr_2 random_1 PBS vector".split(),
)
def test_a_control_is_known_by_its_name(name: str) -> None:
    assert looks_like_control(name, NAMES)


@pytest.mark.parametrize(
    "name",
    "KLF1_NegCtrl0 NegCtrl0_KLF1 non_targeting_KLF1 NT5E NTRK1 CTRL CTRB1 SCRIB NEGR1 NTF3 WT1 "
    "NOTAGENE NT_+_1.23|KLF1_+_2.23 NT_KLF1 DMSO_KLF1".split(),
)
def test_what_has_a_gene_in_it_is_no_control(name: str) -> None:
    assert not looks_like_control(name, NAMES)


def test_no_current_symbol_is_taken_for_anything_else() -> None:
    taken = [
        symbol
        for symbol in load_gene_tables().symbols
        if looks_like_control(symbol)
        or is_missing(symbol)
        or is_unassigned(symbol)
        or looks_like_plasmid(symbol)
    ]
    assert taken == []


def test_a_gene_of_another_species_with_a_number_is_no_guide_of_a_human_gene() -> None:
    fish = GeneNames(["klf1", "her4.2"])
    assert guide_of("cd4-1", fish) is None
    assert guide_of("her4.1", fish) is None
    guide = guide_of("klf1-1", fish)
    assert guide is not None
    assert guide.gene == "klf1"


def test_a_name_in_var_is_a_gene() -> None:
    assert not looks_like_control("NT-1", GeneNames(["NT-1"]))


@pytest.mark.parametrize("text", ["nan", "None", "<NA>", "NA", "N/A", "null", "", " ", "-", "*"])
def test_missing_values_written_as_text_are_missing(text: str) -> None:
    assert is_missing(text)


@pytest.mark.parametrize("text", ["unassigned", "Multiplet", "doublet", "no_guide", "ambiguous"])
def test_cells_without_a_perturbation_are_known_by_their_label(text: str) -> None:
    assert is_unassigned(text)
    assert not looks_like_control(text)


@pytest.mark.parametrize(
    "name",
    "KLF1_1 sgKLF1-2 KLF1_g1 KLF1g2 KLF1.1 KLF1-1 klf1_1 sgRNA_KLF1_3 KLF1_+_48997_.23-P1P2 "
    "KLF1_-_48997.23-P1P2 KLF1_P1P2 KLF1_ACGTACGTACGTACGTACGT ENSG00000105610_2 KLF1_1_2 KLF1_B "
    "KLF1-KO KLF1_TSS KLF1_pDS042 p_sgKLF1_1 TFORF0002-KLF1 "
    "siKLF1 shRNA-KLF1 shKLF1#2 KLF1#1 KLF1:2 KLF1(1) guide_KLF1_1 crRNA-KLF1".split(),
)
def test_a_guide_leads_to_its_gene(name: str) -> None:
    guide = guide_of(name, NAMES)
    assert guide is not None
    assert guide.gene == "KLF1"


@pytest.mark.parametrize(
    "name",
    "HLA-A NKX2-1 C4B_2 TRAV1-2 H1-0 RP11-34P13.7 AC002310.4 KLF1_MAPK1 FOO_1 "
    "HSP70-2 TRAP-1 MAR-X Rp23-1 Dec-01 KLF1_+_1.23-P1P2|MAPK1_+_2.23-P1P2".split(),
)
def test_a_gene_with_a_number_behind_it_is_no_guide(name: str) -> None:
    assert guide_of(name, NAMES) is None


@pytest.mark.parametrize(
    ("name", "genes", "separator", "pattern"),
    [
        ("KLF1_+_1.23-P1P2|MAPK1_-_2.23-P1P2", ("KLF1", "MAPK1"), "|", r"_[+-]_[^|]*$"),
        ("KLF1_+_1.23-P1P2|non-targeting_00002", ("KLF1",), "|", r"_[+-]_[^|]*$"),
        ("KLF1_1__MAPK1_2", ("KLF1", "MAPK1"), "__", r"_\d+$"),
        ("KLF1;MAPK1_2", ("KLF1", "MAPK1"), ";", r"_\d+$"),
    ],
)
def test_several_guides_in_one_name_keep_all_their_genes(
    name: str, genes: tuple[str, ...], separator: str, pattern: str
) -> None:
    assert guides_of(name, NAMES) == Guides(genes, separator, pattern)


@pytest.mark.parametrize("name", ["KLF1|MAPK1", "KLF1_1", "KLF1_1|FOO", "NT|NT", "KLF1"])
def test_what_is_not_several_guides_is_none(name: str) -> None:
    assert guides_of(name, NAMES) is None


@pytest.mark.parametrize("text", ["1-Mar", "Sep-02", "2-Sep-24", "2001-03-01 00:00:00", "1-DEC"])
def test_a_date_is_no_gene_and_no_guide(text: str) -> None:
    assert is_date(text)
    assert guide_of(text, NAMES) is None


@pytest.mark.parametrize("text", ["SEPT2", "MARCH1", "DEC1", "SEP15", "NKX2-1", "1-MARCH1"])
def test_a_symbol_is_no_date(text: str) -> None:
    assert not is_date(text)


@pytest.mark.parametrize(
    "separator", ["_", "__", "--", ",", ";", "|", "&", ":", "/", " ", "-", "."]
)
def test_another_separator_is_seen_where_it_parts_genes(separator: str) -> None:
    assert separator_of(f"KLF1{separator}MAPK1", NAMES) == separator


@pytest.mark.parametrize(
    ("name", "separator", "parts"),
    [
        ("HLA-A-KLF1", "-", ("HLA-A", "KLF1")),
        ("C4B_2_KLF1", "_", ("C4B_2", "KLF1")),
        ("KLF1_non_targeting", "_", ("KLF1", "non_targeting")),
        ("KLF1_NegCtrl0__KLF1_NegCtrl0", "_", ("KLF1", "NegCtrl0", "KLF1", "NegCtrl0")),
        ("KLF1_nan", "_", ("KLF1", "nan")),
        ("HLA-A", "-", ()),
        ("C4B_2", "_", ()),
        ("GATA1-AS1", "-", ()),
        ("KLF1_FOO", "_", ()),
    ],
)
def test_a_gene_that_contains_the_separator_stays_whole(
    name: str, separator: str, parts: tuple[str, ...]
) -> None:
    assert combination_of(name, separator, NAMES) == parts


@pytest.mark.parametrize(
    "name", ["1" * 5000 + "!", "sg" * 3000 + "!", "KLF1_" * 3000, "NT_" * 3000 + "!"]
)
def test_a_hostile_name_takes_time_in_proportion_to_its_square_at_most(name: str) -> None:
    def seconds(tried: str) -> float:
        started = time.process_time()
        assert not looks_like_control(tried, NAMES)
        assert guide_of(tried, NAMES) is None
        assert separator_of(tried, NAMES) is None
        return time.process_time() - started

    # Of a tenth of the length; less than half a millisecond is not told from nothing.
    short = name[: len(name) // 10 - 1] + name[-1]
    least = max(min(seconds(short) for _ in range(3)), 5e-4)
    assert seconds(name) < 200 * least
