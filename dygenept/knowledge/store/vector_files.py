"""Step 3's artefact: the vectors of the known facets, in shards, and whose each is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dygenept.errors import DataUnavailableError
from dygenept.knowledge.store.embedding import FacetVectors
from dygenept.machine.reading import reading
from dygenept.machine.whole_files import write_whole
from dygenept.types import FACETS, FloatArray, IntArray

INDEX_NAME = "embeddings.json"
FORMAT = "dygenept-embeddings-1"
SHARD_BYTES = 2**30


def write_vectors(
    embedded: FacetVectors, folder: Path, *, shard_bytes: int = SHARD_BYTES
) -> tuple[str, ...]:
    """Write shards of at most ``shard_bytes`` of vectors, then the file that lists them.

    Returns:
        The names of all files written.
    """
    from safetensors.numpy import save

    n_texts, width = embedded.vectors.shape
    rows = max(shard_bytes // (4 * max(width, 1)), 1)
    n_shards = max(-(-n_texts // rows), 1)
    names = []
    for shard in range(n_shards):
        part = embedded.vectors[shard * rows : (shard + 1) * rows]
        tensors = {"vectors": np.ascontiguousarray(part, dtype=np.float32)}
        if shard == 0:
            tensors["index"] = np.ascontiguousarray(embedded.index, dtype=np.int32)
        names.append(f"embeddings-{shard + 1:05d}-of-{n_shards:05d}.safetensors")
        write_whole(folder / names[-1], save(tensors))
    document = {
        "format": FORMAT,
        "genes": embedded.genes,
        "facet_names": FACETS,
        "shards": names,
    }
    write_whole(folder / INDEX_NAME, (json.dumps(document) + "\n").encode())
    return (*names, INDEX_NAME)


def read_vectors(folder: Path) -> FacetVectors:
    """Read what ``write_vectors`` wrote.

    Raises:
        DataUnavailableError: If there is nothing.
        DataError: If it is damaged.
    """
    from safetensors.numpy import load_file

    path = folder / INDEX_NAME
    if not path.is_file():
        raise DataUnavailableError(f"no embedded facets in {folder}; run step 3 first")
    with reading(path, "the index of embedded facets", mend="run step 3 again"):
        document = json.loads(path.read_bytes())
        if document["format"] != FORMAT or tuple(document["facet_names"]) != FACETS:
            raise ValueError(f"format {document['format']!r} with other facets or version")
        shards = [load_file(folder / name) for name in document["shards"]]
        index = shards[0]["index"]
        vectors = np.concatenate([shard["vectors"] for shard in shards])
        genes = tuple(map(str, document["genes"]))
        if index.shape != (len(genes), len(FACETS)) or not _fits(index, vectors):
            raise ValueError("its index does not fit its genes or vectors")
    return FacetVectors(genes, index, vectors)


def _fits(index: IntArray, vectors: FloatArray) -> bool:
    is_index = index.dtype.kind == "i" and -1 <= index.min(initial=-1)
    is_table = vectors.ndim == 2 and vectors.dtype == np.float32
    return is_index and is_table and index.max(initial=-1) < len(vectors)
