from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from go_roots import FACET_ROOTS, UNINFORMATIVE_TERMS

from dygenept.errors import DataError
from dygenept.knowledge.genes.matching import symbols_of_entrez
from dygenept.knowledge.genes.tables import GeneTables, load_gene_tables
from dygenept.types import FACETS

ROOT = Path(__file__).resolve().parents[3]
CYTOKINE_PRODUCTION = "GO:0001816"


@pytest.fixture(scope="module")
def tables() -> GeneTables:
    return load_gene_tables()


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "build_gene_tables", ROOT / "scripts" / "build_gene_tables.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _terms_in(tables: GeneTables, gene: str, facet: str) -> list[str]:
    return [tables.term(go_id).name for go_id in tables.facet_terms(gene)[FACETS.index(facet)]]


def test_current_symbol_resolves_to_itself(tables: GeneTables) -> None:
    assert tables.resolve("KLF1") == "KLF1"


@pytest.mark.parametrize(
    ("outdated", "current"),
    [
        ("KIAA1804", "MAP3K21"),
        ("C19orf26", "CBARP"),
        ("C3orf72", "FOXL2NB"),
        ("ELMSAN1", "MIDEAS"),
        ("RHOXF2BB", "RHOXF2B"),
        ("MARS", "MARS1"),
        ("SARS", "SARS1"),
        ("AARS", "AARS1"),
        ("EKLF", "KLF1"),
    ],
)
def test_outdated_symbol_resolves_to_the_current_one(
    tables: GeneTables, outdated: str, current: str
) -> None:
    assert tables.resolve(outdated) == current


@pytest.mark.parametrize("name", ["ENSG00000105610", "ENSG00000105610.4"])
def test_ensembl_id_resolves_with_and_without_version(tables: GeneTables, name: str) -> None:
    assert tables.resolve(name) == "KLF1"
    assert tables.ensembl("KLF1") == ("ENSG00000105610",)


def test_current_symbol_wins_over_another_genes_alias(tables: GeneTables) -> None:
    import polars as pl

    genes = pl.read_parquet(ROOT / "dygenept" / "resources" / "genes" / "genes.parquet")
    aliases = set(genes["aliases"].explode().drop_nulls())
    shared = sorted(aliases & set(tables.symbols))
    assert len(shared) > 1000
    assert [tables.resolve(name) for name in shared] == shared


@pytest.mark.parametrize("name", ["NO_SUCH_GENE", "", "ENSG99999999999"])
def test_unknown_name_resolves_to_none(tables: GeneTables, name: str) -> None:
    assert tables.resolve(name) is None


def test_name_of_two_genes_resolves_to_none(tables: GeneTables) -> None:
    # BCRP1 is an alias of both ABCG2 and BANF1.
    assert tables.resolve("BCRP1") is None


@pytest.mark.parametrize(
    ("gene", "facet", "term"),
    [
        (
            "KLF1",
            "Transcriptional Regulation",
            "DNA-binding transcription factor activity, RNA polymerase II-specific",
        ),
        ("MAPK1", "Signal Transduction", "MAP kinase activity"),
        ("TP53", "Cell Death & Survival", "positive regulation of thymocyte apoptotic process"),
        (
            "CDK1",
            "Cell Cycle & Proliferation",
            "positive regulation of G2/M transition of mitotic cell cycle",
        ),
        ("BAK1", "Cell Death & Survival", "Bcl-2 family protein complex"),
        ("SLC2A1", "Transport & Localization", "glucose import across plasma membrane"),
        ("CXCL8", "Immune Response", "neutrophil activation"),
        ("ITGB1", "Cell Motility & Adhesion", "cell-cell adhesion mediated by integrin"),
        ("HMGCR", "Metabolic Processes", "cholesterol biosynthetic process"),
    ],
)
def test_well_known_gene_has_its_term_in_its_facet(
    tables: GeneTables, gene: str, facet: str, term: str
) -> None:
    assert term in _terms_in(tables, gene, facet)


@pytest.mark.parametrize(
    ("gene", "facet"),
    [
        ("KLF1", "Transcriptional Regulation"),
        ("MAPK1", "Signal Transduction"),
        ("TP53", "Cell Death & Survival"),
        ("BAK1", "Cell Death & Survival"),
        ("SLC2A1", "Transport & Localization"),
        ("CXCL8", "Immune Response"),
        ("ITGB1", "Cell Motility & Adhesion"),
        ("CDK1", "Cell Cycle & Proliferation"),
    ],
)
def test_best_known_facet_of_a_gene_is_its_largest(
    tables: GeneTables, gene: str, facet: str
) -> None:
    sizes = [len(terms) for terms in tables.facet_terms(gene)]
    assert sizes[FACETS.index(facet)] == max(sizes)


def test_regulating_transcription_is_not_metabolic(tables: GeneTables) -> None:
    assert _terms_in(tables, "KLF1", "Metabolic Processes") == []


