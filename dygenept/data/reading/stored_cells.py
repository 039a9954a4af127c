"""Cells in a temporary file in place of memory: the same matrix for every pass over cells."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dygenept.machine.scratch import ScratchFile
from dygenept.types import FloatArray, IntArray

if TYPE_CHECKING:
    from scipy import sparse

    from dygenept.types.cells import Rows

Offsets = npt.NDArray[np.int64]


class StoredRun:
    """An array in a file, read and written in runs."""

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        self._file = ScratchFile(folder)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._length = 0

    def __len__(self) -> int:
        """Return how many values there are."""
        return self._length

    def __getitem__(self, part: slice) -> npt.NDArray[Any]:
        """Read a run of values; a step other than 1 is not known."""
        start, stop, _ = part.indices(self._length)
        run = np.empty(max(0, stop - start), dtype=self.dtype)
        self.read(run, start)
        return run

    def __setitem__(self, part: slice, values: npt.NDArray[Any]) -> None:
        """Write over a run of values."""
        self.place(part.start, values)

    def read(self, into: npt.NDArray[Any], start: int) -> None:
        """Fill an array of the same type from a position."""
        self._file.read(into, start * self.dtype.itemsize)

    def place(self, start: int, values: npt.NDArray[Any]) -> None:
        """Write values at a position; what is written beyond the end makes the array longer."""
        self._file.write(values.astype(self.dtype, copy=False), start * self.dtype.itemsize)
        self._length = max(self._length, start + len(values))

    def append(self, values: npt.NDArray[Any]) -> None:
        """Write values behind the last one."""
        self.place(self._length, values)


class StoredCells:
    """Cells × genes in CSR, canonical, float32, of which only ``indptr`` is in memory.

    What a pass may use is that of ``CellMatrix``. Rows come as a ``csr_matrix``, equal to what the
    same rows of a matrix in memory are.
    """

    def __init__(self, values: StoredRun, places: StoredRun, indptr: Offsets, n_genes: int) -> None:
        """Join what was written; ``stored_cells`` writes it."""
        self.data, self.indices, self.indptr = values, places, indptr
        self.shape = (len(indptr) - 1, n_genes)

    @property
    def nnz(self) -> int:
        """Stored values."""
        return len(self.data)

    def __getitem__(self, rows: Rows) -> sparse.csr_matrix:
        """Read some rows: positions in any order, a mask, or a slice."""
        from scipy import sparse

        chosen = np.arange(self.shape[0])[rows]
        lengths = self.indptr[chosen + 1] - self.indptr[chosen]
        indptr = np.concatenate(([0], np.cumsum(lengths)))
        values: FloatArray = np.empty(indptr[-1], dtype=np.float32)
        places: IntArray = np.empty(indptr[-1], dtype=np.int32)
        # Rows that follow each other are one read.
        breaks = np.flatnonzero(np.diff(chosen) != 1) + 1
        firsts = np.concatenate(([0], breaks)) if len(chosen) else breaks
        edges = np.append(indptr[firsts], indptr[-1]).tolist()
        for number, source in enumerate(self.indptr[chosen[firsts]].tolist()):
            run = slice(edges[number], edges[number + 1])
            self.data.read(values[run], source)
            self.indices.read(places[run], source)
        index = np.int32 if indptr[-1] <= np.iinfo(np.int32).max else np.int64
        matrix = sparse.csr_matrix(
            (values, places.astype(index, copy=False), indptr.astype(index)),
            shape=(len(chosen), self.shape[1]),
            copy=False,
        )
        matrix.has_sorted_indices = True
        matrix.has_canonical_format = True
        return matrix


def stored_cells(blocks: Iterable[sparse.csr_matrix], *, n_genes: int, folder: Path) -> StoredCells:
    """Write cells into a temporary file, block by block.

    Args:
        blocks: Consecutive rows, CSR, canonical, float32.
        n_genes: Columns.
        folder: Where the file is made.

    Raises:
        DataError: If it cannot be written.
    """
    values, places = StoredRun(folder, np.float32), StoredRun(folder, np.int32)
    lengths: list[Offsets] = [np.zeros(1, dtype=np.int64)]
    for block in blocks:
        values.append(block.data)
        places.append(block.indices)
        lengths.append(np.diff(block.indptr).astype(np.int64))
    return StoredCells(values, places, np.cumsum(np.concatenate(lengths)), n_genes)
