"""The plugins ``go``, ``reactome`` and ``gmt`` join genes that share sets."""

from __future__ import annotations

import gzip
import json
from itertools import combinations
from pathlib import Path

import pytest

from dygenept.errors import ConfigError, DataError, DataUnavailableError
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.plugin.interfaces import KnowledgeGraph
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import KgSourceSpec
from dygenept.plugin.yaml_files import validated
from dygenept.testing import check_kg_source
from dygenept.types import Runtime

GENES = ("TP53", "MDM2", "CDKN1A", "MAP3K21", "KLF1", "GATA1", "HBB")
REACTOME_GMT = (
    "Stabilization of p53\tR-HSA-69541\tTP53\tMDM2\tRPS27A\n"
    "TP53 Regulates Transcription\tR-HSA-6791312\tTP53\tCDKN1A\tTP53\n"
    "Lonely\tR-HSA-1\tHBB\n"
    "MAPK cascade\tR-HSA-2\tKIAA1804\tMAP3K21\tgag\n"
)
NCBI2REACTOME = "".join(
    f"{gene}\t{pathway}\thttps://reactome.org/PathwayBrowser/#/{pathway}\tA name\tTAS\t{species}\n"
    for gene, pathway, species in (
        (7157, "R-HSA-69541", "Homo sapiens"),
        (4193, "R-HSA-69541", "Homo sapiens"),
        (999999999, "R-HSA-69541", "Homo sapiens"),
        (22059, "R-MMU-69541", "Mus musculus"),
        (17246, "R-MMU-69541", "Mus musculus"),
    )
)
# Gene, relation, term, evidence, aspect.
ANNOTATION = (
    ("TP53", "involved_in", "GO:0000011", "IDA", "P"),
    ("MDM2", "involved_in", "GO:0000011", "IEA", "P"),
    ("TP53", "enables", "GO:0000012", "IPI", "F"),
    ("MDM2", "enables", "GO:0000012", "IDA", "F"),
    ("CDKN1A", "NOT|involved_in", "GO:0000011", "IDA", "P"),
    ("CDKN1A", "enables", "GO:0000012", "IDA", "F"),
    # The id 9 was merged into 12, and 13 is obsolete.
    ("HBB", "enables", "GO:0000009", "IDA", "F"),
    ("HBB", "involved_in", "GO:0000011", "ND", "P"),
    ("KLF1", "located_in", "GO:0000013", "IDA", "C"),
    ("GATA1", "located_in", "GO:0000013", "IDA", "C"),
    ("KLF1", "involved_in", "GO:0000014", "IDA", "P"),
    ("GATA1", "involved_in", "GO:0000015", "IDA", "P"),
)
GAF = "!gaf-version: 2.2\n!\n!generated-by: GOC\n" + "".join(
    f"UniProtKB\tP0000{n}\t{gene}\t{relation}\t{term}\tPMID:1\t{evidence}\t\t{aspect}\tA name\t"
    f"A|B\tprotein\ttaxon:9606\t20200101\tUniProt\t\t\n"
    for n, (gene, relation, term, evidence, aspect) in enumerate(ANNOTATION)
)
OBO = """format-version: 1.2
data-version: releases/2024-01-17
ontology: go

[Term]
id: GO:0000010
name: top
namespace: biological_process
def: "Anything [sic] at all." [GOC:x]

[Term]
id: GO:0000011
name: eleven
namespace: biological_process
is_a: GO:0000010 ! top

[Term]
id: GO:0000012
name: twelve
namespace: molecular_function
alt_id: GO:0000009

[Term]
id: GO:0000013
name: obsolete thirteen
namespace: cellular_component
is_obsolete: true

[Term]
id: GO:0000014
name: fourteen
namespace: biological_process
is_a: GO:0000016 ! sixteen

[Term]
id: GO:0000015
name: fifteen
namespace: biological_process
relationship: part_of GO:0000016 ! sixteen
relationship: regulates GO:0000011 ! eleven

[Term]
id: GO:0000016
name: sixteen
namespace: biological_process
is_a: GO:0000010 ! top

[Typedef]
id: part_of
name: part of
is_transitive: true
"""


def spec_of(name: str) -> KgSourceSpec:
    modules = [module for module in load_registry().plugins if ".kg_sources." in module]
    manager = PluginManager.load(modules, entry_points=False)
    return manager.get(KgSourceSpec, name)


def opened(name: str, path: Path, **options: object) -> KnowledgeGraph:
    spec = spec_of(name)
    config = spec.config.model_validate({"path": str(path), **options})
    return spec.factory(config).graph(GENES, Runtime())


