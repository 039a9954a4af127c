from __future__ import annotations

import time

import pytest

from dygenept.knowledge.genes.corpus import corpus_from_tables
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.plugin.interfaces import CorpusEntry, FacetWriter
from dygenept.types import FACETS, Progress, Runtime
from dygenept_plugins.facet_writers.go import GoConfig, GoFacetWriter

TRANSCRIPTION = FACETS.index("Transcriptional Regulation")
CYCLE = FACETS.index("Cell Cycle & Proliferation")
DEATH = FACETS.index("Cell Death & Survival")


@pytest.fixture(scope="module")
def writer() -> FacetWriter:
    return GoFacetWriter(GoConfig())


def _text(writer: FacetWriter, gene: str, facet: int) -> str:
    text = writer.write([gene], Runtime())[0].texts[facet]
    assert text is not None
    return text


def test_text_begins_with_the_genes_name_and_names_its_terms(writer: FacetWriter) -> None:
    text = _text(writer, "KLF1", TRANSCRIPTION)
    assert text.startswith("KLF transcription factor 1. ")
    assert "DNA-binding transcription factor activity" in text


def test_facet_without_annotation_is_none(writer: FacetWriter) -> None:
    assert writer.write(["KLF1"], Runtime())[0].texts[DEATH] is None


def test_blood_formation_stands_beside_proliferation_and_red_cells_are_no_immune_response(
    writer: FacetWriter,
) -> None:
    immune = FACETS.index("Immune Response")
    klf1, gata1 = (item.texts for item in writer.write(["KLF1", "GATA1"], Runtime()))
    assert "erythrocyte differentiation" in str(klf1[CYCLE])
    assert klf1[immune] is None
    assert "erythrocyte" not in str(gata1[immune])
    assert "dendritic cell differentiation" in str(gata1[immune])


def test_a_process_and_its_regulation_are_named_once(writer: FacetWriter) -> None:
    # GATA1 has "osteoblast proliferation" and its positive regulation, with equal evidence.
    text = _text(writer, "GATA1", CYCLE)
    assert text.count("osteoblast proliferation") == 1
    assert "positive regulation of osteoblast proliferation" in text
    for gene in ("GATA1", "TP53", "MAPK1", "CDKN1A"):
        for facet in writer.write([gene], Runtime())[0].texts:
            names = [] if facet is None else facet.rstrip(".").split(". ", 1)[1].split("; ")
            cores = [name.split("regulation of ", 1)[-1] for name in names]
            assert len(set(cores)) == len(cores)


def test_room_that_duplicates_took_goes_to_further_terms() -> None:
    few = GoFacetWriter(GoConfig(max_terms=4, include_name=False))
    assert _text(few, "GATA1", DEATH).count("myeloid cell apoptotic process") == 1


def test_confidence_grows_with_evidence_and_information() -> None:
    tables = load_gene_tables()
    (gene,) = GoFacetWriter(GoConfig(confidence="evidence")).write(["KLF1"], Runtime())
    assert gene.confidence is not None
    (term,) = [
        go_id
        for go_id in tables.terms_of("KLF1")
        if tables.term(go_id).name == "erythrocyte differentiation"
    ]
    weight = (0.5, 0.8, 1.0)[tables.evidence_of("KLF1")[term]]
    # One term alone: its evidence times its information content.
    expected = weight * tables.information_content(term)
    assert gene.confidence[CYCLE] == pytest.approx(expected, abs=1e-4)
    assert gene.confidence[TRANSCRIPTION] > gene.confidence[FACETS.index("Signal Transduction")]
    assert gene.confidences[DEATH] == 0.0
    (full,) = GoFacetWriter(GoConfig()).write(["KLF1"], Runtime())
    assert full.confidences == tuple(float(text is not None) for text in full.texts)


def test_information_content_is_one_for_a_gene_alone_and_smaller_for_common_terms() -> None:
    tables = load_gene_tables()
    lone = next(t for t in tables.terms_of("TP53") if tables.n_genes_of_term(t) == 1)
    assert tables.information_content(lone) == pytest.approx(1.0)
    assert 0 < tables.information_content("GO:0006915") < 0.5


def test_unknown_gene_has_no_facet(writer: FacetWriter) -> None:
    (written,) = writer.write(["NO_SUCH_GENE"], Runtime())
    assert (written.gene, written.texts) == ("NO_SUCH_GENE", (None,) * 8)


@pytest.mark.parametrize(
    ("asked", "current"), [("KIAA1804", "MAP3K21"), ("ENSG00000105610.4", "KLF1")]
)
def test_outdated_symbol_gets_the_current_genes_texts(
    writer: FacetWriter, asked: str, current: str
) -> None:
    first, second = writer.write([asked, current], Runtime())
    assert first.gene == asked
    assert first.texts == second.texts
    assert any(first.texts)


