"""The parts of an ``.h5ad`` file that a data set is read from, old and new layouts alike.

No column is read that is not asked for; ``encodings`` reads each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dygenept.data.reading.encodings import Column, read_texts, read_values, text_attribute
from dygenept.data.reading.look_over import look_over
from dygenept.data.reading.zarr_store import is_zarr, open_zarr
from dygenept.errors import DataError, nearest
from dygenept.machine.file_kinds import file_kind, said_of
from dygenept.machine.reading import reading, reason_of
from dygenept.types import Condition

if TYPE_CHECKING:
    import h5py

OLD_CATEGORIES = "__categories"
# Below ``uns``: labels and cell types of conditions.
CHOSEN_ON = "dygenept/genes_chosen_on"


@contextmanager
def open_h5ad(path: Path, *, wanted: Collection[str] = ("X",)) -> Iterator[h5py.File]:
    """Open a file to read; errors of the HDF5 library while it is open are reported as damage.

    Args:
        path: An ``.h5ad`` file, or the folder of a zarr store, which is given as a file.
        wanted: Of a store, the matrices whose values are read, such as ``X``.

    Raises:
        DataError: If the file is missing, is neither, or is cut short.
    """
    import h5py

    if is_zarr(path):
        with open_zarr(path, wanted) as file, reading(path, "a zarr store of AnnData"):
            _check_parts(file, path)
            yield file
        return
    if path.is_dir():
        raise DataError(f"{path} is a folder; give the path of an .h5ad file or of a zarr store")
    if not path.is_file():
        raise DataError(f"no file {path}; check the path, or see 'dygenept data list' for names")
    if not h5py.is_hdf5(path):
        kind = file_kind(path)
        mend = said_of(kind, path)
        again = "" if ";" in mend else "; fetch or copy it again"
        raise DataError(
            f"{path} is not an .h5ad (HDF5) file: it {mend}{again} ({path.stat().st_size:,} bytes)"
        )
    look_over(path)
    with reading(path, "an .h5ad file"), _damage_named(path), h5py.File(path, "r") as file:
        _check_parts(file, path)
        yield file


def wanted_of(layer: str | None) -> tuple[str, ...]:
    """Return the paths of the matrix that a layer's name may mean."""
    return ("X",) if layer in (None, "", "X") else (f"layers/{layer}", "raw/X")


def _check_parts(file: h5py.File, path: Path) -> None:
    missing = [part for part in ("obs", "var") if part not in file]
    if missing:
        raise DataError(
            f"{path} has no {missing[0]!r}, so it is not an .h5ad file of cells × genes; "
            "write one with adata.write_h5ad"
        )


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, KeyError) as error:
        if not _is_damage(error):
            raise
        raise DataError(
            f"{path} is truncated or damaged ({reason_of(error)}); fetch or copy it again"
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
    return np.asarray(read_values(table, name, []).texts(), dtype=object)


def read_column(file: h5py.File, frame: str, name: str, notes: list[str] | None = None) -> Column:
    """Read one column of ``obs`` or ``var``.

    Args:
        file: The open file.
        frame: ``obs``, ``var`` or ``raw/var``.
        name: The column.
        notes: Gets a sentence where something was mended.

    Raises:
        DataError: If there is no such column (the nearest is named), its encoding is not known,
            its text cannot be decoded, or its length is another than the index has.
    """
    table = _table(file, frame)
    if name not in table:
        hint = nearest(name, column_names(file, frame))
        raise DataError(f"{file.filename}: {frame} has no column {name!r}; {hint}")
    column = read_values(table, name, [] if notes is None else notes)
    n_rows = _n_rows(table)
    if len(column.codes) != n_rows:
        raise DataError(
            f"{file.filename}: {frame}[{name!r}] has {len(column.codes):,} values, but {frame} has "
            f"{n_rows:,} rows; write the file again"
        )
    return column


def read_lists(file: h5py.File, name: str) -> Mapping[str, tuple[str, ...]]:
    """Read a mapping of lists of strings from ``uns``; empty where there is none."""
    import h5py

    group = file.get(f"uns/{name}")
    if not isinstance(group, h5py.Group):
        return {}
    lists = {}
    for key, item in group.items():
        if isinstance(item, h5py.Dataset) and item.ndim == 1:
            lists[str(key)] = tuple(text or "" for text in read_texts(item, []))
    return lists


def genes_chosen_on(file: h5py.File, conditions: Iterable[Condition]) -> frozenset[Condition]:
    """Return the conditions whose cells chose the genes of a file, as ``data prepare`` wrote it.

    Args:
        file: The open file.
        conditions: Its conditions.
    """
    found = read_lists(file, CHOSEN_ON)
    pairs = set(zip(found.get("label", ()), found.get("cell_type", ()), strict=False))
    return frozenset(of for of in conditions if (of.label, of.cell_type) in pairs)


def says_simulated(file: h5py.File) -> bool:
    """Tell whether ``uns['dygenept']['simulated']`` is true."""
    import h5py

    flag = file.get("uns/dygenept/simulated")
    if not isinstance(flag, h5py.Dataset) or flag.shape != ():
        return False
    return str(flag[()]) in ("True", "1")


def planted_shares(file: h5py.File) -> dict[str, float]:
    """Read ``uns['dygenept']['planted']``: the share of each source in simulated effects.

    Returns:
        Shares in [0, 1] by source, in alphabetical order; empty where the file says nothing.

    Raises:
        DataError: If one is not a number in [0, 1].
    """
    import h5py

    group = file.get("uns/dygenept/planted")
    if not isinstance(group, h5py.Group):
        return {}
    shares: dict[str, float] = {}
    for source, item in group.items():
        value = item[()] if isinstance(item, h5py.Dataset) and item.shape == () else None
        if not isinstance(value, np.floating) or not 0.0 <= float(value) <= 1.0:
            raise DataError(
                f"{file.filename}: uns/dygenept/planted/{source} must be a number from 0 to 1; "
                "simulate the data set again"
            )
        shares[str(source)] = float(value)
    return shares


def simulated_draw(file: h5py.File) -> int | None:
    """Read ``uns['dygenept']['seed']``: the seed that simulated cells were drawn with.

    Returns:
        The seed; None where the file says nothing.

    Raises:
        DataError: If it is not a whole number of 0 or more.
    """
    import h5py

    item = file.get("uns/dygenept/seed")
    if item is None:
        return None
    value = item[()] if isinstance(item, h5py.Dataset) and item.shape == () else None
    if not isinstance(value, np.integer) or int(value) < 0:
        raise DataError(
            f"{file.filename}: uns/dygenept/seed must be a whole number of 0 or more; "
            "simulate the data set again"
        )
    return int(value)


def _is_damage(error: Exception) -> bool:
    # The HDF5 library reports a damaged structure as any of three kinds of error.
    message = str(error).lstrip("'")
    return isinstance(error, OSError) or message.startswith(("Unable to", "Can't"))


def _table(file: h5py.File, frame: str) -> h5py.Group:
    import h5py

    table = file.get(frame)
    if not isinstance(table, h5py.Group):
        raise DataError(
            f"{file.filename}: {frame} is in the layout of anndata before 0.7; open the file with "
            "a recent anndata and write it again with adata.write_h5ad"
        )
    return table


def _index_name(table: h5py.Group) -> str:
    return text_attribute(table, "_index") or "_index"


def _n_rows(table: h5py.Group) -> int:
    import h5py

    item = table.get(_index_name(table))
    if isinstance(item, h5py.Group):
        item = item.get("codes", item.get("values"))
    return int(item.size) if isinstance(item, h5py.Dataset) and item.size is not None else 0
