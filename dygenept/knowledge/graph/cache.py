"""Graphs on disk, so that a publisher's file is parsed once: a SciPy npz and a JSON manifest."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from dygenept.errors import DataError
from dygenept.knowledge.graph.whole_graph import WholeGraph
from dygenept.machine.reading import check_arrays, reading
from dygenept.machine.whole_files import write_whole

logger = logging.getLogger(__name__)


class GraphManifest(BaseModel):
    """What is kept beside a cached graph.

    Attributes:
        schema_version: Version of this document.
        source: Name of the source.
        layout: Layout of its files.
        identity: What determined the graph; names the cache's files.
        inputs: SHA-256 of each file read, by path.
        config: Options of the source.
        versions: Versions of dygenept, the reader and the gene tables.
        matrix_sha256: SHA-256 of the npz file.
        genes: Gene symbols, sorted.
        n_records: See ``WholeGraph``; so for the other counts.
        dropped: See ``WholeGraph``.
        n_renamed: See ``WholeGraph``.
        n_unknown: See ``WholeGraph``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    source: str
    layout: str
    identity: str
    inputs: Mapping[str, str]
    config: Mapping[str, object]
    versions: Mapping[str, str]
    matrix_sha256: str = ""
    genes: tuple[str, ...] = ()
    n_records: int = 0
    dropped: Mapping[str, int] = {}
    n_renamed: int = 0
    n_unknown: int = 0


class GraphCache:
    """Parsed graphs in one folder.

    Args:
        cache_dir: Folder of all computed knowledge; None keeps nothing.
    """

    def __init__(self, cache_dir: Path | None) -> None:
        self._folder = None if cache_dir is None else cache_dir / "graphs"

    def read(self, identity: str) -> WholeGraph | None:
        """Return a graph that is there and whole; a damaged one is warned of and left out."""
        if self._folder is None:
            return None
        manifest_path, matrix_path = self._paths(identity)
        if not manifest_path.is_file() or not matrix_path.is_file():
            return None
        mend = "it is read again from its files"
        try:
            with reading(matrix_path, "a cached graph", mend=mend):
                return _read(manifest_path, matrix_path)
        except DataError as error:
            logger.warning("%s", error)
            return None

    def write(self, graph: WholeGraph, manifest: GraphManifest) -> None:
        """Keep a graph; the manifest comes last, so that one is never without its matrix."""
        if self._folder is None:
            return
        from scipy import sparse

        buffer = io.BytesIO()
        # SciPy chooses 64-bit indices for some products; half of them would be zeros on disk.
        upper = graph.upper.copy()
        upper.indices, upper.indptr = _compact(upper.indices), _compact(upper.indptr)
        sparse.save_npz(buffer, upper)
        content = buffer.getvalue()
        whole = manifest.model_copy(
            update={
                "matrix_sha256": hashlib.sha256(content).hexdigest(),
                "genes": graph.genes,
                "n_records": graph.n_records,
                "dropped": dict(graph.dropped),
                "n_renamed": graph.n_renamed,
                "n_unknown": graph.n_unknown,
            }
        )
        manifest_path, matrix_path = self._paths(manifest.identity)
        try:
            # A reader trusts a manifest that it sees, so the matrix must be complete before it.
            write_whole(matrix_path, content)
            write_whole(manifest_path, (whole.model_dump_json(indent=1) + "\n").encode())
        except OSError as error:
            logger.warning("graph is not cached in %s: %s", self._folder, error)

    def _paths(self, identity: str) -> tuple[Path, Path]:
        folder = self._folder or Path()
        return folder / f"{identity}.json", folder / f"{identity}.npz"


def _read(manifest_path: Path, matrix_path: Path) -> WholeGraph:
    from scipy import sparse

    manifest = GraphManifest.model_validate_json(manifest_path.read_bytes())
    content = matrix_path.read_bytes()
    # An interrupted write of another version may have left a matrix without its manifest.
    if hashlib.sha256(content).hexdigest() != manifest.matrix_sha256:
        raise ValueError("its checksum is not the one of its manifest")
    check_arrays(matrix_path)
    upper = sparse.load_npz(io.BytesIO(content))
    if upper.shape != (len(manifest.genes),) * 2:
        raise ValueError(f"it is {upper.shape} for {len(manifest.genes)} genes")
    if upper.dtype.kind != "f" or not np.isfinite(upper.data).all():
        raise ValueError("its weights are not numbers")
    # Compared, since a difference may be beyond the largest integer.
    if np.any(upper.indptr[1:] < upper.indptr[:-1]):
        raise ValueError("its rows do not follow one another")
    upper.check_format(full_check=True)
    return WholeGraph(
        genes=manifest.genes,
        upper=upper,
        n_records=manifest.n_records,
        dropped=manifest.dropped,
        n_renamed=manifest.n_renamed,
        n_unknown=manifest.n_unknown,
    )


def _compact(array: np.ndarray) -> np.ndarray:
    return array.astype(np.int32) if array.max(initial=0) < np.iinfo(np.int32).max else array
