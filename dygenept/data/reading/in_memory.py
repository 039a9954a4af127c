"""Reads an AnnData object as a file is read, with columns and controls as its owner calls them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from dygenept.data.memory import MemoryLimit, csr_bytes
from dygenept.data.reading.anndata_file import read_opened
from dygenept.data.reading.matrices import csr_blocks, csr_of_blocks
from dygenept.data.reading.places import RAW
from dygenept.errors import DataError, nearest
from dygenept.machine.scratch import unnamed_file
from dygenept.types.mapping import NO_MAPPING, DataMapping

if TYPE_CHECKING:
    import anndata
    import h5py
    import pandas as pd

    from dygenept.types import PerturbationData

# What a data set is read from: DE lists and the mark of simulated data are the only parts of uns.
UNS_PARTS = ("top_non_dropout_de_20", "top_non_zero_de_20", "dygenept")
# Rows of each layer that are looked at where X is empty, to say which layer could be meant.
N_SHOWN = 200
# Values of a matrix that are in one piece of a temporary file.
PIECE = 1 << 18


def read_in_memory(
    adata: anndata.AnnData,
    *,
    mapping: DataMapping = NO_MAPPING,
    name: str = "in_memory",
    normalize: bool = False,
    limit: MemoryLimit | None = None,
) -> PerturbationData:
    """Read and check an AnnData object, backed by a file or not; it is not changed.

    The parts that are needed are written to an HDF5 file in memory and read by the code that reads
    files, so that the same cells give the same data set and the same fingerprint either way. For a
    moment this takes the memory of a second copy of the expression. Under a limit that file is a
    temporary one, written in blocks. Expression that is in the object's own file (backed, and no
    view of it) is read from there, with or without a limit.

    Args:
        adata: Perturbed and control cells; dense expression is made sparse, in blocks.
        mapping: Where the object keeps labels, cell types, symbols and expression.
        name: Name of the data set.
        normalize: Expression is raw counts: scale each cell to the median total and take log1p.
        limit: Most memory, what ``held_bytes`` says of the object included; None for no limit.

    Raises:
        DataError: If a column or layer is missing (the nearest is named), the cells break a
            rule that files must obey, or they need more memory than the limit.
    """
    from anndata.io import write_elem

    if limit is not None:
        _check_object(adata, limit)
    with _hdf5_file(name, limit) as file:
        write_elem(file, "obs", _plain(adata.obs))
        write_elem(file, "var", _plain(adata.var))
        write_elem(file, "uns", {part: adata.uns[part] for part in UNS_PARTS if part in adata.uns})
        matrix = _own_matrix(adata, mapping.layer)
        if matrix is None:
            _write_expression(file, adata, mapping.layer, in_blocks=limit is not None)
        elif mapping.layer == RAW:
            write_elem(file, "raw/var", _plain(adata.raw.var))
        return read_opened(
            file, name=name, normalize=normalize, mapping=mapping, limit=limit, matrix=matrix
        )


def held_bytes(adata: anndata.AnnData) -> int:
    """Bytes of memory that an AnnData object takes; of a view, those of what it is a view of.

    A view of a backed object is read at once, so the stored values of its file count as well.
    """
    of_view = getattr(adata, "_adata_ref", None)
    whole = adata if of_view is None else of_view
    n_bytes = sys.getsizeof(whole)
    if not whole.isbacked:
        return n_bytes + (0 if whole.raw is None else _size(whole.raw.X))
    if adata.is_view:
        own = whole.X
        n_values = own.group["data"].size if hasattr(own, "group") else own.size
        n_bytes += csr_bytes(int(n_values), whole.n_obs)
    return n_bytes


def _size(matrix: Any) -> int:
    parts = (getattr(matrix, part, None) for part in ("data", "indices", "indptr"))
    if not hasattr(matrix, "indptr"):
        return int(matrix.nbytes)
    return sum(int(part.nbytes) for part in parts if part is not None)


def _check_object(adata: anndata.AnnData, limit: MemoryLimit) -> None:
    """Refuse an object that leaves nothing of a limit.

    Raises:
        DataError: As said.
    """
    if limit.left > 0:
        return
    mend = (
        "write the view to a file of its own, adata.copy('part.h5ad')"
        if adata.isbacked
        else "give the path of a file, or an object that was read with backed='r'"
    )
    raise DataError(
        f"the AnnData object takes {limit.held / 2**30:,.2f} GiB of memory by itself, more than "
        f"the {limit.n_bytes / 2**30:,.2f} GiB of --memory; {mend}"
    )


@contextmanager
def _hdf5_file(name: str, limit: MemoryLimit | None) -> Iterator[h5py.File]:
    """Give an HDF5 file to write and read: in memory, or a temporary one under a limit."""
    import h5py

    if limit is None:
        with h5py.File(name, "w", driver="core", backing_store=False) as file:
            yield file
        return
    with unnamed_file(called=name, folder=limit.folder) as place, h5py.File(place, "w") as file:
        yield file


def _own_matrix(adata: anndata.AnnData, layer: str | None) -> h5py.Group | h5py.Dataset | None:
    """Return the matrix in the object's own file; None where it is in memory, or cut by a view."""
    import h5py

    if not adata.isbacked or adata.is_view:
        return None
    if layer == RAW and adata.raw is not None:
        matrix = adata.raw.X
    elif layer in (None, "", "X"):
        matrix = adata.X
    else:
        # Layers of a backed object are in memory.
        return None
    matrix = getattr(matrix, "group", matrix)
    is_matrix = isinstance(matrix, h5py.Group) or (
        isinstance(matrix, h5py.Dataset) and matrix.shape is not None
    )
    return matrix if is_matrix else None


