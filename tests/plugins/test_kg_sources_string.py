"""The plugin ``string`` reads STRING's own files, the JSON layout, and tables of pairs."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import ConfigError, DataError, DataUnavailableError
from dygenept.plugin.interfaces import KnowledgeGraph
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import KgSourceSpec
from dygenept.testing import check_kg_source
from dygenept.types import Progress, Runtime

TP53, CDKN1A, MDM2 = "9606.ENSP00000269305", "9606.ENSP00000244741", "9606.ENSP00000258149"
KLF1, GATA1, LOST = "9606.ENSP00000264834", "9606.ENSP00000365858", "9606.ENSP00000999999"
MAP3K21 = "9606.ENSP00000355583"
INFO = f"""#string_protein_id\tpreferred_name\tprotein_size\tannotation
{TP53}\tTP53\t393\tCellular tumor antigen p53; Acts as a "tumor suppressor" in many tumor types.
{CDKN1A}\tCDKN1A\t164\tCyclin-dependent kinase inhibitor 1
{MDM2}\tMDM2\t491\tE3 ubiquitin-protein ligase Mdm2
{KLF1}\tKLF1\t362\tKrueppel-like factor 1
{GATA1}\tGATA1\t413\tErythroid transcription factor
{MAP3K21}\tKIAA1804\t1036\tMitogen-activated protein kinase kinase kinase 21
"""
DETAILED = f"""protein1 protein2 neighborhood fusion cooccurence coexpression experimental database textmining combined_score
{TP53} {CDKN1A} 0 0 0 62 610 900 999 999
{CDKN1A} {TP53} 0 0 0 62 610 900 999 999
{TP53} {MDM2} 0 0 0 0 399 900 999 999
{MDM2} {TP53} 0 0 0 0 399 900 999 999
{KLF1} {GATA1} 0 0 0 150 0 0 812 826
{GATA1} {KLF1} 0 0 0 150 0 0 812 826
{GATA1} {TP53} 0 0 0 900 120 0 399 905
{TP53} {GATA1} 0 0 0 900 120 0 399 905
{LOST} {TP53} 0 0 0 0 900 0 0 900
{KLF1} {MAP3K21} 0 0 0 0 0 500 0 500
"""  # noqa: E501
FULL = f"""protein1 protein2 neighborhood neighborhood_transferred fusion cooccurence homology coexpression coexpression_transferred experiments experiments_transferred database database_transferred textmining textmining_transferred combined_score
{TP53} {CDKN1A} 0 0 0 0 0 0 62 0 610 0 0 0 450 700
{KLF1} {GATA1} 0 0 0 0 0 0 0 0 0 0 0 0 450 460
{TP53} {MDM2} 0 0 0 0 0 0 0 400 0 0 0 0 0 420
"""  # noqa: E501
PLAIN = f"protein1 protein2 combined_score\n{TP53} {CDKN1A} 999\n{KLF1} {GATA1} 150\n"
JSON = {
    "TP53": [["CDKN1A", ["experiments", "textmining"]], ["MDM2", ["textmining_transferred"]]],
    "KLF1": [["GATA1", ["coexpression"]], ["TP53", ["database", "textmining"]]],
    "GATA1": [["CDKN1A", ["experimental"]]],
    "KIAA1804": [["KLF1", ["experiments_transferred"]]],
}
GENES = ("TP53", "CDKN1A", "MDM2", "KLF1", "GATA1", "KIAA1804")


def spec() -> KgSourceSpec:
    manager = PluginManager.load(["dygenept_plugins.kg_sources.string"], entry_points=False)
    return manager.get(KgSourceSpec, "string")


def opened(genes: tuple[str, ...] = GENES, **options: object) -> KnowledgeGraph:
    found = spec()
    return found.factory(found.config.model_validate(options)).graph(genes, Runtime())


def edges(graph: KnowledgeGraph) -> dict[str, float]:
    entries = graph.weights.tocoo()
    return {
        "-".join(sorted((graph.genes[row], graph.genes[column]))): round(float(weight), 4)
        for row, column, weight in zip(entries.row, entries.col, entries.data, strict=True)
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The two files as `dygenept data fetch string` leaves them."""
    for name, text in (("links.detailed", DETAILED), ("info", INFO)):
        path = tmp_path / f"9606.protein.{name}.v12.0.txt.gz"
        path.write_bytes(gzip.compress(text.encode()))
        path.with_name(f"{path.name}.sha256.json").unlink(missing_ok=True)
    return tmp_path


