from __future__ import annotations

import pytest

from dygenept.knowledge.genes.identity import GeneNames

NAMES = GeneNames(["KLF1", "MAPK1", "Nkx2-5", "NT-9"], ["ENSG00000105610.2", "g1", "g2", "g3"])


@pytest.mark.parametrize(
    ("name", "gene"),
    [
        ("KLF1", "KLF1"),
        ("klf1", "KLF1"),
        ("ENSG00000105610", "KLF1"),
        ("ENSG00000105610.7", "KLF1"),
        ("g1", "MAPK1"),
        ("NKX2-5", "Nkx2-5"),
        ("MARCH1", "MARCHF1"),
        ("foxa1", "FOXA1"),
        ("c1orf112", "C1orf112"),
        ("NOTAGENE", None),
    ],
)
def test_a_gene_is_found_under_any_of_its_names(name: str, gene: str | None) -> None:
    assert NAMES.spelling(name) == gene


def test_spellings_of_one_gene_are_unified_to_that_of_var() -> None:
    written = ["KLF1", "klf1", "ENSG00000105610", "FOXA1"]
    assert NAMES.unified(written) == dict.fromkeys(written[:3], "KLF1") | {"FOXA1": "FOXA1"}


def test_old_and_new_symbols_are_one_gene_and_a_lone_old_one_stays() -> None:
    assert NAMES.unified(["MARCH1", "MARCHF1"]) == {"MARCH1": "MARCHF1", "MARCHF1": "MARCHF1"}
    assert NAMES.unified(["MARCH1", "KLF1"]) == {"MARCH1": "MARCH1", "KLF1": "KLF1"}


def test_an_old_symbol_in_var_is_the_spelling_of_the_new_one() -> None:
    assert set(GeneNames(["MARCH1"]).unified(["MARCH1", "MARCHF1"]).values()) == {"MARCH1"}


def test_two_genes_of_var_stay_two_whatever_the_tables_say() -> None:
    names = GeneNames(["MARCH1", "MARCHF1"])
    assert names.unified(["MARCH1", "MARCHF1"]) == {"MARCH1": "MARCH1", "MARCHF1": "MARCHF1"}


def test_genes_with_one_symbol_are_told_apart_by_their_ids() -> None:
    names = GeneNames(["TBCE", "TBCE"], ["ENSG00000284770", "ENSG00000285053"])
    assert names.spelling("ENSG00000285053") == "ENSG00000285053"


def test_asked_names_take_the_spelling_of_a_data_sets_targets() -> None:
    assert NAMES.among(["MARCH1"], ["MARCHF1", "klf1", "FOXA1"]) == {
        "MARCHF1": "MARCH1",
        "klf1": "KLF1",
        "FOXA1": "FOXA1",
    }
