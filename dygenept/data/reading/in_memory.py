"""Reads an AnnData object as a file is read, with columns and controls as its owner calls them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dygenept.data.reading.anndata_file import read_opened
from dygenept.data.reading.matrices import csr_of_blocks
from dygenept.data.reading.places import RAW
from dygenept.errors import DataError, nearest
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


def read_in_memory(
    adata: anndata.AnnData,
    *,
    mapping: DataMapping = NO_MAPPING,
    name: str = "in_memory",
    normalize: bool = False,
) -> PerturbationData:
    """Read and check an AnnData object, backed by a file or not; it is not changed.

    The parts that are needed are written to an HDF5 file in memory and read by the code that reads
    files, so that the same cells give the same data set and the same fingerprint either way. For a
    moment this takes the memory of a second copy of the expression.

    Args:
        adata: Perturbed and control cells; dense expression is made sparse, in blocks.
        mapping: Where the object keeps labels, cell types, symbols and expression.
        name: Name of the data set.
        normalize: Expression is raw counts: scale each cell to the median total and take log1p.

    Raises:
        DataError: If a column or layer is missing (the nearest is named), or the cells break a
            rule that files must obey.
    """
    import h5py
    from anndata.io import write_elem

    with h5py.File(name, "w", driver="core", backing_store=False) as file:
        write_elem(file, "obs", _plain(adata.obs))
        write_elem(file, "var", _plain(adata.var))
        write_elem(file, "uns", {part: adata.uns[part] for part in UNS_PARTS if part in adata.uns})
        _write_expression(file, adata, mapping.layer)
        return read_opened(file, Path(name), name=name, normalize=normalize, mapping=mapping)


def _write_expression(file: h5py.File, adata: anndata.AnnData, layer: str | None) -> None:
    """Write the matrix that is asked for where a file has it."""
    from anndata.io import write_elem

    if layer in (None, "", "X"):
        if adata.X is not None:
            write_elem(file, "X", _csr(adata, lambda part: part.X))
        else:
            shown = {str(key): adata[:N_SHOWN].layers[key] for key in adata.layers}
            write_elem(file, "layers", shown)
    elif layer in adata.layers:
        write_elem(file, f"layers/{layer}", _csr(adata, lambda part: part.layers[layer]))
    elif layer == RAW and adata.raw is not None:
        write_elem(file, "raw/X", _csr(adata, lambda part: part.raw.X, adata.raw.n_vars))
        write_elem(file, "raw/var", _plain(adata.raw.var))
    else:
        raise DataError(f"no layer {layer!r}; {nearest(str(layer), map(str, adata.layers))}")


class _Rows:
    """A matrix of an AnnData object that is cut into runs of cells, read from disk if backed."""

    def __init__(self, adata: anndata.AnnData, of: Any) -> None:
        self._adata, self._of = adata, of

    def __getitem__(self, rows: slice) -> object:
        return self._of(self._adata[rows])


def _csr(adata: anndata.AnnData, of: Any, n_genes: int | None = None) -> object:
    if adata.isbacked and adata.is_view:
        # anndata cuts no view again; what the view takes from the file is read at once.
        whole = of(adata)
        return csr_of_blocks(whole, whole.shape)
    shape = (adata.n_obs, adata.n_vars if n_genes is None else n_genes)
    return csr_of_blocks(_Rows(adata, of), shape)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that a file can have; texts of mixed types are written as texts."""
    import pandas as pd

    columns = {}
    for name, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(object)
        if column.dtype == object or pd.api.types.is_string_dtype(column.dtype):
            column = column.map(str, na_action="ignore").astype("category")
        if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype.kind in "biuf":
            columns[str(name)] = column
    return pd.DataFrame(columns, index=frame.index.astype(str))