def _write_expression(
    file: h5py.File, adata: anndata.AnnData, layer: str | None, *, in_blocks: bool
) -> None:
    """Write the matrix that is asked for where a file has it."""
    from anndata.io import write_elem

    write = _write_blocks if in_blocks else _write_whole
    if layer in (None, "", "X"):
        if adata.X is not None:
            write(file, "X", adata, lambda part: part.X)
        else:
            shown = {str(key): adata[:N_SHOWN].layers[key] for key in adata.layers}
            write_elem(file, "layers", shown)
    elif layer in adata.layers:
        write(file, f"layers/{layer}", adata, lambda part: part.layers[layer])
    elif layer == RAW and adata.raw is not None:
        write(file, "raw/X", adata, lambda part: part.raw.X)
        write_elem(file, "raw/var", _plain(adata.raw.var))
    else:
        raise DataError(f"no layer {layer!r}; {nearest(str(layer), map(str, adata.layers))}")


class _Rows:
    """A matrix of an AnnData object that is cut into runs of cells, read from disk if backed."""

    def __init__(self, adata: anndata.AnnData, of: Callable[[Any], Any]) -> None:
        self._adata, self._of = adata, of

    def __getitem__(self, rows: slice) -> object:
        return self._of(self._adata[rows])


def _rows_of(
    path: str, adata: anndata.AnnData, of: Callable[[Any], Any]
) -> tuple[Any, tuple[int, int]]:
    """Return what can be cut into runs of rows, and its shape.

    Raises:
        DataError: If values are masked: what is beneath a mask is no measurement.
    """
    if adata.isbacked and adata.is_view:
        # anndata cuts no view again; what the view takes from the file is read at once.
        whole = of(adata)
        return whole, whole.shape
    # Runs of rows and views no longer have the mask.
    of_view = getattr(adata, "_adata_ref", None)
    if np.ma.is_masked(of(adata if of_view is None else of_view)):
        raise DataError(
            f"{path} is a masked array with masked values; say what these are, such as "
            "adata.X = adata.X.filled(0) where nothing was counted"
        )
    return _Rows(adata, of), (adata.n_obs, adata.raw.n_vars if path == "raw/X" else adata.n_vars)


def _write_whole(
    file: h5py.File, path: str, adata: anndata.AnnData, of: Callable[[Any], Any]
) -> None:
    from anndata.io import write_elem

    write_elem(file, path, csr_of_blocks(*_rows_of(path, adata, of)))


def _write_blocks(
    file: h5py.File, path: str, adata: anndata.AnnData, of: Callable[[Any], Any]
) -> None:
    """Write a matrix as CSR, block by block."""
    rows, shape = _rows_of(path, adata, of)
    group = file.create_group(path)
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
    group.attrs["shape"] = np.array(shape)
    data, indices = (
        group.create_dataset(part, (0,), dtype, maxshape=(None,), chunks=(PIECE,))
        for part, dtype in (("data", np.float32), ("indices", np.int32))
    )
    lengths = [np.zeros(1, dtype=np.int64)]
    for block in csr_blocks(rows, shape):
        start, stop = len(data), len(data) + block.nnz
        for item, values in ((data, block.data), (indices, block.indices)):
            item.resize((stop,))
            item[start:stop] = values
        lengths.append(np.diff(block.indptr).astype(np.int64))
    group["indptr"] = np.cumsum(np.concatenate(lengths))


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that a file can have; texts of mixed types are written as texts."""
    import pandas as pd

    columns = {}
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(object)
        if column.dtype == object or pd.api.types.is_string_dtype(column.dtype):
            column = column.map(_text, na_action="ignore").astype("category")
        if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype.kind in "biuf":
            columns[str(name)] = column
    plain = pd.DataFrame(columns, index=frame.index)
    plain.index = frame.index.map(_text)
    return plain


def _text(value: object) -> str:
    """Write a value as text; bytes are text too, as h5py and NumPy hand it over."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
