"""Knowledge from a graph, on the command line: made, looked into, and benched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.knowledge.facets.controls import identity_knowledge
from dygenept.knowledge.store.knowledge_files import read_header, write_knowledge


class Result(Protocol):
    """What a command did."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]

EDGES = "KLF1\tGATA1\t1.0\nKLF1\tTAL1\t0.5\nKLF1\tFOS\t0.2\nFOSB\tFOS\t1.0\nFOSB\tJUN\t1.0\n"
GENES = "KLF1\nGATA1\nTAL1\nFOS\nJUN\nFOSB\nNO_SUCH_GENE\n"
ENCODER = """
import numpy as np
from dygenept.plugin.hookspecs import hookimpl
from dygenept.plugin.specs import PluginConfig, TextEncoderSpec

class Drawn:
    identity, corpus_dependent = "drawn", False

    def encode(self, texts, runtime):
        rows = [np.random.default_rng(len(text)).standard_normal(6) for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), 6)

@hookimpl
def dygenept_text_encoders():
    return [
        TextEncoderSpec(
            name="drawn", summary="x", source="x", config=PluginConfig, factory=lambda _: Drawn()
        )
    ]
"""
QUICK = (
    *("--cell-encoder", "none", "--set", "training.epochs=1"),
    *("--set", "training.n_members=1"),
    *("--set", "training.steps_per_epoch=1", "--set", "training.warm_start=false"),
)


@pytest.fixture
def graph(tmp_path: Path) -> tuple[str, ...]:
    """Write a list of genes, a graph and an encoder; return the flags that name the graph."""
    (tmp_path / "genes.txt").write_text(GENES)
    (tmp_path / "edges.tsv").write_text(EDGES)
    (tmp_path / "drawn.py").write_text(ENCODER)
    (tmp_path / "mine.yaml").write_text("facets: {go_drawn: {writer: go, encoder: drawn}}\n")
    return ("--kg", "edges", "--set", "kg.edges.path=edges.tsv")


def document_of(result: Result) -> dict[str, Any]:
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["schema_version"] == 1
    return dict(document)


def made(cli: Cli, *arguments: str) -> dict[str, Any]:
    return document_of(
        cli(
            *("precompute", "--genes", "genes.txt", "--plugin", "drawn.py", "--encoder", "drawn"),
            *("--output", "out", "--json", "--quiet", *arguments),
        )
    )


def test_precompute_does_all_steps_and_says_how_to_use_what_it_made(
    cli: Cli, graph: tuple[str, ...], tmp_path: Path
) -> None:
    document = made(cli, *graph)
    assert [step["step"] for step in document["steps"]] == ["1", "1.5", "2", "2.5", "3", "4"]
    assert document["knowledge"] == "out/knowledge.safetensors"
    again = cli(
        *("precompute", "--genes", "genes.txt", "--plugin", "drawn.py", "--encoder", "drawn"),
        *("--output", "out", "--quiet", *graph),
    )
    assert again.code == 0
    assert again.out.count("kept") == 6
    assert "dygenept bench --dataset NAME --facets out/knowledge.safetensors" in again.err
    header = read_header(tmp_path / "out" / "knowledge.safetensors")
    assert header is not None
    assert header["imputed_with"] == {
        "kg": {"edges": {"path": "edges.tsv"}},
        "imputation": {"num_rounds": 3, "confidence_cap": 0.8, "max_neighbors": 20},
    }


def test_genes_of_a_data_set_are_its_targets_and_its_output_genes(
    cli: Cli, toy: Path, tmp_path: Path
) -> None:
    made = cli("precompute", "--step", "1", "--dataset", toy, "--output", "out", "--quiet")
    assert made.code == 0, made.err
    lines = (tmp_path / "out" / "corpus.jsonl").read_text().splitlines()
    genes = [json.loads(line)["gene"] for line in lines]
    data = read_anndata(toy)
    assert set(genes) == {*data.target_genes, *data.gene_symbols}
    assert len(genes) == len(set(genes))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--step", "1"), "say which genes"),
        (("--genes", "genes.txt", "--all-genes"), "exclude each other"),
        (("--genes", "genes.txt", "--set", "encodr.dim=3"), "did you mean 'encoder'"),
        (("--genes", "genes.txt", "--set", "kg.go.weight=1"), "'go' is not among"),
        (("--genes", "genes.txt", "--dry-run"), "makes no calls"),
        (("--genes", "genes.txt", "--set", "regeneration.min_partners=0"), "min_partners"),
        (("--genes", "genes.txt", "--set", "imputation=3"), "imputation must be a mapping"),
    ],
)
def test_wrong_flags_are_one_line(
    cli: Cli, graph: tuple[str, ...], arguments: tuple[str, ...], message: str
) -> None:
    done = cli("precompute", *arguments, "--output", "out", "--quiet")
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_show_tells_text_source_confidence_and_neighbours(cli: Cli, graph: tuple[str, ...]) -> None:
    made(cli, *graph, "--set", "regeneration.enabled=false")
    shown = document_of(cli("knowledge", "show", "EKLF", "--facets", "out", "--json", "--quiet"))
    assert (shown["gene"], shown["symbol"]) == ("EKLF", "KLF1")
    facets = {facet["name"]: facet for facet in shown["facets"]}
    native = facets["Transcriptional Regulation"]
    assert (native["origin"], native["confidence"]) == ("native", 1.0)
    assert native["text"].startswith("KLF transcription factor 1. ")
    imputed = facets["Cell Death & Survival"]
    assert (imputed["origin"], imputed["round"], imputed["text"]) == ("imputed", 1, None)
    assert 0 < imputed["confidence"] < 1
    assert imputed["informed_by"][0] == {"gene": "GATA1", "weight": 1.0, "source": "edges"}
    # The file names its graphs, and they are at hand.
    assert shown["kg"] == ["edges"]
    assert shown["neighbours"] == [
        {"gene": "GATA1", "weight": 1.0, "source": "edges"},
        {"gene": "TAL1", "weight": 0.5, "source": "edges"},
        {"gene": "FOS", "weight": 0.2, "source": "edges"},
    ]
    table = cli("knowledge", "show", "KLF1", "--facets", "out/knowledge.safetensors", "--quiet")
    assert table.code == 0
    assert "imputed, round 1, from" in table.out


