"""Whatever is no graph is refused by every source, wherever it is used, fetched or verified."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from scripted_server import Answer, ScriptedServer

from dygenept.data.asset_graphs import AssetGraph, graph_of_asset
from dygenept.data.assets import AssetEntry, fetch_asset, verify_asset
from dygenept.errors import DataError, DataUnavailableError
from dygenept.knowledge.graph.sources import KgChoice
from dygenept.machine.checksums import file_sha256, record_file
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.types import Runtime

SOURCES = ("string", "bioplex", "go", "reactome", "gears_go", "gmt", "edges")
GENES = ("KLF1", "GATA1", "TP53")
INFO = "#string_protein_id\tpreferred_name\tprotein_size\tannotation\n9606.ENSP1\tKLF1\t1\tx\n"
INFO += "9606.ENSP2\tGATA1\t1\tx\n"
HEADER = "protein1 protein2 experimental database textmining combined_score\n"
LINKS = HEADER + "9606.ENSP1 9606.ENSP2 0 900 0 900\n"
NO_GRAPHS = {
    "an error in JSON": b'{"status":"ERROR","message":"try later"}',
    "another": b'{"error":["too","many"]}',
    "errors in JSON": b'[{"error":"slow down"}]',
    "empty JSON": b"{}",
    "an empty list": b"[{}]",
    "deep JSON": b'{"KLF1":' + b"[" * 100_000,
    "a page": b"<html>\n<body>a\tb\tc</body></html>",
    "two words": b"Access denied\n",
    "a pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n",
    "nothing": b"",
    "only a header": b"gene_a\tgene_b\tscore\n",
    "links without links": HEADER.encode(),
    "a gene with itself": b"KLF1\tKLF1\nGATA1\tGATA1\n",
    "scores of zero": b"KLF1\tGATA1\t0\nTP53\tKLF1\t0\n",
    "no text": b"KLF1\tGA\xff\xfeTA1\t0.5\nKLF1\tTP53\t0.5\n",
    "no numbers": b'"SymbolA"\t"SymbolB"\t"pInt"\n"KLF1"\t"GATA1"\tabc\n',
    "an ontology": b"format-version: 1.2\n",
    "annotation without any": b"!gaf-version: 2.2\n",
    "one gene a set": b"set\tna\tKLF1\n",
    "zeros": bytes(500),
}


@pytest.fixture(scope="module")
def manager() -> PluginManager:
    return PluginManager.load(load_registry().plugins, entry_points=False)


@pytest.mark.parametrize("is_gzipped", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_what_is_no_graph_is_refused_and_named(
    manager: PluginManager, tmp_path: Path, source: str, is_gzipped: bool
) -> None:
    (tmp_path / "info.txt").write_text(INFO)
    path = tmp_path / "graph.txt"
    for what, content in NO_GRAPHS.items():
        path.write_bytes(gzip.compress(content) if is_gzipped else content)
        with pytest.raises(DataError) as caught:
            KgChoice({source: {"path": str(path)}}).open(GENES, manager, Runtime())
        assert "graph.txt" in str(caught.value), what
        assert "\n" not in str(caught.value), what


def test_names_of_proteins_that_are_no_text_are_one_line(
    manager: PluginManager, tmp_path: Path
) -> None:
    (tmp_path / "links.txt").write_text(LINKS)
    (tmp_path / "info.txt").write_bytes(INFO.encode().replace(b"GATA1", b"GA\xff\xfe1"))
    with pytest.raises(DataError, match=r"info\.txt cannot be read .*utf-8"):
        KgChoice({"string": {"path": str(tmp_path)}}).open(GENES, manager, Runtime())


def test_a_graph_that_links_none_of_the_genes_is_said(
    manager: PluginManager, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "graph.tsv"
    path.write_text("JUN\tFOS\n")
    KgChoice({"edges": {"path": str(path)}}).open(GENES, manager, Runtime())
    assert "0 of 1 edges kept" in caplog.text


@pytest.fixture
def string(publisher: ScriptedServer, manager: PluginManager, tmp_path: Path) -> AssetEntry:
    publisher.answers = {"/l": Answer(LINKS.encode()), "/i": Answer(INFO.encode())}
    files = [
        {"url": f"{publisher.url}/l", "path": "links.txt"},
        {"url": f"{publisher.url}/i", "path": "info.txt"},
    ]
    return AssetEntry.model_validate({"folder": "kg/string", "files": files})


def graph(manager: PluginManager, entry: AssetEntry, data_dir: Path) -> AssetGraph:
    environment = Environment(registry=load_registry(), manager=manager, data_dir=data_dir)
    found = graph_of_asset("string", entry.folder_in(data_dir), environment)
    assert found is not None
    return found


@pytest.mark.parametrize("address", ["/l", "/i"])
def test_files_of_a_graph_are_kept_only_if_they_give_edges(
    publisher: ScriptedServer,
    manager: PluginManager,
    string: AssetEntry,
    tmp_path: Path,
    address: str,
) -> None:
    reads, entries = graph(manager, string, tmp_path), {"string": string}

    def fetch() -> Path:
        return fetch_asset(
            "string", entries=entries, data_dir=tmp_path, runtime=Runtime(), graph=reads
        )

    good = publisher.answers[address]
    publisher.answers[address] = Answer(b"gene\tvalue\tunit\tmore\n1\t2\t3\t4\n")
    with pytest.raises(DataUnavailableError, match="has no layout that the knowledge graph"):
        fetch()
    # The right header and no row: the layout fits, and the graph is empty.
    publisher.answers[address] = Answer((HEADER if address == "/l" else INFO[:60]).encode())
    with pytest.raises(DataError):
        fetch()
    assert not (tmp_path / "kg/string" / ("links.txt" if address == "/l" else "info.txt")).exists()
    publisher.answers[address] = good
    fetch()
    hashes = verify_asset("string", entries=entries, data_dir=tmp_path, graph=reads)
    assert hashes.keys() == {"links.txt", "info.txt"}


def test_a_graph_without_edges_that_was_recorded_is_refused_and_repaired(
    manager: PluginManager, string: AssetEntry, tmp_path: Path
) -> None:
    folder = tmp_path / "kg" / "string"
    folder.mkdir(parents=True)
    for name, text in (("links.txt", HEADER), ("info.txt", INFO)):
        (folder / name).write_text(text)
        record_file(folder / name, file_sha256(folder / name), url="http://example.org/a")
    reads, entries = graph(manager, string, tmp_path), {"string": string}
    with pytest.raises(DataError, match="'string' has no edges"):
        verify_asset("string", entries=entries, data_dir=tmp_path, graph=reads)
    fetch_asset("string", entries=entries, data_dir=tmp_path, runtime=Runtime(), graph=reads)
    verify_asset("string", entries=entries, data_dir=tmp_path, graph=reads)
    assert (folder / "links.txt").read_text() == LINKS
