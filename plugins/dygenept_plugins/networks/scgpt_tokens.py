"""Control cells as scGPT reads them: gene tokens and binned values, ``<cls>`` first.

Binning follows scGPT (Cui et al. 2024, doi:10.1038/s41592-024-02201-0): quantile edges of a cell's
non-zero values. Where several edges coincide, scGPT draws a bin between them at random; here the
rule is fixed, so that the same cell always gives the same tokens.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from dygenept.plugin import DataError
from dygenept_plugins.networks.sparse_rows import entries_of

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger(__name__)

PAD, CLS, EOC = "<pad>", "<cls>", "<eoc>"
PAD_VALUE = -2.0
N_SHOWN = 5
# Cells tokenised at a time: bounds the memory of sorting.
BLOCK = 4096

Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
KeyArray = npt.NDArray[np.uint32]
HashArray = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Gene tokens.

    Attributes:
        tokens: Token of each gene symbol and of ``<pad>`` and ``<cls>``.
        n_tokens: Rows of the embedding.
    """

    tokens: Mapping[str, int]
    n_tokens: int

    @classmethod
    def of_genes(cls, gene_symbols: Sequence[str]) -> Vocabulary:
        """Make a vocabulary of a data set's genes, special tokens last, as scGPT's has them."""
        names = (*dict.fromkeys(gene_symbols), PAD, CLS, EOC)
        return cls({name: token for token, name in enumerate(names)}, len(names))

    @property
    def pad(self) -> int:
        """Token of padded positions."""
        return self.tokens[PAD]

    @property
    def cls_token(self) -> int:
        """Token of the first position."""
        return self.tokens[CLS]

    def lookup(self, gene_symbols: Sequence[str]) -> Int64Array:
        """Return the token of each gene, (G,); -1 for a gene outside the vocabulary.

        Genes outside are counted and named in one warning.

        Raises:
            DataError: If no gene is in the vocabulary.
        """
        found = np.array([self.tokens.get(gene, -1) for gene in gene_symbols], dtype=np.int64)
        missing = [gene for gene, token in zip(gene_symbols, found, strict=True) if token < 0]
        if missing and len(missing) == len(gene_symbols):
            raise DataError(
                f"none of the data set's {len(missing)} genes ({', '.join(missing[:N_SHOWN])} …) "
                "is in scGPT's vocabulary, which holds HGNC symbols; put gene symbols into "
                "var['gene_name'], or choose --cell-encoder mlp"
            )
        if missing:
            _warn_of(tuple(missing), len(gene_symbols))
        return found


@functools.lru_cache(maxsize=64)
def _warn_of(missing: tuple[str, ...], n_genes: int) -> None:
    """Warn once per set of genes, not once per fold and member."""
    shown = ", ".join(missing[:N_SHOWN]) + (" …" if len(missing) > N_SHOWN else "")
    logger.warning(
        "%d of %d genes are not in scGPT's vocabulary and are left out of the cell encoder: %s",
        len(missing),
        n_genes,
        shown,
    )


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Cells of a batch, padded to the longest.

    Attributes:
        tokens: Gene tokens, (B, S) int64.
        values: Binned values, (B, S) float32; ``PAD_VALUE`` at ``<cls>`` and padding.
        real: True at positions that are not padding, (B, S).
    """

    tokens: torch.Tensor
    values: torch.Tensor
    real: torch.Tensor


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Tokens of many cells, one after the other.

    Attributes:
        starts: Position of each cell's first token, (N + 1,) int64.
        tokens: Gene tokens, int64.
        values: Binned values, float32.
        pad: Token of padded positions.
        n_cut: Cells that express more genes than the limit takes.
    """

    starts: torch.Tensor
    tokens: torch.Tensor
    values: torch.Tensor
    pad: int
    n_cut: int = 0

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.starts) - 1

    def to(self, device: torch.device) -> TokenTable:
        """Copy to a device."""
        return replace(
            self,
            starts=self.starts.to(device),
            tokens=self.tokens.to(device),
            values=self.values.to(device),
        )

    def gather(self, rows: torch.Tensor) -> TokenBatch:
        """Return cells, (B,) int64, padded to the longest of them."""
        found = entries_of(self.starts, rows)
        shape = (len(rows), int(found.lengths.max()) if len(rows) else 0)
        tokens = self.tokens.new_full(shape, self.pad)
        values = self.values.new_full(shape, PAD_VALUE)
        tokens[found.row, found.within] = self.tokens[found.entry]
        values[found.row, found.within] = self.values[found.entry]
        positions = torch.arange(shape[1], device=tokens.device)
        return TokenBatch(tokens, values, positions < found.lengths[:, None])


