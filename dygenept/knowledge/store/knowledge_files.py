"""Files of gene knowledge: safetensors whose metadata says what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError, DataUnavailableError, ShapeError
from dygenept.knowledge.facets.origins import TENSORS, FacetOrigins
from dygenept.knowledge.store.formats.detection import is_foreign, read_foreign
from dygenept.machine.whole_files import replaced_whole
from dygenept.types import FloatArray, GeneKnowledge

FORMAT = "dygenept-knowledge-1"
# Texts embedded between two writes of the cache: what an interrupted run can lose.
CHUNK = 512


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
    with replaced_whole(path) as temporary:
        save_file(tensors, temporary, metadata={"dygenept": json.dumps(document)})


def read_header(path: Path) -> dict[str, object] | None:
    """Return what a knowledge file says of itself, its tensors unread; None if it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as opened:
            document = json.loads((opened.metadata() or {})["dygenept"])
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def read_confidence(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], FloatArray]:
    """Read a knowledge file but for its vectors.

    Returns:
        Genes, facet names, and confidence, (n_genes, K).

    Raises:
        DataError: If it is damaged or something else.
    """
    from safetensors import SafetensorError, safe_open

    if is_foreign(path):
        knowledge = read_foreign(path)
        return knowledge.genes, knowledge.facet_names, knowledge.confidence
    document = read_header(path)
    try:
        if document is None:
            raise ValueError("it has no header of ours")
        with safe_open(path, framework="numpy") as opened:
            confidence = opened.get_tensor("confidence")
        genes, names = document["genes"], document["facet_names"]
        if not isinstance(genes, list) or not isinstance(names, list):
            raise TypeError("genes and facets are not lists")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not gene knowledge of dygenept, or is damaged ({error})") from (
            error
        )
    return tuple(map(str, genes)), tuple(map(str, names)), confidence


def read_origins(path: Path) -> FacetOrigins | None:
    """Return where the facets of a knowledge file are from; None where it does not say.

    Raises:
        DataError: If it says so in a damaged way.
    """
    from safetensors import SafetensorError, safe_open

    document = read_header(path)
    if document is None:
        return None
    try:
        with safe_open(path, framework="numpy") as opened:
            if TENSORS[0] not in opened.keys():
                return None
            codes, informed, starts, rows, weights, source_codes = (
                opened.get_tensor(name) for name in TENSORS
            )
        sources = document["sources"]
        if not isinstance(sources, list):
            raise TypeError("sources are not a list")
        return FacetOrigins(
            codes=codes,
            informed=informed,
            starts=starts,
            neighbours=rows,
            weights=weights,
            source_codes=source_codes,
            sources=tuple(map(str, sources)),
        )
    except (SafetensorError, OSError, KeyError, TypeError, ShapeError) as error:
        raise DataError(
            f"{path}: its record of origins is damaged ({error}); build it again"
        ) from (error)


def read_knowledge(path: Path) -> GeneKnowledge:
    """Read a file of ``write_knowledge``, or of another project's format that is known.

    Raises:
        DataUnavailableError: If there is no such file.
        DataError: If it is damaged or something else.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise DataUnavailableError(f"no knowledge file {path}")
    if is_foreign(path):
        return read_foreign(path)
    try:
        with safe_open(path, framework="numpy") as opened:
            document = json.loads((opened.metadata() or {})["dygenept"])
            if document["format"] != FORMAT:
                raise DataError(
                    f"{path} is of format {document['format']!r}; this version reads {FORMAT!r}"
                )
            knowledge = GeneKnowledge(
                name=str(document["name"]),
                sha256=str(document["sha256"]),
                genes=tuple(map(str, document["genes"])),
                facet_names=tuple(map(str, document["facet_names"])),
                values=opened.get_tensor("values"),
                confidence=opened.get_tensor("confidence"),
            )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is not gene knowledge of dygenept, or is damaged ({error}); "
            "build it again or use --facets go_minilm"
        ) from error
    _check_read(knowledge, path)
    return knowledge


def _check_read(knowledge: GeneKnowledge, path: Path) -> None:
    confidence = knowledge.confidence
    if len(set(knowledge.genes)) != len(knowledge.genes):
        raise DataError(f"{path} names a gene twice")
    if not np.isfinite(knowledge.values).all():
        raise DataError(f"{path} contains NaN or infinite values")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise DataError(f"{path} contains confidence outside [0, 1]")
