"""Tells which other format a knowledge file is of, and reads it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from dygenept.errors import DataError
from dygenept.knowledge.store.formats.gene_vectors import (
    PICKLE_SUFFIXES,
    TABLE_SUFFIXES,
    read_gene_vectors,
)
from dygenept.knowledge.store.formats.original import read_original
from dygenept.machine.reading import reading
from dygenept.types import GeneKnowledge

# Files of other projects; dygenept's own are safetensors.
FOREIGN_SUFFIXES: tuple[str, ...] = (".pt", ".pth", ".npz", *PICKLE_SUFFIXES, *TABLE_SUFFIXES)


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
