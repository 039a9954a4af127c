"""Files of frozen layers' outputs: safetensors, written atomically, memory-mapped, bounded.

One folder per set of weights, one file per set of cells that were computed together. A cell is
found by the hash of its tokens, so that other folds, pools and runs find what is there.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dygenept.machine.reading import reading
from dygenept.plugin import DataError

logger = logging.getLogger(__name__)

Int64Array = npt.NDArray[np.int64]
FORMAT = 1
KEY_BYTES = 16
SUFFIX = ".safetensors"
PART_SUFFIX = ".part"
TYPE_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16"}


@dataclass(frozen=True, slots=True)
class StoredCells:
    """One file, memory-mapped.

    Attributes:
        path: The file.
        states: States of all its cells, (n, d); pages are read when they are touched.
        first: First row of each cell, by key.
    """

    path: Path
    states: torch.Tensor
    first: dict[bytes, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    path: Path
    n_bytes: int
    used_at: float


@dataclass(frozen=True, slots=True)
class CacheFolder:
    """The files of one set of weights.

    Attributes:
        root: Folder of all such caches; their bound is for all of them together.
        fingerprint: Names the weights and options.
        dtype: Type of the states.
        width: Width of a state.
    """

    root: Path
    fingerprint: str
    dtype: torch.dtype
    width: int

    @property
    def path(self) -> Path:
        """Folder of these weights and this type."""
        return self.root / f"{self.fingerprint[:32]}-{TYPE_NAMES[self.dtype].lower()}"

    @staticmethod
    def room(root: Path) -> int:
        """Bytes that all caches could take together: theirs and what the disk has left."""
        existing = next(folder for folder in (root, *root.parents) if folder.exists())
        return shutil.disk_usage(existing).free + sum(file.n_bytes for file in _files(root))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time fill the folder; the lock falls with its process."""
        from filelock import FileLock

        self.path.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f"{self.path.name}.lock"):
            yield

    def read(self) -> tuple[StoredCells, ...]:
        """Map every file; a damaged one is named in the log and removed."""
        from safetensors import safe_open

        stored = []
        for path in sorted(self.path.glob(f"*{SUFFIX}")):
            try:
                with (
                    reading(path, "a cache of cell states", mend="it is written again"),
                    safe_open(path, framework="pt") as opened,
                ):
                    stored.append(self._stored(path, opened))
            except DataError as error:
                logger.warning("%s", error)
                with suppress(OSError):
                    path.unlink()
        return tuple(stored)

    def _stored(self, path: Path, opened: Any) -> StoredCells:
        keys = opened.get_tensor("keys").numpy()
        first = opened.get_tensor("first")
        states = opened.get_tensor("states")
        if states.ndim != 2 or states.shape[1] != self.width or states.dtype != self.dtype:
            raise ValueError(f"its states are {states.dtype} of shape {tuple(states.shape)}")
        is_known = keys.dtype == np.uint8 and keys.shape == (len(first), KEY_BYTES)
        if not is_known or first.dtype != torch.int64 or first.ndim != 1:
            raise ValueError("its keys do not fit its rows")
        rows = first.tolist()
        if rows != sorted(rows) or any(not 0 <= row <= len(states) for row in rows):
            raise ValueError("its rows are not among its states")
        found = {key.tobytes(): row for key, row in zip(keys, rows, strict=True)}
        return StoredCells(path, states, found)

    def write(
        self, keys: Sequence[bytes], n_rows: Int64Array, parts: Iterable[torch.Tensor]
    ) -> None:
        """Write cells as they are computed, then rename the whole file into place.

        Args:
            keys: Key of each cell.
            n_rows: States of each cell.
            parts: All their states, in the order of the cells, (n, d) each.

        Raises:
            OSError: If the disk is full or the folder cannot be written.
        """
        name = hashlib.blake2b(b"".join(keys), digest_size=KEY_BYTES).hexdigest()
        temporary = self.path / f".{name}.{os.getpid()}{PART_SUFFIX}"
        try:
            with temporary.open("wb") as file:
                file.write(self._head(keys, n_rows))
                for part in parts:
                    file.write(_raw(part.detach().cpu().to(self.dtype)))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path / f"{name}{SUFFIX}")
        finally:
            temporary.unlink(missing_ok=True)

    def _head(self, keys: Sequence[bytes], n_rows: Int64Array) -> bytes:
        """Header of a safetensors file and the two small tensors that go before the states."""
        first = (np.cumsum(n_rows) - n_rows).astype("<i8").tobytes()
        packed = b"".join(keys)
        n_states = int(n_rows.sum())
        offsets = np.cumsum(
            [0, len(first), len(packed), n_states * self.width * self.dtype.itemsize]
        ).tolist()
        entries = {
            "first": ("I64", [len(keys)]),
            "keys": ("U8", [len(keys), KEY_BYTES]),
            "states": (TYPE_NAMES[self.dtype], [n_states, self.width]),
        }
        header: dict[str, object] = {
            name: {"dtype": dtype, "shape": shape, "data_offsets": offsets[place : place + 2]}
            for place, (name, (dtype, shape)) in enumerate(entries.items())
        }
        header["__metadata__"] = {"format": str(FORMAT)}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)  # keeps the tensors aligned
        return len(text).to_bytes(8, "little") + text + first + packed

    def make_room(self, n_bytes: int, budget: int) -> None:
        """Remove the files that were used longest ago, until so many bytes fit the budget."""
        files = sorted(_files(self.root), key=lambda file: file.used_at)
        excess = sum(file.n_bytes for file in files) + n_bytes - budget
        for file in files:
            if excess <= 0:
                return
            file.path.unlink(missing_ok=True)
            excess -= file.n_bytes


def _files(root: Path) -> list[_File]:
    found = []
    for path in (*root.glob(f"*/*{SUFFIX}"), *root.glob(f"*/.*{PART_SUFFIX}")):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue  # another process removed it
        found.append(_File(path=path, n_bytes=status.st_size, used_at=status.st_mtime))
    return found


def _raw(states: torch.Tensor) -> bytes:
    """Return the bytes of a tensor."""
    return states.contiguous().view(torch.uint8).numpy().tobytes()
