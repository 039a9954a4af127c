"""Small valid files of every format, made by the project's own writers and the usual libraries."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

from fuzz.text_seeds import MAKERS, seed

SOURCE = Path(__file__).resolve().parents[1]
SHAPE = {"n_genes": 20, "n_cells": 3, "n_controls": 8, "n_singles": 4, "n_doubles": 1}


def make_seeds(folder: Path, names: tuple[str, ...]) -> None:
    """Write the files of some readers, a folder for each."""
    for name in names:
        target = folder / name
        target.mkdir(parents=True)
        MAKERS[name](target)


def toy() -> Any:
    from dygenept.testing import ToyShape, toy_data

    return toy_data(ToyShape(**SHAPE))


@seed("facets")
def _(folder: Path) -> None:
    from dygenept.types import FACETS

    lines = [
        {
            "gene": gene,
            "facets": dict.fromkeys(FACETS, "text") | {FACETS[0]: None},
            "regenerated": partners,
        }
        for gene, partners in (
            ("KLF1", {}),
            ("TP53", {FACETS[0]: [{"gene": "KLF1", "weight": 0.5, "source": "s"}]}),
        )
    ]
    (folder / "facets.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@seed("corpus")
def _(folder: Path) -> None:
    from dygenept.knowledge.genes.corpus import CorpusEntry, write_corpus

    write_corpus(
        [CorpusEntry("KLF1", description="x", go=("a",)), CorpusEntry("TP53")],
        folder / "corpus.jsonl",
    )


@seed("journal")
def _(folder: Path) -> None:
    from dygenept_plugins.facet_writers.llm.journal import Journal

    journal = Journal(folder / "journal.jsonl")
    with journal.writing():
        for gene in ("KLF1", "TP53"):
            journal.append({"outcome": "answer", "key": gene, "texts": ["a", None]})
    Path(f"{journal.path}.lock").unlink(missing_ok=True)


@seed("h5ad", "h5ad_gzip")
def _(folder: Path) -> None:
    import anndata

    from dygenept.testing import ToyShape, write_toy_h5ad

    path = write_toy_h5ad(folder / "cells.h5ad", ToyShape(**SHAPE))
    if folder.name.endswith("gzip"):
        adata = anndata.read_h5ad(path)
        adata.layers["counts"] = adata.X.copy()
        adata.X = adata.X.toarray()
        adata.write_h5ad(path, compression="gzip")


def submission() -> tuple[list[str], list[str], Any]:
    import numpy as np

    data = toy()
    labels = [item.label for item in data.perturbations]
    values = np.random.default_rng(0).random((len(labels), data.n_genes)).astype(np.float32)
    return labels, list(data.gene_symbols), values


@seed("submission_csv", "submission_tsv", "submission_parquet")
def _(folder: Path) -> None:
    import polars as pl

    labels, genes, values = submission()
    table = pl.DataFrame(
        {"perturbation": labels, "cell_type": ["toy_a"] * len(labels), "fold": [1] * len(labels)}
    )
    table = table.hstack(pl.DataFrame(dict(zip(genes, values.T.tolist(), strict=True))))
    kind = folder.name.rpartition("_")[2]
    if kind == "parquet":
        table.write_parquet(folder / "sub.parquet")
    else:
        table.write_csv(folder / f"sub.{kind}", separator="\t" if kind == "tsv" else ",")


@seed("submission_long")
def _(folder: Path) -> None:
    import polars as pl

    labels, genes, values = submission()
    rows = [
        (label, gene, values[row, column])
        for row, label in enumerate(labels)
        for column, gene in enumerate(genes)
    ]
    pl.DataFrame(rows, schema=["perturbation", "gene", "delta"], orient="row").write_csv(
        folder / "sub.csv"
    )


@seed("submission_npz")
def _(folder: Path) -> None:
    import numpy as np

    labels, genes, values = submission()
    folds, types = np.ones(len(labels), int), np.array(["toy_a"] * len(labels))
    np.savez(
        folder / "sub.npz",
        perturbations=np.array(labels),
        genes=np.array(genes),
        values=values,
        folds=folds,
        cell_types=types,
    )


@seed("submission_h5ad")
def _(folder: Path) -> None:
    import anndata
    import pandas as pd

    labels, genes, values = submission()
    obs = pd.DataFrame(
        {"condition": labels, "cell_type": "toy_a", "fold": 1},
        index=[f"r{n}" for n in range(len(labels))],
    )
    anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=genes)).write_h5ad(folder / "sub.h5ad")


@seed("answer_parquet", "answer_csv", "answer_npz")
def _(folder: Path) -> None:
    import numpy as np
    import polars as pl

    data = toy()
    labels = [condition.label for condition in data.conditions]
    types = [condition.cell_type for condition in data.conditions]
    values = np.random.default_rng(0).random((len(labels), data.n_genes))
    if folder.name.endswith("npz"):
        np.savez(
            folder / "predictions.npz",
            perturbation=np.array(labels),
            cell_type=np.array(types),
            expression=values,
        )
        return
    table = pl.DataFrame({"perturbation": labels, "cell_type": types})
    table = table.hstack(pl.DataFrame(dict(zip(data.gene_ids, values.T.tolist(), strict=True))))
    if folder.name.endswith("csv"):
        table.write_csv(folder / "predictions.csv")
    else:
        table.write_parquet(folder / "predictions.parquet")


@seed("kept")
def _(folder: Path) -> None:
    import numpy as np

    from dygenept.results.store import ResultsStore
    from dygenept.types import Predictions

    data = toy()
    values = np.random.default_rng(0).random((len(data.conditions), data.n_genes))
    ResultsStore(folder).write_predictions(
        "a" * 32, Predictions(tuple(data.conditions), values), data.gene_ids
    )
    (folder / "predictions" / f"{'a' * 32}.parquet").rename(folder / "kept.parquet")
    shutil.rmtree(folder / "predictions")


@seed("record")
def _(folder: Path) -> None:
    shutil.copy(SOURCE / "core/results/fixtures/simulated_record_v1.json", folder / "record.json")


@seed("split")
def _(folder: Path) -> None:
    from dygenept.data.splits import split_to_json
    from dygenept.testing.toy import toy_fold
    from dygenept.types import Split

    data = toy()
    split = Split("kfold", 1, 42, data.sha256, (toy_fold(data),))
    (folder / "split.json").write_text(split_to_json(split))


@seed("checksum")
def _(folder: Path) -> None:
    from dygenept.machine.checksums import verify_file

    (folder / "data.bin").write_bytes(b"x" * 64)
    verify_file(folder / "data.bin")
    assert (folder / "data.bin.sha256.json").is_file()


@seed("artefact")
def _(folder: Path) -> None:
    from dygenept.knowledge.precompute.manifests import MadeOf, write_manifest

    (folder / "a.txt").write_text("x")
    write_manifest(
        folder, "a", MadeOf("1", {"x": "y"}, {"k": 1}), files=["a.txt"], counts={"genes": 3}
    )


@seed("zip")
def _(folder: Path) -> None:
    with zipfile.ZipFile(folder / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/file.tsv", "a\tb\n" * 200)
        archive.writestr("folder/other.txt", "x")


@seed("knowledge")
def _(folder: Path) -> None:
    import numpy as np

    from dygenept.knowledge.facets.origins import FacetOrigins
    from dygenept.knowledge.store.knowledge_files import write_knowledge
    from dygenept.testing.toy_knowledge import toy_knowledge

    knowledge = toy_knowledge(text_width=4)
    shape = knowledge.confidence.shape
    origins = FacetOrigins(
        codes=np.zeros(shape, np.int8),
        informed=np.array([[0, 1]], np.int32),
        starts=np.array([0, 2], np.int64),
        neighbours=np.array([1, 2], np.int32),
        weights=np.array([0.5, 0.2], np.float32),
        source_codes=np.zeros(2, np.uint8),
        sources=("string",),
    )
    write_knowledge(
        knowledge, folder / "knowledge.safetensors", origins=origins, imputed_with={"a": 1}
    )


@seed("vectors")
def _(folder: Path) -> None:
    import numpy as np

    from dygenept.knowledge.store.embedding import FacetVectors
    from dygenept.knowledge.store.vector_files import write_vectors
    from dygenept.types import FACETS

    index = np.arange(3 * len(FACETS), dtype=np.int32).reshape(3, -1) - 1
    vectors = np.random.default_rng(0).random((index.max() + 1, 4)).astype(np.float32)
    write_vectors(FacetVectors(("KLF1", "TP53", "MAPK1"), index, vectors), folder, shard_bytes=200)


@seed("embedding_cache")
def _(folder: Path) -> None:
    import numpy as np

    from dygenept.knowledge.store.embedding_cache import EmbeddingCache

    EmbeddingCache(folder, "x").write(["a", "b", "c"], np.eye(3, dtype=np.float32))
    (shard,) = folder.rglob("*.safetensors")
    shutil.move(shard, folder / "shard.safetensors")
    shutil.rmtree(folder / "embeddings")


@seed("original_pt", "original_npz", "original_safetensors")
def _(folder: Path) -> None:
    from dygenept.knowledge.store.formats.original import write_original
    from dygenept.testing.toy_knowledge import toy_knowledge

    write_original(toy_knowledge(text_width=4), folder / f"tensor.{folder.name.partition('_')[2]}")


@seed("genept_pickle", "genept_npz", "genept_parquet", "genept_csv", "genept_csv_gz")
def _(folder: Path) -> None:
    import numpy as np
    import polars as pl

    genes = ("KLF1", "TP53", "MAPK1")
    vectors = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    table = pl.DataFrame({"gene": genes, **{f"v{n}": vectors[:, n] for n in range(4)}})
    match folder.name:
        case "genept_pickle":
            kept = {gene: row.tolist() for gene, row in zip(genes, vectors, strict=True)} | {
                "ARRAY": vectors[0]
            }
            (folder / "genept.pickle").write_bytes(pickle.dumps(kept))
        case "genept_npz":
            np.savez_compressed(folder / "genept.npz", genes=np.array(genes), vectors=vectors)
        case "genept_parquet":
            table.write_parquet(folder / "genept.parquet")
        case "genept_csv":
            table.write_csv(folder / "genept.csv")
        case _:
            written = io.BytesIO()
            table.write_csv(written)
            (folder / "genept.csv.gz").write_bytes(gzip.compress(written.getvalue(), mtime=0))


@seed("scgpt_pt", "scgpt_safetensors")
def _(folder: Path) -> None:
    source = SOURCE / "plugins" / "scgpt_fixtures"
    for name in ("args.json", "vocab.json"):
        shutil.copy(source / name, folder / name)
    if folder.name.endswith("pt"):
        shutil.copy(source / "best_model.pt", folder / "best_model.pt")
        return
    import torch
    from safetensors.torch import save_file

    weights = torch.load(source / "best_model.pt", weights_only=True)
    save_file(
        {name: value.contiguous().clone() for name, value in weights.items()},
        folder / "model.safetensors",
    )


@seed("scgpt_cache")
def _(folder: Path) -> None:
    import numpy as np
    import torch

    from dygenept_plugins.networks.scgpt_cache_files import CacheFolder

    cache = CacheFolder(folder, "f" * 32, torch.float32, 4)
    cache.path.mkdir()
    cache.write([b"a" * 16, b"b" * 16], np.array([2, 3]), [torch.ones(5, 4)])
    (shard,) = cache.path.glob("*.safetensors")
    shutil.move(shard, folder / "cells.safetensors")
    cache.path.rmdir()


@seed("graph_cache")
def _(folder: Path) -> None:
    import numpy as np
    from scipy import sparse

    from dygenept.knowledge.graph.cache import GraphCache, GraphManifest
    from dygenept.knowledge.graph.whole_graph import WholeGraph

    upper = sparse.csr_matrix(np.triu(np.full((3, 3), 0.5, np.float32), 1))
    graph = WholeGraph(
        genes=("GATA1", "KLF1", "TP53"),
        upper=upper,
        n_records=3,
        dropped={},
        n_renamed=0,
        n_unknown=0,
    )
    manifest = GraphManifest(
        source="s", layout="l", identity="graph", inputs={}, config={}, versions={}
    )
    GraphCache(folder).write(graph, manifest)
    for path in (folder / "graphs").iterdir():
        shutil.move(path, folder / path.name)
    (folder / "graphs").rmdir()


@seed("checkpoint")
def _(folder: Path) -> None:
    from fuzz.readers import training

    network, optimizer, average, checkpoint = training(folder)
    import torch

    from dygenept.model.training.checkpoint import TrainingState

    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    average.update()
    best = {name: value.clone() for name, value in network.state_dict().items()}
    state = TrainingState(1, 1, torch.tensor(0.5), [0.5], [0.1], 1, 0.1, best)
    checkpoint.save(state, network=network, optimizer=optimizer, average=average)


@seed("truth")
def _(folder: Path) -> None:
    from dataclasses import fields

    import numpy as np

    from dygenept.data.simulated.truth import PlantedTruth

    shapes: dict[str, Any] = {
        "delta": (2, 5), "log_fold": (2, 5), "responsible": (2,), "responsible_by_state": (2, 2),
        "priority": (2, 8), "state_shares": (2,), "state_codes": (6,), "program_facets": (3,),
        "program_effects": (3, 5), "target_programs": (2, 8),
    }  # fmt: skip
    whole = ("responsible", "responsible_by_state", "priority", "program_facets", "target_programs")
    arrays: dict[str, Any] = {
        name: np.zeros(shape, "i4" if name in whole else "i1" if name == "state_codes" else "f4")
        for name, shape in shapes.items()
    }
    names = {"labels": 2, "target_genes": 2, "program_terms": 3, "facet_names": 8}
    arrays |= {name: np.array([f"{name}{n}" for n in range(size)]) for name, size in names.items()}
    assert set(arrays) == {field.name for field in fields(PlantedTruth)}
    np.savez_compressed(folder / "cells.truth.npz", **arrays)


@seed("saved_model")
def _(folder: Path) -> None:
    from dygenept.testing import ToyShape, write_toy_h5ad
    from dygenept_cli.main import app

    path = write_toy_h5ad(folder / "cells.h5ad", ToyShape(**SHAPE))
    command = [
        "train",
        "--dataset",
        str(path),
        "--model",
        "dygenept_small",
        "--folds",
        "2",
        "--output",
        str(folder),
    ]
    app([*command, "--set", "training.epochs=1"], standalone_mode=False)
    path.unlink()
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for extra in (*folder.glob("*.sha256.json"), *folder.glob("*.lock")):
        extra.unlink()


if __name__ == "__main__":
    make_seeds(Path(sys.argv[1]), tuple(sys.argv[2:]) or tuple(MAKERS))
