from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from dygenept.errors import DataError, DataUnavailableError
from dygenept.knowledge.genes.corpus import (
    CorpusColumns,
    CorpusOptions,
    corpus_from_file,
    corpus_from_tables,
    described,
    read_corpus,
    read_gene_list,
    write_corpus,
)
from dygenept.plugin.interfaces import CorpusEntry, PartnerText

TABLE = (
    "Symbol\tdescription\tsummary\tGO\tpathways\n"
    'KLF1\tKruppel factor\tSays "hello. It binds DNA.\t'
    "erythrocyte differentiation; GO:0003677\tHeme\n"
    "MAP3K21\tA kinase\t\t\t\n"
    "MYGENE1\tMy own gene\tIt does things.\t\t\n"
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "genes.tsv"
    path.write_text(TABLE)
    return path


def test_shipped_tables_give_name_and_terms_and_nothing_for_an_unknown_gene() -> None:
    klf1, unknown = corpus_from_tables(("ENSG00000105610", "NO_SUCH_GENE"))
    assert (klf1.gene, klf1.symbol) == ("ENSG00000105610", "KLF1")
    assert klf1.description == "KLF transcription factor 1"
    assert "erythrocyte differentiation" in klf1.go
    assert unknown == CorpusEntry("NO_SUCH_GENE")
    assert unknown.is_empty


def test_users_table_is_read_by_column_names_of_any_case(table: Path) -> None:
    klf1, kinase, own = corpus_from_file(table, None)
    assert klf1.summary == 'Says "hello. It binds DNA.'
    assert klf1.go == ("erythrocyte differentiation", "GO:0003677")
    assert klf1.pathways == ("Heme",)
    assert (kinase.symbol, own.symbol) == ("MAP3K21", None)
    assert {entry.source for entry in (klf1, kinase, own)} == {"genes.tsv"}


def test_gene_of_a_users_table_is_found_under_an_outdated_symbol(table: Path) -> None:
    (kinase,) = corpus_from_file(table, ("KIAA1804",))
    assert (kinase.gene, kinase.symbol, kinase.description) == ("KIAA1804", "MAP3K21", "A kinase")


@pytest.mark.parametrize(("fill", "source"), [(True, "gene tables"), (False, "")])
def test_gene_that_a_users_table_lacks_is_filled_from_the_shipped_ones_if_wanted(
    table: Path, fill: bool, source: str
) -> None:
    (entry,) = corpus_from_file(table, ("TP53",), CorpusOptions(fill=fill))
    assert entry.source == source
    assert entry.is_empty is not fill


def test_columns_can_be_named_and_the_file_gzipped_csv(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv.gz"
    path.write_bytes(gzip.compress(b'gene,text\nKLF1,"binds, activates"\n'))
    options = CorpusOptions(columns=CorpusColumns(symbol="gene", summary="text"))
    (entry,) = corpus_from_file(path, None, options)
    assert entry.summary == "binds, activates"


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("gene\tsummary\nKLF1\tx\n", {}, "no column 'symbol'.*corpus.columns.symbol"),
        ("symbol\tsumary\nKLF1\tx\n", {"summary": "sumry"}, "did you mean 'sumary'"),
        ("symbol\nKLF1\nKLF1\n", {}, "line 3 describes 'KLF1' a second time"),
        ("symbol\tsummary\n", {}, "describes no gene"),
        ("", {}, "describes no gene"),
    ],
)
def test_wrong_table_is_refused_with_what_mends_it(
    tmp_path: Path, content: str, columns: dict[str, str], message: str
) -> None:
    path = tmp_path / "genes.tsv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        corpus_from_file(path, None, CorpusOptions(columns=CorpusColumns(**columns)))


def test_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "genes.tsv"
    path.write_bytes(b"symbol\tsummary\nKLF1\t\xff\xfe\n")
    with pytest.raises(DataError, match="cannot be read as a table of genes"):
        corpus_from_file(path, None)


def test_corpus_comes_back_from_its_file_as_it_was(tmp_path: Path, table: Path) -> None:
    corpus = (
        *corpus_from_file(table, None),
        CorpusEntry("A", partners=(PartnerText("B", "text", 0.5, "go"),)),
    )
    write_corpus(corpus, tmp_path / "corpus.jsonl")
    assert read_corpus(tmp_path / "corpus.jsonl") == corpus


@pytest.mark.parametrize("line", ["not json", "[]", '{"gene": "A", "go": 3}', '{"go": []}'])
def test_damaged_corpus_names_the_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(f'{{"gene": "A"}}\n{line}\n')
    with pytest.raises(DataError, match="line 2"):
        read_corpus(path)


def test_list_of_genes_may_have_comments_columns_and_a_header(tmp_path: Path) -> None:
    path = tmp_path / "genes.txt"
    path.write_text("# mine\nsymbol\tx\nKLF1\t3\n\nTP53 # guardian\nKLF1\n")
    assert read_gene_list(path) == ("KLF1", "TP53")
    path.write_text("# nothing\n")
    with pytest.raises(DataError, match="names no gene"):
        read_gene_list(path)
    with pytest.raises(DataUnavailableError):
        read_gene_list(tmp_path / "none.txt")


def test_gene_is_described_by_its_name_and_first_sentence_or_terms() -> None:
    entry = CorpusEntry("A", description="Alpha", summary="It binds. It does more.")
    assert described(entry) == "Alpha. It binds"
    assert described(CorpusEntry("A", description="Alpha", go=("x", "y", "z", "w"))) == (
        "Alpha. x; y; z"
    )
    assert described(CorpusEntry("A")) == ""
