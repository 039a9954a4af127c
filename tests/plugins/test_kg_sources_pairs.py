"""The plugins ``bioplex``, ``gears_go`` and ``edges`` read tables of pairs."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from dygenept.errors import DataError, DataUnavailableError
from dygenept.plugin.interfaces import KnowledgeGraph
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import KgSourceSpec
from dygenept.testing import check_kg_source
from dygenept.types import Runtime

HEADER = '"GeneA"\t"GeneB"\t"UniprotA"\t"UniprotB"\t"SymbolA"\t"SymbolB"\t"pW"\t"pNI"\t"pInt"\n'
TABLE_293T = HEADER + (
    '7157\t4193\t"P04637"\t"Q00987"\t"TP53"\t"MDM2"\t1.1e-05\t0.002\t0.9979\n'
    '84446\t6416\t"Q8TDC3"\t"P45985"\t"KIAA1804"\t"MAP2K4"\t0.1\t0.12\t0.78\n'
    '100\t728378\t"P00813"\t"A5A3E0"\t"ADA"\t"POTEF"\t2e-09\t1e-04\t0.9998\n'
)
TABLE_HCT116 = (
    HEADER.replace('"', "")
    + "7157\t4193\tP04637\tQ00987\tTP53\tMDM2\t0\t0.1\t0.9\n"
    + ("10661\t2623\tQ13351\tP15976\tKLF1\tGATA1\t0\t0.2\t0.8\n")
)
GENES = ("TP53", "MDM2", "MAP3K21", "MAP2K4", "KLF1", "GATA1", "ADA", "POTEF")


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
def bioplex(tmp_path: Path) -> Path:
    (tmp_path / "BioPlex_293T_Network_10K_Dec_2019.tsv").write_text(TABLE_293T)
    (tmp_path / "BioPlex_HCT116_Network_5.5K_Dec_2019.tsv.gz").write_bytes(
        gzip.compress(TABLE_HCT116.encode())
    )
    return tmp_path


def test_both_cell_lines_of_bioplex_are_read_together(bioplex: Path) -> None:
    graph = opened("bioplex", bioplex)
    assert edges(graph) == dict.fromkeys(
        ["MDM2-TP53", "MAP2K4-MAP3K21", "ADA-POTEF", "GATA1-KLF1"], 0.9
    )
    assert graph.report is not None
    assert graph.report.n_records == 5
    assert graph.report.dropped == {"repeated or reversed": 1}
    assert graph.report.n_renamed == 1


def test_a_cell_line_and_a_probability_can_be_asked_of_bioplex(bioplex: Path) -> None:
    assert edges(opened("bioplex", bioplex, cell_lines=["HCT116"])).keys() == {
        "MDM2-TP53",
        "GATA1-KLF1",
    }
    strict = opened("bioplex", bioplex, min_probability=0.95, weight=0.6)
    assert edges(strict) == {"MDM2-TP53": 0.6, "ADA-POTEF": 0.6}
    assert strict.report is not None
    assert strict.report.dropped == {"of another cell line or below the probability asked for": 3}


def test_the_json_layout_of_bioplex_names_cell_lines(tmp_path: Path) -> None:
    path = tmp_path / "bioplex.json"
    path.write_text(json.dumps({"TP53": [["MDM2", "293T"], ["KLF1", "HCT116"]], "ADA": []}))
    assert edges(opened("bioplex", path)) == {"MDM2-TP53": 0.9, "KLF1-TP53": 0.9}
    assert edges(opened("bioplex", path, cell_lines=["293T"])) == {"MDM2-TP53": 0.9}
    table = tmp_path / "pairs.tsv"
    table.write_text("TP53\tMDM2\n")
    assert edges(opened("bioplex", table)) == {"MDM2-TP53": 0.9}


@pytest.mark.parametrize(
    "text", ['{"TP53": ["MDM2"', '{"TP53": 3}', '{"TP53": [[]]}', '{"TP53": [[{}, "293T"]]}']
)
def test_json_of_another_layout_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bioplex.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"bioplex\.json"):
        opened("bioplex", path)


def test_importance_of_gears_go_is_a_share_of_the_weight(tmp_path: Path) -> None:
    path = tmp_path / "go_essential_all.csv"
    path.write_text(
        "source,target,importance\nTP53,TP53,1.0\nTP53,MDM2,0.5\nMDM2,TP53,0.75\nKLF1,GATA1,0.1\n"
    )
    graph = opened("gears_go", path)
    # The stronger direction counts.
    assert edges(graph) == {"MDM2-TP53": 0.225, "GATA1-KLF1": 0.03}
    assert edges(opened("gears_go", path, min_importance=0.2)) == {"MDM2-TP53": 0.225}
    assert graph.report is not None
    assert graph.report.dropped == {"of a gene with itself": 1, "repeated or reversed": 1}
    least = opened("gears_go", path, min_importance=0.2).report
    assert least is not None
    assert least.dropped["of an importance below 0.2"] == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TP53\tMDM2\nKLF1\tGATA1\n", {"MDM2-TP53": 1.0, "GATA1-KLF1": 1.0}),
        ("# pairs\nFrom\tTo\nTP53\tMDM2\n", {"MDM2-TP53": 1.0}),
        ("a b w\nTP53 MDM2 0.5\n", {"MDM2-TP53": 0.5}),
        ('"TP53","MDM2",0.5\n"KLF1","GATA1",0\n', {"MDM2-TP53": 0.5}),
        ("TP53\tMDM2\n\tGATA1\n", {"MDM2-TP53": 1.0}),
        # NCBI Gene numbers, Ensembl ids and outdated symbols.
        ("7157\t4193\nENSG00000105610\t2623\n", {"MDM2-TP53": 1.0, "GATA1-KLF1": 1.0}),
        ("KIAA1804\tTP53\nMAP3K21\tTP53\n", {"MAP3K21-TP53": 1.0}),
        # The last row has no line end.
        ("TP53\tMDM2\nKLF1\tGATA1", {"MDM2-TP53": 1.0, "GATA1-KLF1": 1.0}),
    ],
)
@pytest.mark.parametrize("is_gzipped", [False, True])
def test_edges_reads_any_table_of_pairs(
    tmp_path: Path, text: str, expected: dict[str, float], is_gzipped: bool
) -> None:
    path = tmp_path / "mine.txt"
    path.write_bytes(gzip.compress(text.encode()) if is_gzipped else text.encode())
    assert edges(opened("edges", path)) == expected


def test_a_full_score_and_a_weight_scale_the_scores_of_edges(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("TP53\tMDM2\t900\nKLF1\tGATA1\t-5\n")
    assert edges(opened("edges", path, full_score=1000, weight=0.5)) == {"MDM2-TP53": 0.45}
    with pytest.raises(DataError, match=r"score 900.*full_score"):
        opened("edges", path)
    path.write_text("TP53\tMDM2\t0.5\nKLF1\tGATA1\tnan\n")
    with pytest.raises(DataError, match="column 3"):
        opened("edges", path)


def test_a_first_row_that_no_word_gives_away_is_told_by_option(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("KLF1\tGATA1\nTP53\tMDM2\n")
    assert edges(opened("edges", path, has_header=True)) == {"MDM2-TP53": 1.0}


def test_a_name_that_no_table_knows_keeps_its_spelling(tmp_path: Path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("NEWGENE1\tTP53\n")
    spec = spec_of("edges")
    source = spec.factory(spec.config.model_validate({"path": str(path)}))
    graph = source.graph(("NEWGENE1", "ENSG00000141510"), Runtime())
    assert edges(graph) == {"ENSG00000141510-NEWGENE1": 1.0}
    assert graph.report is not None
    assert graph.report.n_unknown == 1


def test_edges_without_a_file_says_how_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYGENEPT_DATA", str(tmp_path))
    for name in ("edges", "gears_go", "gmt"):
        spec = spec_of(name)
        with pytest.raises(DataUnavailableError, match=f"--set kg.{name}.path=FILE") as caught:
            spec.factory(spec.config()).graph(GENES, Runtime())
        assert "data fetch" not in str(caught.value)


@pytest.mark.parametrize("name", ["bioplex", "gears_go", "edges"])
def test_sources_of_pairs_keep_the_rules_of_a_knowledge_graph(tmp_path: Path, name: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("TP53\tMDM2\t0.5\nKLF1\tGATA1\t0.25\nTP53\tKLF1\t1\nADA\tTP53\t0.1\n")
    check_kg_source(spec_of(name), options={"path": str(path)}, genes=GENES)


def test_real_tables_of_pairs_are_read_whole(shared_data: Path) -> None:
    path = shared_data / "kg" / "string_edges.tsv.gz"
    spec = spec_of("edges")
    source = spec.factory(spec.config.model_validate({"path": str(path)}))
    from dygenept.knowledge.genes.tables import load_gene_tables

    report = source.graph(load_gene_tables().symbols, Runtime()).report
    assert report is not None
    assert report.n_records == 156_186
    assert report.n_genes == 14_114
    assert report.n_edges == 156_186
    assert report.n_edges_kept > 154_000
