"""Rows of a sparse matrix, made dense a batch at a time on whatever device the matrix is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True, slots=True)
class RowEntries:
    """Where the entries of some rows of a ragged table lie.

    Attributes:
        row: Position in the batch of each entry's row, (n_entries,) int64.
        within: Position of each entry in its row, (n_entries,) int64.
        entry: Position of each entry in the table, (n_entries,) int64.
        lengths: Entries of each row, (B,) int64.
    """

    row: torch.Tensor
    within: torch.Tensor
    entry: torch.Tensor
    lengths: torch.Tensor


def entries_of(starts: torch.Tensor, rows: torch.Tensor) -> RowEntries:
    """Find the entries of rows.

    Args:
        starts: Position of each row's first entry, (N + 1,) int64.
        rows: Rows of the batch, (B,) int64, on the same device.
    """
    first = starts[rows]
    lengths = starts[rows + 1] - first
    row = torch.repeat_interleave(lengths)
    within = torch.arange(len(row), device=row.device) - (lengths.cumsum(0) - lengths)[row]
    return RowEntries(row=row, within=within, entry=first[row] + within, lengths=lengths)


@dataclass(frozen=True, slots=True)
class SparseRows:
    """A CSR matrix as tensors.

    Attributes:
        starts: Position of each row's first entry, (N + 1,) int64.
        columns: Column of each entry, int64.
        values: Entries, float32.
        n_columns: Number of columns G.
    """

    starts: torch.Tensor
    columns: torch.Tensor
    values: torch.Tensor
    n_columns: int

    @classmethod
    def from_csr(cls, matrix: sparse.csr_matrix, device: torch.device) -> SparseRows:
        """Copy a CSR matrix to a device."""
        return cls(
            starts=torch.tensor(matrix.indptr, dtype=torch.int64, device=device),
            columns=torch.tensor(matrix.indices, dtype=torch.int64, device=device),
            values=torch.tensor(matrix.data, dtype=torch.float32, device=device),
            n_columns=int(matrix.shape[1]),
        )

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows as a dense matrix, (B,) int64 to (B, G) float32."""
        found = entries_of(self.starts, rows.to(self.starts.device))
        dense = self.values.new_zeros(len(rows), self.n_columns)
        dense[found.row, self.columns[found.entry]] = self.values[found.entry]
        return dense