def tokenise(
    expression: sparse.csr_matrix,
    gene_tokens: Int64Array,
    *,
    vocabulary: Vocabulary,
    n_bins: int,
    max_length: int,
    keep: npt.NDArray[np.bool_],
    seed: int,
) -> TokenTable:
    """Turn cells into token sequences.

    A sequence is ``<cls>``, then the non-zero genes of the vocabulary in ``var`` order. A longer
    sequence than ``max_length`` is cut by sampling genes without replacement; the draw depends on
    the seed and the cell's own values, so a cell gives the same tokens in any pool. Expressed genes
    of ``keep`` stay even where they alone exceed the limit.

    Args:
        expression: CSR, (N, G), log1p scale, sorted indices.
        gene_tokens: Token of each gene, (G,); -1 outside the vocabulary.
        vocabulary: For ``<cls>`` and ``<pad>``.
        n_bins: Bins of values.
        max_length: Longest sequence, ``<cls>`` included.
        keep: True for genes that sampling never drops, (G,).
        seed: Of the sampling.
    """
    blocks = [
        _tokenise_block(
            expression[first : first + BLOCK],
            gene_tokens,
            vocabulary=vocabulary,
            n_bins=n_bins,
            max_length=max_length,
            keep=keep,
            seed=seed,
        )
        for first in range(0, expression.shape[0], BLOCK)
    ]
    lengths = np.concatenate([np.zeros(0, dtype=np.int64), *(block[0] for block in blocks)])
    tokens = np.concatenate([np.zeros(0, dtype=np.int64), *(block[1] for block in blocks)])
    values = np.concatenate([np.zeros(0, dtype=np.float32), *(block[2] for block in blocks)])
    return TokenTable(
        starts=torch.from_numpy(_starts(lengths)),
        tokens=torch.from_numpy(tokens),
        values=torch.from_numpy(values),
        pad=vocabulary.pad,
        n_cut=sum(block[3] for block in blocks),
    )


def _tokenise_block(
    expression: sparse.csr_matrix,
    gene_tokens: Int64Array,
    *,
    vocabulary: Vocabulary,
    n_bins: int,
    max_length: int,
    keep: npt.NDArray[np.bool_],
    seed: int,
) -> tuple[Int64Array, Int64Array, Float32Array, int]:
    """Return sequence lengths, tokens and values of a few cells, and how many were cut."""
    is_token = (expression.data != 0) & (gene_tokens[expression.indices] >= 0)
    row = np.repeat(np.arange(expression.shape[0]), np.diff(expression.indptr))[is_token]
    gene = expression.indices[is_token].astype(np.int64)
    data = expression.data[is_token].astype(np.float32)
    lengths = np.bincount(row, minlength=expression.shape[0])
    # Values are binned before genes are dropped, as scGPT does.
    binned = bin_values(data, lengths, n_bins=n_bins)
    n_cut = int((lengths > max_length - 1).sum())
    if n_cut:
        priority = _priorities(data, gene, lengths, seed=seed)
        priority[keep[gene]] = 0
        order = _order_within(row, priority)
        rank = np.empty(len(row), dtype=np.int64)
        rank[order] = np.arange(len(row)) - np.repeat(_starts(lengths)[:-1], lengths)
        kept = (rank < max_length - 1) | keep[gene]
        row, gene, binned = row[kept], gene[kept], binned[kept]
        lengths = np.bincount(row, minlength=len(lengths))
    # Each token sits one place later for every <cls> up to and including its own cell's.
    places = np.arange(len(row)) + row + 1
    tokens = np.full(len(row) + len(lengths), vocabulary.cls_token, dtype=np.int64)
    values = np.full(len(tokens), PAD_VALUE, dtype=np.float32)
    tokens[places] = gene_tokens[gene]
    values[places] = binned
    return lengths + 1, tokens, values, n_cut