def edges(graph: KnowledgeGraph) -> dict[str, float]:
    entries = graph.weights.tocoo()
    return {
        "-".join(sorted((graph.genes[row], graph.genes[column]))): round(float(weight), 4)
        for row, column, weight in zip(entries.row, entries.col, entries.data, strict=True)
    }


@pytest.fixture
def go(tmp_path: Path) -> Path:
    (tmp_path / "goa_human.gaf.gz").write_bytes(gzip.compress(GAF.encode()))
    (tmp_path / "go-basic.obo").write_text(OBO)
    return tmp_path


def test_genes_of_a_reactome_pathway_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "ReactomePathways.gmt"
    path.write_text(REACTOME_GMT)
    graph = opened("reactome", path)
    assert edges(graph) == {"MDM2-TP53": 0.5, "CDKN1A-TP53": 0.5}
    report = graph.report
    assert report is not None
    assert (report.layout, report.n_records) == ("gmt", 10)
    # KIAA1804 is MAP3K21, which thus stands in its pathway once, beside gag.
    assert report.dropped == {
        "repeated": 2,
        "in sets of fewer than 2 or more than 100 genes": 1,
    }
    assert (report.n_renamed, report.n_unknown) == (1, 1)


def test_ncbi_numbers_of_reactome_are_human_genes(tmp_path: Path) -> None:
    path = tmp_path / "NCBI2Reactome.txt"
    path.write_text(NCBI2REACTOME)
    graph = opened("reactome", path)
    assert edges(graph) == {"MDM2-TP53": 0.5}
    assert graph.report is not None
    assert graph.report.dropped == {
        "of another species": 2,
        "with a protein or gene id that has no name": 1,
    }
    # In the folder that a fetch leaves, the sets come first.
    (tmp_path / "ReactomePathways.gmt").write_text(REACTOME_GMT)
    both = opened("reactome", tmp_path).report
    assert both is not None
    assert both.layout == "gmt"


def test_the_json_layout_of_reactome_holds_pathways_and_locations(tmp_path: Path) -> None:
    document = [
        {"TP53": [["R-HSA-1", "nucleoplasm"], ["R-HSA-1", "cytosol"]], "MDM2": [["R-HSA-1", "x"]]},
        {"R-HSA-1": [["TP53", "nucleoplasm"], ["MDM2", "x"]]},
    ]
    path = tmp_path / "reactome.json"
    path.write_text(json.dumps(document))
    graph = opened("reactome", path, weight=0.4)
    assert edges(graph) == {"MDM2-TP53": 0.4}
    path.write_text("[]")
    with pytest.raises(DataError, match="expected a list"):
        opened("reactome", path)


def test_two_genes_need_two_common_terms_of_go(go: Path) -> None:
    graph = opened("go", go)
    assert edges(graph) == {"MDM2-TP53": 0.3}
    report = graph.report
    assert report is not None
    assert (report.layout, report.n_records) == ("gaf", len(ANNOTATION))
    assert report.dropped == {
        "denied by the annotation": 1,
        "of other evidence or aspect": 1,
        "of obsolete terms": 2,
        "in sets of fewer than 2 or more than 200 genes": 2,
    }


def test_one_common_term_suffices_where_it_is_asked_for(go: Path) -> None:
    quartet = ["CDKN1A", "HBB", "MDM2", "TP53"]
    expected = {"-".join(pair) for pair in combinations(quartet, 2)}
    assert edges(opened("go", go, min_shared=1)).keys() == expected
    assert edges(opened("go", go, min_shared=1, max_size=3)).keys() == {"MDM2-TP53"}
    assert edges(opened("go", go, min_shared=1, aspects=["BP"])).keys() == {"MDM2-TP53"}


def test_evidence_of_go_can_be_asked_for(go: Path) -> None:
    assert edges(opened("go", go, evidence="reviewed")) == {}
    one = edges(opened("go", go, evidence="experimental", min_shared=1, aspects=["BP"]))
    assert one == {}
    assert "CDKN1A-TP53" in edges(opened("go", go, evidence="experimental", min_shared=1))


def test_terms_above_count_where_they_are_asked_for(go: Path) -> None:
    shared = opened("go", go, propagate=True, min_shared=2)
    # KLF1 and GATA1 meet in 16 (by is_a and part_of) and in 10; regulates leads nowhere.
    assert "GATA1-KLF1" in edges(shared)
    assert "GATA1-TP53" not in edges(shared)
    (go / "go-basic.obo").unlink()
    with pytest.raises(DataUnavailableError, match=r"go-basic\.obo"):
        opened("go", go, propagate=True)
    # Without the ontology merged and obsolete terms stand for themselves.
    assert "GATA1-KLF1" in edges(opened("go", go, min_shared=1))