def test_a_pair_has_the_weight_of_its_best_channel_from_medium_confidence_on(folder: Path) -> None:
    graph = opened(path=str(folder))
    assert edges(graph) == {
        "CDKN1A-TP53": 1.0,
        "MDM2-TP53": 0.8,
        "GATA1-KLF1": 0.3,
        "KIAA1804-KLF1": 0.8,
    }
    assert graph.genes == GENES
    assert graph.weights.dtype == np.float32


def test_the_report_counts_what_was_kept_and_dropped(folder: Path) -> None:
    report = opened((*GENES, "GYPA"), path=str(folder)).report
    assert report is not None
    assert (report.source, report.layout) == ("string", "string_links_detailed")
    assert report.files == (
        "9606.protein.links.detailed.v12.0.txt.gz",
        "9606.protein.info.v12.0.txt.gz",
    )
    assert report.n_records == 10
    assert report.dropped == {
        "without evidence that counts": 2,
        "with a protein or gene id that has no name": 1,
        "repeated or reversed": 3,
    }
    assert (report.n_edges, report.n_edges_kept) == (4, 4)
    assert (report.n_genes, report.n_asked, report.n_genes_kept) == (6, 7, 6)
    assert report.n_renamed == 1
    assert "1 dropped" in report.sentence
    fewer = opened(("TP53", "MDM2", "GATA1"), path=str(folder)).report
    assert fewer is not None
    assert (fewer.n_edges, fewer.n_edges_kept, fewer.n_genes_kept) == (4, 1, 2)


def test_options_change_threshold_channels_and_scale(folder: Path) -> None:
    path = str(folder)
    assert edges(opened(path=path, min_score=399))["MDM2-TP53"] == 1.0
    assert "GATA1-KLF1" not in edges(opened(path=path, min_score=813))
    coexpressed = opened(path=path, evidence={"coexpression": 0.6})
    assert edges(coexpressed) == {"GATA1-TP53": 0.6}
    assert edges(opened(path=path, weight=0.5))["MDM2-TP53"] == 0.4
    with pytest.raises(ConfigError, match="weights in"):
        PluginManager.load(["dygenept_plugins.kg_sources.string"], entry_points=False).configure(
            spec(), {"evidence": {"database": 2.0}}
        )


def test_transferred_evidence_of_the_full_file_weighs_less(tmp_path: Path) -> None:
    (tmp_path / "9606.protein.links.full.v12.0.txt").write_text(FULL)
    (tmp_path / "9606.protein.info.v12.0.txt").write_text(INFO)
    # The full file wins over the detailed one beside it.
    (tmp_path / "9606.protein.links.detailed.v12.0.txt").write_text(DETAILED)
    graph = opened(path=str(tmp_path))
    assert graph.report is not None
    assert graph.report.layout == "string_links_full"
    assert edges(graph) == {"CDKN1A-TP53": 0.5, "GATA1-KLF1": 0.2, "MDM2-TP53": 1.0}


def test_a_file_without_channels_gives_each_pair_its_share_of_the_score(tmp_path: Path) -> None:
    path = tmp_path / "9606.protein.links.v12.0.txt"
    path.write_text(PLAIN)
    (tmp_path / "9606.protein.info.v12.0.txt").write_text(INFO)
    assert edges(opened(path=str(path))) == {"CDKN1A-TP53": 0.999}


@pytest.mark.parametrize("name", ["string.json", "string.json.gz"])
def test_the_json_layout_names_evidence_of_each_partner(tmp_path: Path, name: str) -> None:
    text = json.dumps(JSON).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    graph = opened(path=str(tmp_path))
    assert edges(graph) == {
        "CDKN1A-TP53": 1.0,
        "MDM2-TP53": 0.2,
        "KLF1-TP53": 0.8,
        "KIAA1804-KLF1": 0.5,
        "CDKN1A-GATA1": 1.0,
    }
    assert graph.report is not None
    assert graph.report.dropped == {"without evidence that counts": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gene_a\tgene_b\nTP53\tCDKN1A\n", 1.0),
        (f"{TP53}\t{CDKN1A}\n", 1.0),
        ("ENSG00000141510\tENSG00000124762.9\n", 1.0),
        ("source,target,score\nTP53,CDKN1A,900\n", 0.9),
        ("TP53\tCDKN1A\t0.7\n", 0.7),
    ],
)
def test_a_table_of_pairs_may_name_symbols_genes_or_proteins(
    tmp_path: Path, text: str, expected: float
) -> None:
    (tmp_path / "pairs.tsv").write_text(text)
    (tmp_path / "9606.protein.info.v12.0.txt").write_text(INFO)
    assert edges(opened(path=str(tmp_path / "pairs.tsv"))) == {"CDKN1A-TP53": expected}


def test_protein_ids_without_their_names_are_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "links.txt").write_text(PLAIN)
    with pytest.raises(DataUnavailableError, match=r"protein\.info"):
        opened(path=str(tmp_path))