def test_show_names_regenerated_facets_and_their_partners(cli: Cli, graph: tuple[str, ...]) -> None:
    made(cli, *graph)
    shown = document_of(cli("knowledge", "show", "FOSB", "--facets", "out", "--json", "--quiet"))
    regenerated = [facet for facet in shown["facets"] if facet["origin"] == "regenerated"]
    assert {item["gene"] for item in regenerated[0]["informed_by"]} == {"FOS", "JUN"}
    assert "FOS: " in regenerated[0]["text"]
    assert regenerated[0]["confidence"] == 0.8


def test_show_of_a_registered_facet_set_tells_what_would_be_imputed_and_embeds_nothing(
    cli: Cli, graph: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYGENEPT_HOME", str(tmp_path / "home"))
    shown = document_of(cli("knowledge", "show", "KLF1", *graph, "--json", "--quiet"))
    assert {facet["origin"] for facet in shown["facets"]} >= {"native", "imputed"}
    assert [item["gene"] for item in shown["neighbours"]] == ["GATA1", "TAL1", "FOS"]
    assert not list((tmp_path / "home").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("KLF111",), "did you mean 'KLF11'"),
        (("KLF1", "--facets", "shuffled"), "show --facets go_minilm"),
        (("KLF1", "--facets", "go_minilmm"), "did you mean 'go_minilm'"),
        (("KLF1", "--facets", "biomedbert"), "no knowledge file"),
        (("KLF1", "--facets", "empty"), "dygenept precompute --output empty"),
        (("TP53", "--facets", "one.safetensors"), "knows nothing of 'TP53'"),
    ],
)
def test_show_says_what_is_wrong_with_a_name(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    one = identity_knowledge(("KLF1",), name="one", dim=4)
    write_knowledge(one, tmp_path / "one.safetensors")
    done = cli("knowledge", "show", *arguments, "--quiet")
    assert done.code == 2
    assert message in done.err


def test_show_reads_a_file_that_does_not_record_origins(cli: Cli, tmp_path: Path) -> None:
    one = identity_knowledge(("KLF1",), name="one", dim=4)
    write_knowledge(one, tmp_path / "one.safetensors")
    shown = document_of(cli("knowledge", "show", "KLF1", "--facets", "one.safetensors", "--json"))
    (facet,) = shown["facets"]
    assert (facet["name"], facet["origin"], facet["text"]) == ("Identity", "not recorded", None)


def test_bench_takes_precomputed_facets_and_imputes_registered_ones(
    cli: Cli, graph: tuple[str, ...], toy: Path, tmp_path: Path
) -> None:
    made(cli, *graph)
    common = ("bench", "--dataset", toy, "--model", "dygenept_small", "--folds", "2", *QUICK)
    document_of(cli(*common, "--facets", "out/knowledge.safetensors", "--json", "--quiet"))
    mine = ("--facets", "go_drawn", "--registry", "mine.yaml", "--plugin", "drawn.py")
    done = document_of(cli(*common, *mine, *graph, "--json", "--quiet"))
    (model,) = {row["model"] for row in done["leaderboard"] if row["new"]}
    assert "facets=go_drawn,kg=edges,kg.edges.path=edges.tsv" in model
    records = {path.name for path in (tmp_path / "results").glob("*/*.json")}
    cli(*common, *mine, *graph, "--quiet")
    assert {path.name for path in (tmp_path / "results").glob("*/*.json")} == records
    (tmp_path / "edges.tsv").write_text(EDGES.replace("0.5", "0.9"))
    cli(*common, *mine, *graph, "--quiet")
    changed = {path.name for path in (tmp_path / "results").glob("*/*.json")}
    assert len(changed - records) == 2, "an edited graph file must not meet the old records"
    missing = cli(*common, *mine, "--kg", "string", "--quiet")
    assert missing.code == 2
    assert "dygenept data fetch string" in missing.err


def test_grid_of_a_suite_is_one_leaderboard(cli: Cli, toy: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nversion: 1\nsummary: x\ndatasets: [norman]\nn_folds: 2\n"
        "models: [control_mean]\nmetrics: [mse]\n"
        "grid:\n  model: dygenept_small\n  axes: {facets: [identity], attention: [mean, softmax]}\n"
    )
    bench = ("bench", "--suite", "mine.yaml", "--dataset", toy, "--json", "--quiet")
    models = {row["model"] for row in document_of(cli(*bench, *QUICK))["leaderboard"]}
    assert len(models) == 3
    assert sum("attention=mean" in model for model in models) == 1
    alone = document_of(cli(*bench, "--model", "control_mean"))
    assert {row["model"] for row in alone["leaderboard"] if row["new"]} == {"control_mean"}