def test_the_json_layout_and_gmt_of_go_are_read(tmp_path: Path) -> None:
    relations = {gene: [] for gene, *_ in ANNOTATION}
    for gene, relation, term, *_ in ANNOTATION:
        relations[gene].append([term, relation])
    path = tmp_path / "go.json"
    path.write_text(json.dumps([relations, {}, {}]))
    graph = opened("go", path)
    # No ontology is beside it, and the layout does not tell evidence.
    assert edges(graph) == {"MDM2-TP53": 0.3}
    assert graph.report is not None
    assert graph.report.dropped["denied by the annotation"] == 1
    gmt = tmp_path / "go.gmt"
    gmt.write_text("GO:1\tone\tTP53\tMDM2\nGO:2\ttwo\tTP53\tMDM2\tKLF1\n")
    assert edges(opened("go", gmt)) == {"MDM2-TP53": 0.3}


def test_go_works_offline_from_the_tables_that_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYGENEPT_DATA", str(tmp_path))
    spec, tables = spec_of("go"), load_gene_tables()
    genes = ("TP53", "MDM2", "CDKN1A", "KLF1", "GATA1", "HBB", "HBA1")
    graph = spec.factory(spec.config()).graph(genes, Runtime())
    assert graph.report is not None
    assert graph.report.layout == "gene_tables"
    counts: dict[str, int] = {}
    for symbol in tables.symbols:
        for term in tables.terms_of(symbol):
            counts[term] = counts.get(term, 0) + 1
    expected = set()
    for first, second in combinations(genes, 2):
        common = set(tables.terms_of(first)) & set(tables.terms_of(second))
        if sum(2 <= counts[term] <= 200 for term in common) >= 2:
            expected.add("-".join(sorted((first, second))))
    assert expected
    assert edges(graph).keys() == expected
    narrow = {"aspects": ["CC"], "evidence": "experimental"}

    def of_parts(**options: object) -> KnowledgeGraph:
        return spec.factory(spec.config.model_validate({**narrow, **options})).graph(
            genes, Runtime()
        )

    direct, above = of_parts(), of_parts(propagate=True)
    assert edges(direct).keys() < expected
    assert direct.report is not None
    assert above.report is not None
    assert direct.report.dropped["of other evidence or aspect"] > 0
    assert above.report.n_edges > direct.report.n_edges
    assert above.report.n_records == direct.report.n_records
    # A path that is given must be there.
    with pytest.raises(DataUnavailableError):
        opened("go", tmp_path / "absent.gaf")


def test_any_gmt_joins_genes_of_its_sets(tmp_path: Path) -> None:
    path = tmp_path / "mine.gmt.gz"
    text = "one\tfirst\tTP53,1.0\tMDM2,0.5\tCDKN1A\none\tfirst\tKLF1\ntwo\tsecond\tTP53\tMDM2\n"
    path.write_bytes(gzip.compress(text.encode()))
    # Rows of one name are one set, so KLF1 is with the first three.
    assert edges(opened("gmt", path)).keys() == {
        "-".join(pair) for pair in combinations(["CDKN1A", "KLF1", "MDM2", "TP53"], 2)
    }
    assert edges(opened("gmt", path, min_shared=2)).keys() == {"MDM2-TP53"}
    assert edges(opened("gmt", path, max_size=2, weight=0.7)) == {"MDM2-TP53": 0.7}


def test_sizes_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="min_size 9 is above max_size 3"):
        validated(spec_of("gmt").config, {"min_size": 9, "max_size": 3}, "kg.gmt")


def test_a_real_file_of_pathways_is_read(shared_data: Path) -> None:
    graph = opened("reactome", shared_data / "kg" / "reactome.gmt.gz")
    assert graph.report is not None
    assert graph.report.n_records == 131_710
    assert graph.report.n_edges > 500_000
    assert "CDKN1A-TP53" in edges(graph)


@pytest.mark.parametrize("name", ["go", "reactome", "gmt"])
def test_sources_of_sets_keep_the_rules_of_a_knowledge_graph(tmp_path: Path, name: str) -> None:
    path = tmp_path / "sets.gmt"
    rows = ("TP53\tMDM2\tKLF1", "TP53\tMDM2\tGATA1", "GATA1\tKLF1\tHBB", "GATA1\tKLF1\tTP53")
    path.write_text("".join(f"set{n}\tnone\t{row}\n" for n, row in enumerate(rows)))
    check_kg_source(spec_of(name), options={"path": str(path)}, genes=GENES)