def test_term_above_another_of_the_genes_terms_is_left_out(writer: FacetWriter) -> None:
    # BAK1 carries both "apoptotic process" and terms below it.
    names = _text(writer, "BAK1", DEATH).rstrip(".").split(". ", 1)[1].split("; ")
    assert "apoptotic process" not in names
    assert "fibroblast apoptotic process" in names


def test_terms_stand_most_specific_first(writer: FacetWriter) -> None:
    tables = load_gene_tables()
    ids = {tables.term(go_id).name: go_id for go_id in tables.terms_of("TP53")}
    names = _text(writer, "TP53", DEATH).rstrip(".").split(". ", 1)[1].split("; ")
    counts = [tables.n_genes_of_term(ids[name]) for name in names]
    assert counts == sorted(counts)


def test_number_of_terms_is_bounded() -> None:
    text = _text(GoFacetWriter(GoConfig(max_terms=3)), "TP53", DEATH)
    assert text.count(";") == 2


def test_number_of_words_is_bounded() -> None:
    few = GoFacetWriter(GoConfig(max_words=30, include_definitions=True))
    for item in few.write(["TP53", "BAK1", "MAPK1"], Runtime()):
        assert all(len(text.split()) <= 30 for text in item.texts if text)


def test_most_specific_term_is_named_even_if_it_exceeds_the_words() -> None:
    text = _text(GoFacetWriter(GoConfig(max_words=1)), "BAK1", DEATH)
    assert text == "BCL2 antagonist/killer 1. BAK complex."


def test_definitions_follow_where_asked_for() -> None:
    plain = _text(GoFacetWriter(GoConfig()), "KLF1", CYCLE)
    defined = _text(GoFacetWriter(GoConfig(include_definitions=True)), "KLF1", CYCLE)
    assert defined.startswith(plain.rstrip("."))
    assert "myeloid precursor cell" in defined


def test_facet_is_said_and_name_left_out_where_asked_for() -> None:
    text = _text(
        GoFacetWriter(GoConfig(include_name=False, include_facet=True)), "KLF1", TRANSCRIPTION
    )
    assert text.startswith("Transcriptional Regulation. ")
    assert "KLF transcription factor 1" not in text


def test_stricter_evidence_writes_fewer_facets() -> None:
    # All that puts "cellular response to peptide" on KLF1 is electronic.
    signal = FACETS.index("Signal Transduction")
    strict = GoFacetWriter(GoConfig(evidence="reviewed")).write(["KLF1"], Runtime())[0].texts
    assert strict[signal] is None
    assert strict[TRANSCRIPTION] is not None


def test_identity_follows_the_settings() -> None:
    assert GoFacetWriter(GoConfig()).identity == GoFacetWriter(GoConfig()).identity
    assert GoFacetWriter(GoConfig()).identity != GoFacetWriter(GoConfig(max_terms=3)).identity


@pytest.mark.slow
def test_all_protein_coding_genes_take_as_long_each_as_a_few_do(writer: FacetWriter) -> None:
    genes = load_gene_tables().protein_coding
    seen: list[Progress] = []
    some = genes[:: len(genes) // 500]
    writer.write(some, Runtime())
    start = time.process_time()
    writer.write(some, Runtime())
    of_some = (time.process_time() - start) / len(some)
    start = time.process_time()
    written = writer.write(genes, Runtime(report=seen.append))
    assert (time.process_time() - start) / len(genes) < 3 * of_some
    assert len(written) == len(genes)
    assert seen[-1] == Progress("write", len(genes), len(genes))
    assert sum(any(item.texts) for item in written) > 0.8 * len(genes)
    lengths = [len(text.split()) for item in written for text in item.texts if text]
    assert max(lengths) <= 120


def test_users_own_terms_are_sorted_into_facets_by_id_and_by_name() -> None:
    entry = CorpusEntry(
        "MINE",
        description="My gene.",
        go=("GO:0006915 apoptotic process", "Cell Division", "no such term"),
        source="mine.tsv",
    )
    (written,) = GoFacetWriter(GoConfig()).write_from((entry,), Runtime())
    texts = dict(zip(FACETS, written.texts, strict=True))
    assert texts["Cell Death & Survival"] == "My gene. apoptotic process."
    assert texts["Cell Cycle & Proliferation"] == "My gene. cell division."
    assert texts["Immune Response"] is None


def test_entries_without_known_terms_are_written_from_the_shipped_tables() -> None:
    entries = (
        CorpusEntry("KLF1", symbol="KLF1", go=("no such term",), source="mine.tsv"),
        *corpus_from_tables(("KLF1", "NO_SUCH_GENE")),
    )
    writer = GoFacetWriter(GoConfig())
    first, second, unknown = writer.write_from(entries, Runtime())
    (expected,) = writer.write(("KLF1",), Runtime())
    assert first == second == expected
    assert not any(unknown.texts)