def test_terms_stand_most_specific_first(tables: GeneTables) -> None:
    for terms in tables.facet_terms("TP53"):
        counts = [tables.n_genes_of_term(go_id) for go_id in terms]
        assert counts == sorted(counts)


def test_ancestor_annotates_at_least_as_many_genes(tables: GeneTables) -> None:
    for go_id in tables.terms_of("TP53"):
        count = tables.n_genes_of_term(go_id)
        assert all(tables.n_genes_of_term(above) >= count for above in tables.ancestors(go_id))


def test_facet_is_inherited_by_all_descendants(tables: GeneTables) -> None:
    immune = FACETS.index("Immune Response")
    for gene in ("CXCL8", "BAK1", "TP53"):
        for go_id in tables.terms_of(gene):
            if CYTOKINE_PRODUCTION in tables.ancestors(go_id):
                assert immune in tables.facets_of_term(go_id)


def test_regulators_belong_to_a_regulated_facet(tables: GeneTables) -> None:
    # GO:0043065: positive regulation of apoptotic process.
    assert FACETS.index("Cell Death & Survival") in tables.facets_of_term("GO:0043065")


def test_uninformative_terms_annotate_no_gene(tables: GeneTables) -> None:
    for gene in ("TP53", "BAK1", "A1BG"):
        assert not set(tables.terms_of(gene)) & set(UNINFORMATIVE_TERMS)


def test_stricter_evidence_keeps_fewer_terms(tables: GeneTables) -> None:
    everything = set(tables.terms_of("BAK1"))
    reviewed = set(tables.terms_of("BAK1", evidence="reviewed"))
    experimental = set(tables.terms_of("BAK1", evidence="experimental"))
    assert experimental < reviewed < everything


def test_term_has_name_definition_and_aspect(tables: GeneTables) -> None:
    term = tables.term("GO:0030218")
    assert (term.name, term.aspect) == ("erythrocyte differentiation", "BP")
    assert "erythrocyte" in term.definition


def test_outdated_symbol_in_a_lookup_names_the_current_one(tables: GeneTables) -> None:
    with pytest.raises(DataError, match="MAP3K21"):
        tables.name("KIAA1804")


def test_unknown_term_is_an_error(tables: GeneTables) -> None:
    with pytest.raises(DataError, match="GO:9999999"):
        tables.term("GO:9999999")


def test_most_protein_coding_genes_have_a_facet(tables: GeneTables) -> None:
    n_facets = [sum(map(bool, tables.facet_terms(gene))) for gene in tables.protein_coding]
    assert 19_000 < len(n_facets) < 21_000
    assert sum(n > 0 for n in n_facets) / len(n_facets) > 0.8
    assert all(
        any(tables.facet_terms(gene)[bit] for gene in tables.protein_coding[:200])
        for bit in range(len(FACETS))
    )


def test_numbers_of_ncbi_gene_name_current_symbols(tables: GeneTables) -> None:
    symbols = symbols_of_entrez()
    assert (symbols[1], symbols[7157], symbols[10661], symbols[84451]) == (
        "A1BG",
        "TP53",
        "KLF1",
        "MAP3K21",
    )
    assert len(symbols) == len(tables.symbols)
    assert set(symbols.values()) == set(tables.symbols)


def test_every_facet_has_roots() -> None:
    assert tuple(FACET_ROOTS) == FACETS


def test_shipped_tables_take_at_most_six_megabytes() -> None:
    files = list((ROOT / "dygenept" / "resources" / "genes").glob("*.parquet"))
    assert len(files) == 4
    assert sum(file.stat().st_size for file in files) <= 6_000_000


def test_importing_the_tables_loads_no_data_frame_library() -> None:
    code = (
        "import sys, dygenept.knowledge.genes.tables, dygenept.knowledge.catalog;"
        "print([m for m in ('polars', 'torch', 'pandas', 'sklearn', 'safetensors') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.shared_data
@pytest.mark.slow
def test_shipped_tables_are_what_the_script_builds(shared_data: Path, builder: ModuleType) -> None:
    import polars as pl
    from polars.testing import assert_frame_equal

    folder = ROOT / "dygenept" / "resources" / "genes"
    for name, frame in builder.build(shared_data / "genes").items():
        assert_frame_equal(frame, pl.read_parquet(folder / f"{name}.parquet"))


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("file", "column", "known"),
    [
        ("norman_gears_condition_cell_counts.tsv", "condition", 105),
        ("adamson_functional_classes.tsv", "target", 81),
        ("replogle_k562_functional_classes_go_improved.tsv", "target", 1091),
    ],
)
def test_targets_of_published_screens_resolve(
    shared_data: Path, tables: GeneTables, file: str, column: str, known: int
) -> None:
    import polars as pl

    labels = pl.read_csv(shared_data / "gears" / file, separator="\t")[column]
    targets = {gene for label in labels for gene in label.split("+")} - {"ctrl"}
    assert len([gene for gene in targets if tables.resolve(gene)]) == known
