"""HDF5 files that are written through Python, so that a full disk ends in an error alone.

The library by itself keeps a file open that it could not write to its end, and the process crashes
on that when it ends. So it is told that all was written, and the error is raised afterwards.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anndata
    import h5py
    from typing_extensions import Buffer


class _Written(io.FileIO):
    """A file that remembers why it could not be written."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self.failed: OSError | None = None

    def write(self, content: Buffer) -> int:
        """Write where the file stands, all of it; nothing any more once that has failed."""
        left = memoryview(content).cast("B")
        n_bytes = len(left)
        try:
            while len(left) and self.failed is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.failed = error
        return n_bytes

    def check(self) -> None:
        """Raise what a write met; between blocks of a long file it spares the rest."""
        if self.failed is not None:
            raise self.failed


@contextmanager
def written_hdf5(path: Path) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """Give an empty HDF5 file to write, and what raises an error that a write has met so far.

    Raises:
        OSError: The system's own error, if the disk is full, or fails.
    """
    import h5py

    with _Written(path) as raw:
        try:
            with h5py.File(raw, "w") as file:
                yield file, raw.check
        except Exception:
            # What the library reads back and was never written is no error of its own.
            raw.check()
            raise
        raw.check()


def write_h5ad(adata: anndata.AnnData, path: Path) -> None:
    """Write an ``.h5ad`` file as ``adata.write_h5ad`` does.

    Raises:
        OSError: The system's own error, if the disk is full, or fails.
    """
    from anndata.io import write_elem

    adata.strings_to_categoricals()
    with written_hdf5(path) as (file, _):
        write_elem(file, "/", adata)
