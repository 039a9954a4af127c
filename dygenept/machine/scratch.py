"""Temporary files for what does not fit into memory; nothing is left of them when a process ends.

The file has no name (or is removed as it is closed, where a system does not know such files), so
that not even a process that is killed leaves it behind. Cells are read and written by position;
``tables`` maps arrays of conditions × genes.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dygenept.errors import ConfigError, DataError
from dygenept.machine.folders import default_cache_dir

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Temporary files are in this folder of the cache.
FOLDER = "scratch"
_MEND = "free space, name another folder in DYGENEPT_HOME, or allow more memory"


class ScratchFile:
    """An unnamed file of bytes."""

    def __init__(self, folder: Path) -> None:
        """Create it.

        Args:
            folder: Where; made if it is not there.

        Raises:
            DataError: If nothing can be written there.
            ConfigError: If this system cannot read at a position of a file.
        """
        if not hasattr(os, "preadv"):
            raise ConfigError(
                "cells cannot be kept in a file on this system; leave --memory out, or allow more"
            )
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)
        except OSError as error:
            raise DataError(
                f"no temporary file can be made in {folder}: {error.strerror or error}; name "
                "another folder in DYGENEPT_HOME"
            ) from error
        self._size = 0
        # It lives as long as this object.
        weakref.finalize(self, self._file.close)

    def __reduce__(self) -> tuple[Callable[..., ScratchFile], tuple[Any, ...]]:
        """Hand the open file to a process that this one is starting; it may read it.

        Raises:
            DataError: If it would go anywhere else, such as to another machine.
        """
        from multiprocessing import context, reduction

        if context.get_spawning_popen() is None:
            raise DataError(
                "cells that are kept in a file cannot be handed to another process; give the path "
                "or name of the data set instead of the opened one"
            )
        return _handed_over, (reduction.DupFd(self._file.fileno()), self.folder, self._size)

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self._size

    def write(self, array: npt.NDArray[Any], offset: int) -> None:
        """Write an array at a position.

        Raises:
            DataError: If the disk is full, or fails.
        """
        left = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        while len(left):
            try:
                done = os.pwrite(self._file.fileno(), left, offset)
            except OSError as error:
                raise self.failure(error) from error
            left, offset = left[done:], offset + done
        self._size = max(self._size, offset)

    def read(self, into: npt.NDArray[Any], offset: int) -> None:
        """Fill a contiguous array of one dimension from a position.

        Raises:
            DataError: If the disk fails.
        """
        if not into.size:
            return
        left = into.view(np.uint8).data
        while len(left):
            try:
                done = os.preadv(self._file.fileno(), [left], offset)
            except OSError as error:
                raise self.failure(error) from error
            if not done:
                raise DataError(f"the temporary file in {self.folder} ends too early; try again")
            left, offset = left[done:], offset + done

    def reserve(self, n_bytes: int) -> None:
        """Take room for so many bytes, zeros, so that none of them can meet a full disk later.

        Raises:
            DataError: If the disk has no room for them.
        """
        try:
            os.posix_fallocate(self._file.fileno(), 0, n_bytes)
        except OSError as error:
            raise self.failure(error) from error
        self._size = max(self._size, n_bytes)

    @property
    def descriptor(self) -> int:
        """The file's descriptor, for a library that reads and writes it by itself."""
        return self._file.fileno()

    def failure(self, error: OSError) -> DataError:
        """Return the error to raise for a disk that is full or fails."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return DataError(
                f"the disk of {self.folder} is full: cells and tables are kept there that "
                f"--memory has no room for, and parts of zarr stores; {_MEND}"
            )
        return DataError(f"the temporary file in {self.folder}: {error.strerror or error}")


class _Called(io.FileIO):
    """An open file that libraries call by another name than its own."""

    def __init__(self, of: ScratchFile, called: str) -> None:
        super().__init__(of.descriptor, "r+b", closefd=False)
        self._of, self._called = of, called
        self.failed: DataError | None = None

    def __repr__(self) -> str:
        return self._called

    def write(self, content: Buffer) -> int:
        """Write where the file stands; a full disk is said as for any temporary file."""
        try:
            return super().write(content) or 0
        except OSError as error:
            self.failed = self._of.failure(error)
            raise self.failed from error


def _handed_over(descriptor: Any, folder: Path, size: int) -> ScratchFile:
    """Open what another process has written and keeps open, to be read by position."""
    file = ScratchFile.__new__(ScratchFile)
    file.folder, file._size = folder, size
    file._file = os.fdopen(descriptor.detach(), "rb", buffering=0)
    weakref.finalize(file, file._file.close)
    return file


@contextmanager
def unnamed_file(*, called: str, folder: Path | None = None) -> Iterator[io.FileIO]:
    """Give an unnamed file to write and read, which is gone when it is closed.

    Args:
        called: What a library that shows its ``repr`` calls it.
        folder: Where it is made; None for the folder ``scratch`` of the cache.

    Raises:
        DataError: If none can be made, or its disk is full.
    """
    file = _Called(ScratchFile(folder or default_cache_dir() / FOLDER), called)
    try:
        yield file
    except Exception as error:
        # The HDF5 library goes on writing after a failure, and what it raises last is of that.
        if file.failed is not None and error is not file.failed:
            raise file.failed from error
        raise


def check_space(folder: Path, n_bytes: int) -> None:
    """Refuse files that their disk has no room for, before they are begun.

    Raises:
        DataError: As said.
    """
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if n_bytes > free:
        raise DataError(
            f"temporary files of cells or tables take {n_bytes / 1e9:,.2f} GB in {folder}, whose "
            f"disk has {free / 1e9:,.2f} GB left; {_MEND}"
        )
