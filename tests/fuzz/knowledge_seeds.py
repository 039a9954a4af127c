"""Small valid files of what is known of genes."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import shutil
from pathlib import Path

from fuzz.text_seeds import seed


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


@seed("artefact")
def _(folder: Path) -> None:
    from dygenept.knowledge.precompute.manifests import MadeOf, write_manifest

    (folder / "a.txt").write_text("x")
    write_manifest(
        folder, "a", MadeOf("1", {"x": "y"}, {"k": 1}), files=["a.txt"], counts={"genes": 3}
    )


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
