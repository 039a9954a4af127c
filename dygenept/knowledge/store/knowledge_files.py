"""Files of gene knowledge: safetensors whose metadata says what they are, and those of others."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError, DataUnavailableError
from dygenept.knowledge.facets.origins import TENSORS, FacetOrigins
from dygenept.knowledge.store.formats.gene_vectors import (
    PICKLE_SUFFIXES,
    TABLE_SUFFIXES,
    read_gene_vectors,
)
from dygenept.knowledge.store.formats.original import read_original
from dygenept.machine.reading import reading
from dygenept.machine.whole_files import replaced_whole
from dygenept.types import FloatArray, GeneKnowledge

FORMAT = "dygenept-knowledge-1"
# Files of other projects; dygenept's own are safetensors.
FOREIGN_SUFFIXES: tuple[str, ...] = (".pt", ".pth", ".npz", *PICKLE_SUFFIXES, *TABLE_SUFFIXES)


def write_knowledge(
    knowledge: GeneKnowledge,
    path: Path,
    *,
    origins: FacetOrigins | None = None,
    imputed_with: Mapping[str, object] | None = None,
) -> None:
    """Write knowledge as safetensors, its names as JSON in the metadata.

    Args:
        knowledge: Facets of genes.
        path: The file; replaced as a whole.
        origins: Where each facet is from; readers that know nothing of it pass over it.
        imputed_with: Knowledge graphs and options behind imputed facets; recorded as it is.
    """
    from safetensors.numpy import save_file

    document = {
        "format": FORMAT,
        "name": knowledge.name,
        "sha256": knowledge.sha256,
        "genes": knowledge.genes,
        "facet_names": knowledge.facet_names,
        "imputed_with": imputed_with,
        "sources": () if origins is None else origins.sources,
    }
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "values": np.ascontiguousarray(knowledge.values, dtype=np.float32),
        "confidence": np.ascontiguousarray(knowledge.confidence, dtype=np.float32),
        **({} if origins is None else origins.tensors()),
    }
    with replaced_whole(path, sweeps=True) as temporary:
        save_file(tensors, temporary, metadata={"dygenept": json.dumps(document)})


def read_header(path: Path) -> dict[str, object] | None:
    """Return what a knowledge file says of itself, its tensors unread; None if it is none."""
    from safetensors import safe_open

    try:
        with reading(path, "gene knowledge"), safe_open(path, framework="numpy") as opened:
            document = json.loads((opened.metadata() or {})["dygenept"])
    except DataError:
        return None
    return document if isinstance(document, dict) else None


def read_confidence(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], FloatArray]:
    """Read a knowledge file but for its vectors.

    Returns:
        Genes, facet names, and confidence, (n_genes, K).

    Raises:
        DataError: If it is damaged or something else.
    """
    if is_foreign(path):
        knowledge = read_foreign(path)
        return knowledge.genes, knowledge.facet_names, knowledge.confidence
    with _opened(path) as (document, tensors):
        genes, facet_names = _names(document, "genes"), _names(document, "facet_names")
        return genes, facet_names, tensors.get_tensor("confidence")


def read_origins(path: Path) -> FacetOrigins | None:
    """Return where the facets of a knowledge file are from; None where it does not say.

    Raises:
        DataError: If it says so in a damaged way.
    """
    if read_header(path) is None:
        return None
    with _opened(path) as (document, tensors):
        if TENSORS[0] not in tensors.keys():
            return None
        # The names of the tensors are in the order of the record's arrays.
        codes, informed, starts, neighbours, weights, source_codes = (
            tensors.get_tensor(name) for name in TENSORS
        )
        return FacetOrigins(
            codes=codes,
            informed=informed,
            starts=starts,
            neighbours=neighbours,
            weights=weights,
            source_codes=source_codes,
            sources=_names(document, "sources"),
        )


def read_knowledge(path: Path) -> GeneKnowledge:
    """Read a file of ``write_knowledge``, or of another project's format that is known.

    Raises:
        DataUnavailableError: If there is no such file.
        DataError: If it is damaged or something else.
    """
    if not path.is_file():
        raise DataUnavailableError(f"no knowledge file {path}")
    if is_foreign(path):
        return read_foreign(path)
    with _opened(path) as (document, tensors):
        if document["format"] != FORMAT:
            raise DataError(
                f"{path} is of format {document['format']!r}; this version reads {FORMAT!r}"
            )
        knowledge = GeneKnowledge(
            name=str(document["name"]),
            sha256=str(document["sha256"]),
            genes=_names(document, "genes"),
            facet_names=_names(document, "facet_names"),
            values=tensors.get_tensor("values"),
            confidence=tensors.get_tensor("confidence"),
        )
    _check_read(knowledge, path)
    return knowledge


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Mapping[str, object], Any]]:
    """Open a knowledge file: its header and its tensors; what fails while it is open is damage."""
    from safetensors import safe_open

    mend = "build it again or use --facets go_minilm"
    with (
        reading(path, "gene knowledge of dygenept", mend=mend),
        safe_open(path, framework="numpy") as tensors,
    ):
        yield json.loads((tensors.metadata() or {})["dygenept"]), tensors


def _names(document: Mapping[str, object], field: str) -> tuple[str, ...]:
    names = document[field]
    if not isinstance(names, list):
        raise TypeError(f"{field} is not a list")
    return tuple(map(str, names))


def _check_read(knowledge: GeneKnowledge, path: Path) -> None:
    confidence = knowledge.confidence
    if len(set(knowledge.genes)) != len(knowledge.genes):
        raise DataError(f"{path} names a gene twice")
    if not np.isfinite(knowledge.values).all():
        raise DataError(f"{path} contains NaN or infinite values")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise DataError(f"{path} contains confidence outside [0, 1]")


def is_foreign(path: Path) -> bool:
    """True if a file that is there is of another project's format, by its suffix and content."""
    name = path.name.lower()
    if name.endswith(FOREIGN_SUFFIXES):
        return True
    return name.endswith(".safetensors") and _is_original_safetensors(path)


def read_foreign(path: Path) -> GeneKnowledge:
    """Read a knowledge file of another project's format.

    Raises:
        DataError: If it is damaged, refused, or of no format that is known.
    """
    name = path.name.lower()
    if name.endswith((".pt", ".pth", ".safetensors")):
        return read_original(path)
    if name.endswith(".npz"):
        return read_original(path) if _is_original_npz(path) else read_gene_vectors(path)
    if name.endswith((*PICKLE_SUFFIXES, *TABLE_SUFFIXES)):
        return read_gene_vectors(path)
    raise DataError(
        f"{path} is of no format that is read; known: .safetensors, {', '.join(FOREIGN_SUFFIXES)}"
    )


def _is_original_npz(path: Path) -> bool:
    with reading(path, "an .npz file of plain arrays"), zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    return {"tensor.npy", "facet_names.npy"} <= names


def _is_original_safetensors(path: Path) -> bool:
    from safetensors import safe_open

    with reading(path, "gene knowledge"), safe_open(path, framework="numpy") as opened:
        metadata = opened.metadata() or {}
    return "dygenept" not in metadata and "gene_to_idx" in metadata