def test_absent_and_foreign_files_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYGENEPT_DATA", str(tmp_path))
    with pytest.raises(DataUnavailableError, match="dygenept data fetch string"):
        opened()
    assert spec().missing is not None
    config = spec().config.model_validate({})
    assert str(tmp_path / "kg" / "string") in str(spec().missing(config))
    (tmp_path / "notes.txt").write_text("some words that\nare no graph at all, of any kind\n")
    with pytest.raises(DataError, match="no layout"):
        opened(path=str(tmp_path / "notes.txt"))


def test_the_folder_of_the_data_folder_is_the_default(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "data"
    (home / "kg" / "string").mkdir(parents=True)
    for path in folder.glob("9606*"):
        path.rename(home / "kg" / "string" / path.name)
    assert opened(data_dir=str(home)).weights.nnz == 8
    monkeypatch.setenv("DYGENEPT_DATA", str(home))
    assert opened().weights.nnz == 8
    assert spec().missing is not None
    assert spec().missing(spec().config.model_validate({})) is None


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_a_damaged_file_is_told(folder: Path, damage: str) -> None:
    path = folder / "9606.protein.links.detailed.v12.0.txt.gz"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    else:
        broken = DETAILED.replace(" 905\n", " nine hundred\n", 1)
        path.write_bytes(gzip.compress(broken.encode()))
    with pytest.raises(DataError, match="fetch it again"):
        opened(path=str(folder))


def test_two_files_of_one_layout_must_be_told_apart(folder: Path) -> None:
    (folder / "9606.protein.links.detailed.v11.5.txt").write_text(DETAILED)
    with pytest.raises(DataError, match="give the path of one"):
        opened(path=str(folder))


def test_a_file_read_in_many_blocks_gives_the_same_graph(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dygenept.knowledge.graph import files as graph_files

    whole = edges(opened(path=str(folder)))
    blocks = graph_files.line_blocks
    monkeypatch.setattr(graph_files, "line_blocks", lambda path: blocks(path, n_bytes=150))
    reports: list[Progress] = []
    found = spec()
    source = found.factory(found.config.model_validate({"path": str(folder)}))
    assert edges(source.graph(GENES, Runtime(report=reports.append))) == whole
    assert len(reports) > 5
    assert reports[-1].step == 10


def test_a_graph_is_parsed_once_and_its_manifest_says_from_what(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found, runtime = spec(), Runtime(cache_dir=tmp_path / "cache")

    def source(**options: object) -> KnowledgeGraph:
        built = found.factory(found.config.model_validate({"path": str(folder), **options}))
        return built.graph(GENES, runtime)

    first = source()
    (manifest,) = (tmp_path / "cache" / "graphs").glob("string-*.json")
    document = json.loads(manifest.read_text())
    assert document["schema_version"] == 1
    assert len(document["inputs"]) == 2
    assert document["config"]["min_score"] == 400
    assert set(document["versions"]) == {"dygenept", "reader", "gene_tables"}
    # What a second opening reads is the cache: the file's rows are no longer parsed.
    document["genes"] = [f"{gene}X" for gene in document["genes"]]
    manifest.write_text(json.dumps(document))
    assert source().weights.nnz == 0
    # Other options and other content are other graphs.
    assert edges(source(weight=0.5))["CDKN1A-TP53"] == 0.5
    assert len(list((tmp_path / "cache" / "graphs").glob("string-*.npz"))) == 2
    # A damaged matrix is warned of and read again.
    manifest.with_suffix(".npz").write_bytes(b"no matrix")
    with caplog.at_level(logging.WARNING):
        assert edges(source()) == edges(first)
    assert "read again" in caplog.text
    caplog.clear()
    assert edges(source()) == edges(first)
    assert caplog.text == ""


def test_the_identity_depends_on_content_and_options_and_not_on_the_place(
    folder: Path, tmp_path: Path
) -> None:
    def identity(**options: object) -> str:
        found = spec()
        return found.factory(found.config.model_validate(options)).identity

    first = identity(path=str(folder))
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in folder.glob("9606*"):
        (moved / path.name).write_bytes(path.read_bytes())
    assert identity(path=str(moved)) == first
    assert identity(path=str(moved), min_score=700) != first
    (moved / "9606.protein.info.v12.0.txt.gz").write_bytes(gzip.compress(INFO[:-40].encode()))
    assert identity(path=str(moved)) != first


def test_string_keeps_the_rules_of_a_knowledge_graph(tmp_path: Path) -> None:
    (tmp_path / "string.json").write_text(json.dumps(JSON))
    check_kg_source(spec(), options={"path": str(tmp_path)}, genes=GENES)