def bin_values(data: Float32Array, lengths: Int64Array, *, n_bins: int) -> Float32Array:
    """Bin each cell's values by the quantiles of that cell.

    Equal to ``np.digitize(x, np.quantile(x, np.linspace(0, 1, n_bins - 1)))`` on each cell's
    values: the bin is the number of edges at or below the value, so tied values share the highest
    bin that scGPT could draw for them.

    Args:
        data: Positive values, cell after cell, (n_values,).
        lengths: Values of each cell, (N,).
        n_bins: Bins; bin 0 is for zeros, which are not here.

    Returns:
        Bins, 1 to ``n_bins - 1``, (n_values,).
    """
    if not len(data):
        return np.zeros(0, dtype=np.float32)
    row = np.repeat(np.arange(len(lengths)), lengths)
    # The bits of non-negative floats sort as the floats do.
    order = _order_within(row, data.view(np.uint32))
    ranked = data[order]
    starts = _starts(lengths)[:-1][lengths > 0]
    edges, below, above = _quantiles(ranked, starts, lengths[lengths > 0], n_bins=n_bins)
    # Every edge lies between two neighbours in rank and counts from the first that reaches it.
    reached = np.where(ranked[below] >= edges, below, above)
    is_first = np.concatenate([[True], (np.diff(ranked) != 0) | (np.diff(row[order]) != 0)])
    group = np.cumsum(is_first) - 1
    per_group = np.bincount(group[reached].ravel(), minlength=int(group[-1]) + 1)
    passed = np.cumsum(per_group)[group]  # edges at or below, those of earlier cells included
    before = np.repeat(np.arange(len(starts)) * edges.shape[1], lengths[lengths > 0])
    binned = np.empty(len(data), dtype=np.float32)
    binned[order] = passed - before
    return binned


def _quantiles(
    ranked: Float32Array, starts: Int64Array, lengths: Int64Array, *, n_bins: int
) -> tuple[Float64Array, Int64Array, Int64Array]:
    """Edges of each cell, and the positions of the ranked values around them, (N, n_bins - 1).

    The arithmetic is numpy's own, step by step, so that an edge that falls on a value up to
    rounding falls on the same side of it.
    """
    place = np.linspace(0, 1, n_bins - 1)[None, :] * (lengths[:, None] - 1)
    floor = np.floor(place)
    share = place - floor
    below = starts[:, None] + floor.astype(np.int64)
    above = np.minimum(below + 1, (starts + lengths - 1)[:, None])
    low, high = ranked[below], ranked[above]
    gap = high - low
    edges = np.where(share >= 0.5, high - gap * (1 - share), low + gap * share)
    return edges, below, above


def _order_within(row: Int64Array, keys: KeyArray) -> Int64Array:
    """Order entries by row, then key; one 64-bit sort takes a seventh of a lexsort's time."""
    return np.argsort((row.astype(np.uint64) << np.uint64(32)) | keys, kind="stable")


def _priorities(
    data: Float32Array, gene: Int64Array, lengths: Int64Array, *, seed: int
) -> KeyArray:
    """Pseudo-random keys, at least 1, from (seed, the cell's values, gene), (n_values,)."""
    # Sums of bits are exact, so they are the same wherever a cell stands in the pool.
    bits = np.zeros(len(data) + 1, dtype=np.uint64)
    np.cumsum(data.view(np.uint32), dtype=np.uint64, out=bits[1:])
    starts = _starts(lengths)
    cell = _mixed((bits[starts[1:]] - bits[starts[:-1]]) ^ np.uint64(seed % 2**63))
    keys = _mixed(np.repeat(cell, lengths) + gene.astype(np.uint64))
    priorities: KeyArray = np.maximum(keys >> np.uint64(32), np.uint64(1)).astype(np.uint32)
    return priorities


def _mixed(keys: HashArray) -> HashArray:
    """Scramble keys (splitmix64, Steele, Lea & Flood 2014, doi:10.1145/2714064.2660195)."""
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def _starts(lengths: Int64Array) -> Int64Array:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
