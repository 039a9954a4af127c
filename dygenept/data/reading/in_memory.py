"""Reads an AnnData object as a file is read, with columns and controls as its owner calls them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.data.reading.anndata_file import read_opened
from dygenept.errors import DataError, nearest
from dygenept.types import CONTROL_LABEL, PerturbationData

if TYPE_CHECKING:
    import anndata
    import pandas as pd

# What a data set is read from: DE lists and the mark of simulated data are the only parts of uns.
UNS_PARTS = ("top_non_dropout_de_20", "top_non_zero_de_20", "dygenept")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnDataLayout:
    """Where an AnnData object keeps what a data set needs.

    Attributes:
        condition: Column of ``obs`` with perturbation labels, such as ``KLF1`` or ``KLF1+MAPK1``.
        control: Labels of control cells, beside those that are always understood (``ctrl``,
            ``control``, ``non-targeting``, ``NT``).
        cell_type: Column of ``obs`` with cell types.
        gene_symbols: Column of ``var`` with gene symbols; None looks for one by its usual names.
        layer: Layer with the expression; None takes ``X``.
    """

    condition: str = "condition"
    control: str | Sequence[str] = ()
    cell_type: str = "cell_type"
    gene_symbols: str | None = None
    layer: str | None = None


AS_GEARS_NAMES_IT = AnnDataLayout()


def read_in_memory(
    adata: anndata.AnnData,
    *,
    layout: AnnDataLayout = AS_GEARS_NAMES_IT,
    name: str = "in_memory",
    normalize: bool = False,
) -> PerturbationData:
    """Read and check an AnnData object; it is not changed.

    The parts that are needed are written to an HDF5 file in memory and read by the code that reads
    files, so that the same cells give the same data set and the same fingerprint either way. For a
    moment this takes the memory of a second copy of the expression.

    Args:
        adata: Perturbed and control cells; dense expression is made sparse.
        layout: Where the object keeps labels, cell types, symbols and expression.
        name: Name of the data set.
        normalize: Expression is raw counts: scale each cell to the median total and take log1p.

    Raises:
        DataError: If a column or layer is missing (the nearest is named), or the cells break a
            rule that files must obey.
    """
    import h5py
    from anndata.io import write_elem

    parts = {
        "X": _expression(adata, layout),
        "obs": _cells(adata.obs, layout),
        "var": _genes(adata.var, layout),
        "uns": {part: adata.uns[part] for part in UNS_PARTS if part in adata.uns},
    }
    with h5py.File(name, "w", driver="core", backing_store=False) as file:
        for part, value in parts.items():
            write_elem(file, part, value)
        return read_opened(file, Path(name), name=name, normalize=normalize)


def _expression(adata: anndata.AnnData, layout: AnnDataLayout) -> object:
    from scipy import sparse

    if layout.layer is not None and layout.layer not in adata.layers:
        raise DataError(f"no layer {layout.layer!r}; {nearest(layout.layer, adata.layers)}")
    found = adata.X if layout.layer is None else adata.layers[layout.layer]
    if found is None:
        raise DataError(f"X is empty; name a layer: {', '.join(adata.layers) or 'there is none'}")
    return sparse.csr_matrix(found, dtype="float32")


def _cells(obs: pd.DataFrame, layout: AnnDataLayout) -> pd.DataFrame:
    """Return condition and cell type under the names that files have."""
    import pandas as pd

    labels = _column(obs, layout.condition, "obs").astype(object)
    controls = (layout.control,) if isinstance(layout.control, str) else tuple(layout.control)
    for control in controls:
        if not (labels == control).any():
            raise DataError(
                f"no cell has the control label {control!r} in obs[{layout.condition!r}]; "
                f"{nearest(control, map(str, labels.dropna().unique()))}"
            )
    found = {"condition": labels.where(~labels.isin(controls), CONTROL_LABEL)}
    # The file's own DE lists are keyed by this column.
    if "condition_name" in obs:
        found["condition_name"] = obs["condition_name"].astype(object)
    if layout.cell_type in obs or layout.cell_type != AS_GEARS_NAMES_IT.cell_type:
        found["cell_type"] = _column(obs, layout.cell_type, "obs").astype(object)
    return pd.DataFrame(found, index=obs.index.astype(str))


def _genes(var: pd.DataFrame, layout: AnnDataLayout) -> pd.DataFrame:
    if layout.gene_symbols is None:
        return var
    symbols = _column(var, layout.gene_symbols, "var").astype(object)
    return symbols.rename("gene_name").to_frame()


def _column(frame: pd.DataFrame, column: str, part: str) -> pd.Series:
    if column not in frame:
        raise DataError(f"{part} has no column {column!r}; {nearest(column, map(str, frame))}")
    return frame[column]
