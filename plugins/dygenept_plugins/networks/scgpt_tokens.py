"""Control cells as scGPT reads them: gene tokens and binned values, ``<cls>`` first."""

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
from dygenept_plugins.networks.scgpt_binning import (
    Float32Array,
    Int64Array,
    bin_values,
    order_within,
    sampling_keys,
    starts_of,
)
from dygenept_plugins.networks.sparse_rows import entries_of

if TYPE_CHECKING:
    from scipy import sparse

logger = logging.getLogger(__name__)

PAD, CLS, EOC = "<pad>", "<cls>", "<eoc>"
PAD_VALUE = -2.0
N_SHOWN = 5
# Cells tokenised at a time: bounds the memory of sorting.
BLOCK = 4096


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
                "is in scGPT's vocabulary, which lists HGNC symbols; put gene symbols into "
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """How cells become token sequences.

    Attributes:
        vocabulary: Gene tokens, ``<cls>`` and ``<pad>``.
        n_bins: Bins of values.
        max_length: Longest sequence, ``<cls>`` included.
        seed: Decides which genes a longer sequence keeps.
    """

    vocabulary: Vocabulary
    n_bins: int
    max_length: int
    seed: int


def tokenise(
    expression: sparse.csr_matrix,
    gene_tokens: Int64Array,
    *,
    rules: TokenRules,
    keep: npt.NDArray[np.bool_],
) -> TokenTable:
    """Turn cells into token sequences.

    A sequence is ``<cls>``, then the non-zero genes of the vocabulary in ``var`` order. A longer
    sequence than ``max_length`` is cut by sampling genes without replacement; the draw depends on
    the seed and the cell's own values, so a cell gives the same tokens in any pool. Expressed genes
    of ``keep`` stay even where they exceed the limit by themselves.

    Args:
        expression: CSR, (N, G), log1p scale, sorted indices.
        gene_tokens: Token of each gene, (G,); -1 outside the vocabulary.
        rules: Vocabulary, bins, limit and seed.
        keep: True for genes that sampling never drops, (G,).
    """
    blocks = [
        _tokenise_block(expression[first : first + BLOCK], gene_tokens, rules=rules, keep=keep)
        for first in range(0, expression.shape[0], BLOCK)
    ]
    lengths = np.concatenate([np.zeros(0, dtype=np.int64), *(block[0] for block in blocks)])
    tokens = np.concatenate([np.zeros(0, dtype=np.int64), *(block[1] for block in blocks)])
    values = np.concatenate([np.zeros(0, dtype=np.float32), *(block[2] for block in blocks)])
    return TokenTable(
        starts=torch.from_numpy(starts_of(lengths)),
        tokens=torch.from_numpy(tokens),
        values=torch.from_numpy(values),
        pad=rules.vocabulary.pad,
        n_cut=sum(block[3] for block in blocks),
    )


def _tokenise_block(
    expression: sparse.csr_matrix,
    gene_tokens: Int64Array,
    *,
    rules: TokenRules,
    keep: npt.NDArray[np.bool_],
) -> tuple[Int64Array, Int64Array, Float32Array, int]:
    """Return sequence lengths, tokens and values of a few cells, and how many were cut."""
    is_token = (expression.data != 0) & (gene_tokens[expression.indices] >= 0)
    row = np.repeat(np.arange(expression.shape[0]), np.diff(expression.indptr))[is_token]
    gene = expression.indices[is_token].astype(np.int64)
    data = expression.data[is_token].astype(np.float32)
    lengths = np.bincount(row, minlength=expression.shape[0])
    # Values are binned before genes are dropped, as scGPT does.
    binned = bin_values(data, lengths, n_bins=rules.n_bins)
    n_cut = int((lengths > rules.max_length - 1).sum())
    if n_cut:
        priority = sampling_keys(data, gene, lengths, seed=rules.seed)
        priority[keep[gene]] = 0  # ahead of all others
        order = order_within(row, priority)
        rank = np.empty(len(row), dtype=np.int64)
        rank[order] = np.arange(len(row)) - np.repeat(starts_of(lengths)[:-1], lengths)
        kept = (rank < rules.max_length - 1) | keep[gene]
        row, gene, binned = row[kept], gene[kept], binned[kept]
        lengths = np.bincount(row, minlength=len(lengths))
    # Each token sits one place later for every <cls> up to and including its own cell's.
    places = np.arange(len(row)) + row + 1
    tokens = np.full(len(row) + len(lengths), rules.vocabulary.cls_token, dtype=np.int64)
    values = np.full(len(tokens), PAD_VALUE, dtype=np.float32)
    tokens[places] = gene_tokens[gene]
    values[places] = binned
    return lengths + 1, tokens, values, n_cut
