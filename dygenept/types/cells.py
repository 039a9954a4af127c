"""A matrix of cells that passes go through in blocks, whether it is in memory or in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy import sparse

    Rows = npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_] | slice


class StoredValues(Protocol):
    """The values of such a matrix, or their columns, one after the other."""

    def __len__(self) -> int:
        """Return how many there are."""

    def __getitem__(self, part: slice) -> npt.NDArray[Any]:
        """Return a run of them."""


class CellMatrix(Protocol):
    """Cells × genes in CSR: what a pass over cells may use.

    A ``scipy.sparse.csr_matrix`` is one, and so are cells in a file. What holds for both: ``data``
    and ``indices`` are cut into runs, never taken whole, and rows are taken some at a time.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""

    @property
    def nnz(self) -> int:
        """Stored values."""

    @property
    def indptr(self) -> npt.NDArray[np.signedinteger[Any]]:
        """Where the values of each row begin, (N + 1,); in memory."""

    @property
    def data(self) -> StoredValues:
        """Values, row by row, float32."""

    @property
    def indices(self) -> StoredValues:
        """Columns of the values, ascending within a row."""

    def __getitem__(self, rows: Rows) -> sparse.csr_matrix:
        """Return some rows as a CSR matrix in memory."""
