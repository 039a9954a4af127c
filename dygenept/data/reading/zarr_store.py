"""A zarr store of AnnData, version 2 or 3, as the HDF5 file that the readers know.

The parts that are needed are copied in blocks into an unnamed temporary file, which is then read by
the code that reads ``.h5ad`` files: the same cells give the same data set, errors and fingerprint
either way. Of matrices that are not asked for only the beginning is copied.

Source: zarr specifications 2 and 3; anndata's on-disk format.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dygenept.errors import ConfigError, DataError
from dygenept.machine.reading import check_claim, reading
from dygenept.machine.scratch import unnamed_file

if TYPE_CHECKING:
    import h5py
    import zarr

# A folder with one of these is a zarr group of version 3 or 2.
MARKS = ("zarr.json", ".zgroup")
PARTS = ("obs", "var", "X", "layers", "raw", "uns")
# What stands in uns and is read.
UNS_PARTS = ("top_non_dropout_de_20", "top_non_zero_de_20", "dygenept")
# Values that are copied at a time, or a chunk of the store where that has more.
BLOCK = 1 << 22
# Codecs that only pack numbers and texts; others, such as pickle, may run code.
_PACKING = ("blosc", "zstd", "zlib", "gzip", "lz4", "lzma", "bz2", "sharding_indexed")
_NUMBERS = ("bytes", "transpose", "shuffle", "delta", "bitround", "packbits", "fixedscaleoffset")
_OTHERS = ("astype", "vlen-utf8", "vlen-bytes", "crc32c", "crc32", "adler32", "fletcher32")
CODECS = frozenset((*_PACKING, *_NUMBERS, *_OTHERS))
BLOSC_HEADER = 16
SPARSE_PARTS = ("data", "indices", "indptr")


def is_zarr(path: Path) -> bool:
    """Tell whether a path is the folder of a zarr group."""
    return any((path / mark).is_file() for mark in MARKS)


@contextmanager
def open_zarr(path: Path, wanted: Collection[str]) -> Iterator[h5py.File]:
    """Open a store as an HDF5 file in memory's place.

    Args:
        path: Folder of the store.
        wanted: Paths of matrices whose values are needed, such as ``X``; of others only the first
            values are there, and zeros behind them.

    Raises:
        DataError: If the store is damaged, claims more than it can hold, or uses a codec that may
            run code.
        ConfigError: If the package zarr is not there.
    """
    try:
        import zarr
    except ImportError as error:
        raise ConfigError(
            f"{path} is a zarr store, which needs the package zarr: pip install 'zarr>=3'"
        ) from error
    import h5py

    with unnamed_file(called=str(path)) as place, h5py.File(place, "w") as file:
        with reading(path, "a zarr store of AnnData"):
            store = zarr.open_group(path, mode="r")
            size = sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
            _Copy(path, size, wanted).group(store, file, "")
        yield file


class _Copy:
    """Copies groups and arrays of one store."""

    def __init__(self, path: Path, size: int, wanted: Collection[str]) -> None:
        self._path, self._size, self._wanted = path, size, wanted

    def group(self, source: zarr.Group, target: h5py.Group, path: str) -> None:
        """Copy a group: attributes, and what is in it and may be read."""
        import zarr

        for name, value in source.attrs.items():
            _set_attribute(target, str(name), value)
        for name, item in source.members():
            inner = f"{path}/{name}".strip("/")
            top, _, rest = inner.partition("/")
            part = rest.partition("/")[0]
            if top not in PARTS or (top == "uns" and rest and part not in UNS_PARTS):
                continue
            if item.attrs.get("encoding-type") == "null":
                continue
            if isinstance(item, zarr.Array):
                self._array(item, target, str(name), inner)
            else:
                self.group(item, target.create_group(str(name)), inner)

    def _array(self, source: zarr.Array[Any], target: h5py.Group, name: str, path: str) -> None:
        import h5py

        called = f"{self._path}: {path}"
        codecs = _check_codecs(source.metadata.to_dict(), called)
        if "blosc" in codecs and "sharding_indexed" not in codecs:
            _check_blosc(self._path / path, self._size, called)
        is_text = source.dtype.kind in "TOUS"
        if not is_text and source.dtype.kind not in "biuf":
            return
        width = 8 if is_text else source.dtype.itemsize
        check_claim(math.prod(source.shape) * width, self._size, called)
        check_claim(math.prod(source.chunks) * width, self._size, called)
        dtype = h5py.string_dtype() if is_text else source.dtype.newbyteorder("=")
        matrix = path.removesuffix(f"/{name}") if name in SPARSE_PARTS else path
        is_matrix = matrix == "X" or matrix.startswith(("layers/", "raw/X"))
        if is_matrix and name in SPARSE_PARTS:
            _check_chunks(source, called)
        copy = target.create_dataset(name, source.shape, dtype, fillvalue=None if is_text else 0)
        for key, value in source.attrs.items():
            _set_attribute(copy, str(key), value)
        if not source.shape:
            copy[()] = str(source[()]) if is_text else source[()]
            return
        is_whole = not is_matrix or matrix in self._wanted or name == "indptr"
        for start, stop in _blocks(source):
            values = source[start:stop]
            copy[start:stop] = np.asarray(values, dtype=object) if is_text else values
            if not is_whole:
                break
        if not is_whole and copy.size:
            # So that the file is as long as it says; the zeros take no room on the disk.
            copy[(-1,) * copy.ndim] = copy.dtype.type(0)


def _blocks(source: zarr.Array[Any]) -> Iterator[tuple[int, int]]:
    """Cut the first axis at edges of chunks, so that no chunk is unpacked twice."""
    chunk = max(1, source.chunks[0])
    row = max(1, math.prod(source.shape[1:]))
    step = max(1, BLOCK // row // chunk) * chunk
    for start in range(0, source.shape[0], step):
        yield start, min(start + step, source.shape[0])


def _set_attribute(target: h5py.Group | h5py.Dataset, name: str, value: Any) -> None:
    """Copy an attribute of those kinds that are read: texts, numbers, and lists of either."""
    import h5py

    if isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            target.attrs[name] = np.array(value, dtype=h5py.string_dtype())
        elif all(isinstance(item, int | float) for item in value):
            target.attrs[name] = np.asarray(value)
    elif isinstance(value, str | int | float):
        target.attrs[name] = value


def _check_codecs(described: Mapping[str, Any], called: str) -> set[str]:
    """Refuse an array whose bytes are turned into values by something that may run code.

    Returns:
        What its bytes are turned into values by.
    """
    names: set[str] = set()
    found = [described.get("compressor"), *(described.get("filters") or ())]
    found += described.get("codecs") or ()
    while found:
        codec = found.pop()
        if codec is None:
            continue
        given = codec if isinstance(codec, Mapping) else codec.to_dict()
        name = str(given.get("id", given.get("name", ""))).removeprefix("numcodecs.")
        if name not in CODECS:
            raise DataError(
                f"{called} is packed by {name!r}, which is not read, since it may run code; write "
                "it with anndata's defaults: adata.write_zarr"
            )
        names.add(name)
        inner = given.get("configuration") or {}
        found += [*(inner.get("codecs") or ()), *(inner.get("index_codecs") or ())]
    return names


def _check_blosc(folder: Path, size: int, called: str) -> None:
    """Refuse chunks of another length than they say: Blosc would read beyond their end.

    Source: c-blosc, README_CHUNK_FORMAT: a header of 16 bytes, from the fourth the unpacked length,
    the last four the packed one.
    """
    for chunk in folder.rglob("*"):
        if chunk.name.startswith(".z") or chunk.name == "zarr.json" or not chunk.is_file():
            continue
        with chunk.open("rb") as file:
            header = file.read(BLOSC_HEADER)
        if chunk.stat().st_size != int.from_bytes(header[12:], "little"):
            raise DataError(
                f"{called} has a chunk {chunk.relative_to(folder)} of another length than it says, "
                "so the store is damaged; fetch or copy it again"
            )
        check_claim(int.from_bytes(header[4:8], "little"), size, called)


def _check_chunks(source: zarr.Array[Any], called: str) -> None:
    """Refuse a sparse matrix of which a chunk is absent, which zarr reads as zeros."""
    there, needed = source.nchunks_initialized, source.nchunks
    if source.size and there < needed:
        raise DataError(
            f"{called} lacks {needed - there} of its {needed} chunks, so the store is damaged; "
            "fetch or copy it again"
        )
