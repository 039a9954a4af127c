"""Every reader of the project as a function of a folder that holds its files."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.registered import GENES, file_of, reader


@functools.cache
def data() -> Any:
    from fuzz.cell_seeds import toy

    return toy()


@functools.cache
def task() -> Any:
    from dygenept.testing.toy import toy_task

    return toy_task(data())[0]


@reader("yaml")
def _(folder: Path) -> object:
    from dygenept.plugin.yaml_files import read_yaml

    return read_yaml(folder / "file.yaml")


@reader("suite")
def _(folder: Path) -> object:
    from dygenept.runs.suites import load_suite

    return load_suite(str(folder / "suite.yaml"), folder)


@reader("registry")
def _(folder: Path) -> object:
    from unittest import mock

    from dygenept.data.assets import AssetEntry
    from dygenept.plugin import registry
    from dygenept.plugin.yaml_files import validated

    # The shipped file, which never changes, takes most of the time.
    path = folder / "registry.yaml"
    with mock.patch.object(registry, "bundled_registry_path", return_value=path):
        merged = registry.load_registry([path])
    return [validated(AssetEntry, entry, name) for name, entry in merged.assets.items()]


@reader("gene_list")
def _(folder: Path) -> object:
    from dygenept.knowledge.genes.corpus import read_gene_list

    return read_gene_list(folder / "genes.txt")


@reader("corpus_table", "corpus_table_gz")
def _(folder: Path) -> object:
    from dygenept.knowledge.genes.corpus import CorpusOptions, corpus_from_file

    return corpus_from_file(file_of(folder, ".csv", ".tsv.gz"), None, CorpusOptions(fill=False))


@reader("corpus")
def _(folder: Path) -> object:
    from dygenept.knowledge.genes.corpus import read_corpus

    return read_corpus(folder / "corpus.jsonl")


@reader("facets")
def _(folder: Path) -> object:
    from dygenept.knowledge.facets.texts import read_facets

    return read_facets(folder / "facets.jsonl")


@reader("journal")
def _(folder: Path) -> object:
    from dygenept_plugins.facet_writers.llm.journal import Journal

    return Journal(folder / "journal.jsonl").read()


@functools.cache
def sources() -> Any:
    from dygenept.plugin import KgSourceSpec
    from dygenept.plugin.manager import PluginManager

    modules = [
        f"dygenept_plugins.kg_sources.{name}"
        for name in ("string", "bioplex", "go", "reactome", "gears_go", "user_files")
    ]
    manager = PluginManager.load(modules, entry_points=False)
    return {
        name: manager.get(KgSourceSpec, name)
        for name in ("string", "bioplex", "go", "reactome", "gears_go", "edges", "gmt")
    }


def graph(source: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from dygenept.types import Runtime

        spec = sources()[source]
        options = (
            {"propagate": True} if source == "go" and (folder / "go-basic.obo").exists() else {}
        )
        is_users = source in ("edges", "gmt", "gears_go")
        path = file_of(folder, "") if is_users else folder
        built = spec.factory(spec.config(path=str(path), **options))
        found = built.graph(GENES, Runtime(cache_dir=None))
        assert found.weights.shape == (len(GENES), len(GENES))
        return found

    return read


for _name, _source in (
    ("graph_string", "string"), ("graph_string_json", "string"), ("graph_go", "go"), ("graph_go_json", "go"),
    ("graph_bioplex", "bioplex"), ("graph_bioplex_json", "bioplex"), ("graph_reactome", "reactome"),
    ("graph_reactome_ncbi", "reactome"), ("graph_reactome_json", "reactome"), ("graph_gears", "gears_go"),
    ("graph_edges_gz", "edges"), ("graph_gmt", "gmt"),
):  # fmt: skip
    reader(_name)(graph(_source))


@reader("zarr_v2", "zarr_v3")
def _(folder: Path) -> object:
    import warnings

    from dygenept.data.reading.anndata_file import read_anndata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_anndata(folder / "cells.zarr")


@reader("h5ad", "h5ad_gzip")
def _(folder: Path) -> object:
    from dygenept.data.reading.anndata_file import read_anndata

    found = read_anndata(folder / "cells.h5ad")
    assert len(found.gene_ids) == len(found.gene_symbols) == found.n_genes
    return found


@reader(
    "submission_csv",
    "submission_tsv",
    "submission_parquet",
    "submission_npz",
    "submission_h5ad",
    "submission_long",
)
def _(folder: Path) -> object:
    from dygenept.results.submission import read_submission
    from dygenept.results.submission_match import MatchedSubmission

    submission = read_submission(file_of(folder, ""), is_delta=folder.name.endswith("long"))
    assert submission.values.shape == (len(submission.labels), len(submission.genes))
    matched = MatchedSubmission(submission, data())
    conditions = data().conditions
    mismatch = matched.mismatch([(0, conditions)])
    filled = matched.expression(conditions, task(), 0)
    assert filled.shape == (len(conditions), data().n_genes)
    return mismatch.lacks(), mismatch.ignored()


@reader("answer_parquet", "answer_csv", "answer_npz")
def _(folder: Path) -> object:
    from dygenept.plugin.isolated.answer import read_answer

    values = read_answer(folder, data().conditions, task())
    assert values.shape == (len(data().conditions), data().n_genes)
    return values


@reader("kept")
def _(folder: Path) -> object:
    from dygenept.results.store import read_kept_table

    return read_kept_table(folder / "kept.parquet")


@reader("record")
def _(folder: Path) -> object:
    from dygenept.leaderboard.board_key import group_records
    from dygenept.results.store import read_record

    return group_records([read_record(folder / "record.json")])


@reader("split")
def _(folder: Path) -> object:
    from dygenept_plugins.splits.manifest import Manifest, ManifestConfig

    return Manifest(ManifestConfig(path=folder / "split.json")).folds(data(), n_folds=1, seed=0)


@reader("checksum")
def _(folder: Path) -> object:
    from dygenept.machine.checksums import read_record, verify_file

    return read_record(folder / "data.bin"), verify_file(folder / "data.bin")


@reader("artefact")
def _(folder: Path) -> object:
    from dygenept.knowledge.precompute.manifests import MadeOf, current_manifest

    return current_manifest(folder, "a", MadeOf("1", {"x": "y"}, {"k": 1}))


@reader("zip")
def _(folder: Path) -> object:
    from dygenept.machine.archives import check_zip, extract_member

    extract_member(folder / "data.zip", "file.tsv", folder / "file.tsv")
    assert {path.name for path in folder.iterdir()} == {"data.zip", "file.tsv"}
    check_zip(folder / "data.zip", called="data.zip")
    return True


@reader("knowledge")
def _(folder: Path) -> object:
    from dygenept.knowledge.store.knowledge_files import (
        read_confidence,
        read_header,
        read_knowledge,
        read_origins,
    )

    path = folder / "knowledge.safetensors"
    read_header(path)
    return read_knowledge(path), read_confidence(path), read_origins(path)


@reader(
    "original_pt",
    "original_npz",
    "original_safetensors",
    "genept_pickle",
    "genept_npz",
    "genept_parquet",
    "genept_csv",
    "genept_csv_gz",
)
def _(folder: Path) -> object:
    from dygenept.knowledge.store.knowledge_files import read_knowledge

    return read_knowledge(file_of(folder, ""))


@reader("vectors")
def _(folder: Path) -> object:
    from dygenept.knowledge.store.vector_files import read_vectors

    return read_vectors(folder).dense()


@reader("embedding_cache")
def _(folder: Path) -> object:
    from dygenept.knowledge.store.embedding_cache import EmbeddingCache

    cache = EmbeddingCache(folder, "x")
    place = folder / "embeddings" / hashlib.sha256(b"x").hexdigest()[:24]
    place.mkdir(parents=True)
    (folder / "shard.safetensors").rename(place / "shard.safetensors")
    found = cache.read(["a", "b", "c"])
    return found or None


@reader("scgpt_pt", "scgpt_safetensors")
def _(folder: Path) -> object:
    from dygenept_plugins.networks.scgpt_checkpoint import read_checkpoint

    return read_checkpoint(folder).build()


@reader("scgpt_cache")
def _(folder: Path) -> object:
    import torch

    from dygenept_plugins.networks.scgpt_cache_files import CacheFolder

    cache = CacheFolder(folder, "f" * 32, torch.float32, 4)
    cache.path.mkdir()
    (folder / "cells.safetensors").rename(cache.path / "cells.safetensors")
    stored = cache.read()
    for item in stored:
        assert item.states.shape[1] == 4
        assert all(0 <= row <= len(item.states) for row in item.first.values())
    return stored or None


@reader("graph_cache")
def _(folder: Path) -> object:
    from dygenept.knowledge.graph.cache import GraphCache

    # With a checksum that fits, the content itself is looked at.
    manifest = folder / "graph.json"
    digest = hashlib.sha256((folder / "graph.npz").read_bytes()).hexdigest()
    content = re.sub(
        rb'"matrix_sha256": "\w+"', f'"matrix_sha256": "{digest}"'.encode(), manifest.read_bytes()
    )
    manifest.write_bytes(content)
    (folder / "graphs").mkdir()
    for name in ("graph.json", "graph.npz"):
        (folder / name).rename(folder / "graphs" / name)
    found = GraphCache(folder).read("graph")
    if found is not None:
        assert found.upper.shape == (len(found.genes),) * 2
        (found.upper + found.upper.T).sum()
    return found


def training(folder: Path) -> Any:
    """Return a small network with its optimizer, average and checkpoint."""
    import torch

    from dygenept.model.training.checkpoint import Checkpoint
    from dygenept.model.training.optimisation import WeightAverage

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(network.parameters())
    return (
        network,
        optimizer,
        WeightAverage(network, 0.9),
        Checkpoint(folder / "training.safetensors", "print"),
    )


@reader("checkpoint")
def _(folder: Path) -> object:
    import torch

    network, optimizer, average, checkpoint = training(folder)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = checkpoint.load(network=network, optimizer=optimizer, average=average)
    if state is None:
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        assert not average.n_updates
        assert not optimizer.state_dict()["state"]
    # What was put back must serve the next step.
    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    average.update()
    return state


@reader("truth")
def _(folder: Path) -> object:
    from dygenept.data.simulated.truth import read_truth

    return read_truth(folder / "cells.truth.npz")


@functools.cache
def environment() -> Any:
    from dygenept.plugin.environment import Environment

    return Environment.load()


@reader("saved_model")
def _(folder: Path) -> object:
    from dygenept.runs.saved_model import load_model
    from dygenept.types import Runtime

    model, manifest = load_model(folder, environment(), Runtime(cache_dir=None))
    return model, json.dumps(manifest.model)
