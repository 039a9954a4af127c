from __future__ import annotations

from dataclasses import replace

import pytest

from dygenept.errors import DataError
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.runs.asked import Vocabulary, asked_conditions

VOCABULARY = Vocabulary(
    names=GeneNames(["KLF1", "JUN"]), targets=("KLF1", "MARCH1"), cell_types=("K562", "RPE1")
)


def test_each_perturbation_is_asked_in_each_cell_type_or_in_one() -> None:
    asked = asked_conditions(["KLF1", "JUN+FOXA1"], VOCABULARY)
    assert [(c.label, c.genes, c.cell_type) for c in asked.conditions] == [
        ("KLF1+ctrl", ("KLF1",), "K562"),
        ("KLF1+ctrl", ("KLF1",), "RPE1"),
        ("JUN+FOXA1", ("FOXA1", "JUN"), "K562"),
        ("JUN+FOXA1", ("FOXA1", "JUN"), "RPE1"),
    ]
    assert asked.notes == ()
    assert len(asked_conditions(["KLF1"], VOCABULARY, "RPE1").conditions) == 1


@pytest.mark.parametrize(
    ("written", "gene"),
    [("klf1", "KLF1"), ("ENSG00000105610", "KLF1"), ("MARCHF1", "MARCH1"), ("foxa1", "FOXA1")],
)
def test_a_gene_takes_the_spelling_of_the_data_set_and_a_note_says_so(
    written: str, gene: str
) -> None:
    asked = asked_conditions([written], VOCABULARY, "K562")
    assert [condition.genes for condition in asked.conditions] == [(gene,)]
    assert asked.notes == (f"{written} is read as {gene}",)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("KLF1,JUN", r"it looks like KLF1\+JUN; .* --allow-unknown"),
        ("KLF1_JUN", r"it looks like KLF1\+JUN"),
        ("sgKLF1-2", "it looks like a guide of KLF1"),
        ("NOTAGENE", "no gene 'NOTAGENE' is known .* --allow-unknown"),
        ("NT-3", "is control"),
        ("ctrl", "is control"),
        ("nan", "names no gene"),
        ("KLF1+unassigned", "names no gene"),
        ("KLF1+", "has an empty gene"),
    ],
)
def test_what_names_no_gene_is_refused(label: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        asked_conditions([label], VOCABULARY)


def test_an_unknown_gene_beside_known_ones_is_named_in_a_note() -> None:
    asked = asked_conditions(["FOXA1", "NOTAGENE"], VOCABULARY, "K562")
    assert len(asked.conditions) == 2
    assert asked.notes == (
        "NOTAGENE is known to neither the data set, the gene tables nor the model: it counts as an "
        "average gene",
    )
    with pytest.raises(DataError, match=r"looks like KLF1\+JUN"):
        asked_conditions(["FOXA1", "KLF1,JUN"], VOCABULARY)


def test_unknown_genes_pass_where_they_are_allowed_or_the_embedding_has_them() -> None:
    allowed = replace(VOCABULARY, allow_unknown=True)
    for label in ("NOTAGENE", "KLF1,JUN"):
        asked = asked_conditions([label], allowed, "K562")
        assert asked.conditions[0].genes == (label,)
        assert label in asked.notes[0]
    embedded = replace(VOCABULARY, known=lambda genes: genes)
    assert asked_conditions(["NOTAGENE"], embedded, "K562").notes == ()
