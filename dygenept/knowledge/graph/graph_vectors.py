"""Vectors of genes from tables of links: rows brought to few dimensions, or diffused along links.

With M the weighed links of all genes (``links``), M ≈ U S Vᵀ cut at the largest singular values, a
gene's vector is its row of U Sᵗ, brought to unit length. With t = 1 inner products are those of the
rows themselves, as far as so few dimensions allow; every further step passes what is known once
more along links, as powers of a diffusion operator do.

Source: truncated SVD by subspace iteration (Halko, Martinsson and Tropp 2011, arXiv:0909.4061);
diffusion maps (Coifman and Lafon 2006, doi:10.1016/j.acha.2006.04.006).
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from dygenept.errors import DataError
from dygenept.knowledge.graph.links import all_links, graph_sha256, link_rows, links_genes
from dygenept.machine.reading import reading
from dygenept.machine.whole_files import write_whole
from dygenept.types import DoubleArray, FloatArray
from dygenept.types.effects import GraphName

logger = logging.getLogger(__name__)

# Raised when the same tables and options give other vectors.
VERSION = 1
N_ITERATIONS = 3
N_SPARE = 16
# Links from which a gene counts as known for sure.
ENOUGH_LINKS = 5


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """How links become vectors.

    Attributes:
        dim: Width.
        steps: Steps t of diffusion; 1 stays with the links themselves.
    """

    dim: int = 384
    steps: int = 1


@dataclass(frozen=True, slots=True)
class LinkTables:
    """Which tables of links are read, and from where.

    Attributes:
        graphs: Names of the tables; several are read side by side, each with the same weight.
        data_dir: Its folder ``graphs`` may have newer tables, which then count.
        cache_dir: Where vectors of all genes are kept; None computes them anew in each process.
    """

    graphs: tuple[GraphName, ...]
    data_dir: Path | None = None
    cache_dir: Path | None = None

    @property
    def sha256(self) -> tuple[str, ...]:
        """Hashes of what the tables are read from."""
        return tuple(graph_sha256(graph, self.data_dir) for graph in self.graphs)


def graph_vectors(
    tables: LinkTables, genes: Sequence[str], options: VectorOptions
) -> tuple[FloatArray, FloatArray]:
    """Return vectors of genes, and how well each is known.

    Args:
        tables: Where links are read.
        genes: Gene symbols; outdated ones are resolved.
        options: Width and steps.

    Returns:
        Vectors of unit length, (n, dim), zeros where nothing is known; and confidence in [0, 1],
        (n,): a fifth per link, at most 1. What is unknown has 0.

    Raises:
        DataError: If a table of the user's is damaged.
    """
    whole, counts = _of_all(tables, options)
    rows = link_rows(genes)
    vectors = whole[rows].astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.where(norms > 0, vectors / np.where(norms > 0, norms, 1.0), 0.0)
    confidence = np.minimum(1.0, counts[rows] / ENOUGH_LINKS) * (norms[:, 0] > 0)
    return vectors.astype(np.float32), confidence.astype(np.float32)


def _of_all(tables: LinkTables, options: VectorOptions) -> tuple[FloatArray, DoubleArray]:
    links = _joined(tables)
    n_own = len([graph for graph in tables.graphs if links_genes(graph)])
    # A gene's link with itself says nothing about it.
    counts = np.maximum(np.diff(links.indptr) - n_own, 0).astype(np.float64)
    parts = (str(VERSION), *tables.graphs, *tables.sha256, str(options.dim), str(options.steps))
    key = hashlib.sha256("/".join(parts).encode()).hexdigest()
    folder = None if tables.cache_dir is None else tables.cache_dir / "graph_vectors"
    return _kept(_Work(links, options, key), folder), counts


class _Work:
    """Equal by its key, so that a process computes vectors once."""

    def __init__(self, links: sparse.csr_matrix, options: VectorOptions, key: str) -> None:
        self.links, self.options, self.key = links, options, key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Work) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)


@functools.lru_cache(maxsize=8)
def _kept(work: _Work, folder: Path | None) -> FloatArray:
    """Read vectors of all genes from the cache, or compute and keep them."""
    from safetensors.numpy import load, save

    path = None if folder is None else folder / f"{work.key[:32]}.safetensors"
    shape = (work.links.shape[0], work.options.dim)
    if path is not None and path.is_file():
        try:
            with reading(path, "vectors of a graph"):
                found: FloatArray = load(path.read_bytes())["vectors"]
                if found.shape != shape or found.dtype != np.float16:
                    raise ValueError(f"it has {found.shape} {found.dtype}")
                return found
        except DataError as error:
            logger.warning("vectors of a graph are computed again: %s", error)
    found = _decomposed(work.links, work.options)
    if path is not None:
        try:
            write_whole(path, save({"vectors": found}))
        except OSError as error:
            logger.warning("vectors of a graph are not cached in %s: %s", path, error)
    return found


def _decomposed(links: sparse.csr_matrix, options: VectorOptions) -> FloatArray:
    """Return U Sᵗ of the largest singular values, (n, dim), float16: half the room in the cache."""
    known = np.flatnonzero(np.diff(links.indptr) > 0)
    rows = links[known]
    width = min(options.dim + N_SPARE, *rows.shape)
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((rows.shape[1], width)).astype(np.float32)
    for _ in range(N_ITERATIONS):
        basis, _ = np.linalg.qr(rows.T @ (rows @ basis))
    left, sizes, _ = np.linalg.svd(rows @ basis, full_matrices=False)
    kept = min(options.dim, width)
    powers = (sizes[:kept] / max(float(sizes[0]), 1e-12)) ** options.steps
    # The sign of an axis is arbitrary: its largest entry is positive.
    signs = np.sign(left[np.abs(left[:, :kept]).argmax(axis=0), np.arange(kept)])
    found = np.zeros((links.shape[0], options.dim), dtype=np.float16)
    scale = np.float32(len(known) ** 0.5)
    found[known, :kept] = (left[:, :kept] * powers * signs * scale).astype(np.float16)
    return found


def _joined(tables: LinkTables) -> sparse.csr_matrix:
    parts = [all_links(graph, tables.data_dir) for graph in tables.graphs]
    if len(parts) == 1:
        return parts[0]
    return sparse.hstack(parts, format="csr") / np.float32(len(parts) ** 0.5)
