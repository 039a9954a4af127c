"""The parts of an ``.h5ad`` file that a data set is read from, old and new encodings alike.

Read only with h5py: codes of categoricals stay codes, and no column is read that is not asked
for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError
from dygenept.types import IntArray

if TYPE_CHECKING:
    import h5py

OLD_CATEGORIES = "__categories"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ``obs`` or ``var`` as codes.

    Attributes:
        categories: The values, each once; some may be unused.
        codes: Position in ``categories`` of each row, -1 where missing.
    """

    categories: tuple[str, ...]
    codes: IntArray


@contextmanager
def open_h5ad(path: Path) -> Iterator[h5py.File]:
    """Open a file to read; errors of the HDF5 library while it is open are reported as damage.

    Raises:
        DataError: If the file is missing, is not an ``.h5ad`` file, or is cut short.
    """
    import h5py

    if path.is_dir():
        raise DataError(f"{path} is a folder; give the path of an .h5ad file")
    if not path.is_file():
        raise DataError(f"no file {path}; check the path, or see 'dygenept data list' for names")
    if path.stat().st_size == 0 or not h5py.is_hdf5(path):
        raise DataError(
            f"{path} is not an .h5ad (HDF5) file, or its beginning is damaged "
            f"({path.stat().st_size:,} bytes); fetch or copy it again"
        )
    try:
        with h5py.File(path, "r") as file:
            missing = [part for part in ("X", "obs", "var") if part not in file]
            if missing:
                raise DataError(
                    f"{path} has no {missing[0]!r}, so it is not an .h5ad file of cells × genes; "
                    "write one with adata.write_h5ad"
                )
            yield file
    except (OSError, RuntimeError, KeyError, UnicodeError) as error:
        if not _is_damage(error):
            raise
        reason = " ".join(str(error).split()).strip("'")
        raise DataError(
            f"{path} is truncated or damaged ({reason}); fetch or copy it again"
        ) from error


def column_names(file: h5py.File, frame: str) -> tuple[str, ...]:
    """Return the names of the columns of ``obs`` or ``var``, index left out."""
    table = _table(file, frame)
    skipped = (_index_name(table), OLD_CATEGORIES)
    return tuple(sorted(str(name) for name in table if name not in skipped))


def read_index(file: h5py.File, frame: str) -> npt.NDArray[np.object_]:
    """Return the index of ``obs`` or ``var`` as strings."""
    table = _table(file, frame)
    name = _index_name(table)
    if name not in table:
        raise DataError(
            f"{file.filename}: {frame} has no index column {name!r}; open the file with a recent "
            "anndata and write it again with adata.write_h5ad"
        )
    column = _read_values(table, name)
    values = np.asarray((*column.categories, ""), dtype=object)
    index: npt.NDArray[np.object_] = values[column.codes]
    return index


def read_column(file: h5py.File, frame: str, name: str) -> Column:
    """Read one column of ``obs`` or ``var``.

    Raises:
        DataError: If its encoding is not known.
    """
    return _read_values(_table(file, frame), name)


def read_lists(file: h5py.File, name: str) -> Mapping[str, tuple[str, ...]]:
    """Read a mapping of lists of strings from ``uns``; empty where there is none."""
    import h5py

    group = file.get(f"uns/{name}")
    if not isinstance(group, h5py.Group):
        return {}
    lists = {}
    for key, item in group.items():
        if isinstance(item, h5py.Dataset) and item.ndim == 1:
            lists[str(key)] = _texts(item)
    return lists


def says_simulated(file: h5py.File) -> bool:
    """Tell whether ``uns['dygenept']['simulated']`` is true."""
    flag = file.get("uns/dygenept/simulated")
    return flag is not None and str(flag[()]) in ("True", "1")


def _is_damage(error: Exception) -> bool:
    # The HDF5 library reports a damaged structure as any of four kinds of error.
    message = str(error).lstrip("'")
    return isinstance(error, OSError | UnicodeError) or message.startswith(("Unable to", "Can't"))


def _table(file: h5py.File, frame: str) -> h5py.Group:
    import h5py

    table = file[frame]
    if not isinstance(table, h5py.Group):
        raise DataError(
            f"{file.filename}: {frame} is in the layout of anndata before 0.7; open the file with "
            "a recent anndata and write it again with adata.write_h5ad"
        )
    return table


def _index_name(table: h5py.Group) -> str:
    name = table.attrs.get("_index", "_index")
    return name.decode() if isinstance(name, bytes) else str(name)


def _read_values(table: h5py.Group, name: str) -> Column:
    import h5py

    item = table[name]
    if isinstance(item, h5py.Group):
        if "codes" in item and "categories" in item:
            return _checked(_texts(item["categories"]), item["codes"])
        if "values" in item and "mask" in item:
            column = _factorised(_texts(item["values"]))
            codes = np.where(item["mask"][:], -1, column.codes).astype(np.int32)
            return Column(column.categories, codes)
        raise DataError(
            f"{table.file.filename}: column {table.name}/{name} has an unknown encoding; "
            "write it as plain strings"
        )
    if "categories" in item.attrs:
        return _checked(_texts(table[item.attrs["categories"]]), item)
    return _factorised(_texts(item))


def _checked(categories: tuple[str, ...], item: h5py.Dataset) -> Column:
    codes = item[:].astype(np.int32)
    if len(codes) and not -1 <= codes.min() <= codes.max() < len(categories):
        raise DataError(
            f"{item.file.filename} is damaged: {item.name} has codes without a category; fetch or "
            "copy it again"
        )
    return Column(categories, codes)


def _texts(item: h5py.Dataset) -> tuple[str, ...]:
    import h5py

    if h5py.check_string_dtype(item.dtype) is not None:
        return tuple(str(text) for text in item.asstr()[:])
    return tuple(str(value) for value in item[:].tolist())


def _factorised(texts: Sequence[str]) -> Column:
    position: dict[str, int] = {}
    codes = np.fromiter(
        (position.setdefault(text, len(position)) for text in texts), np.int32, len(texts)
    )
    return Column(tuple(position), codes)
