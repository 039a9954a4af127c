"""A file's cells, genes and conditions by name, without one value of its matrix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.batches import count_offsets
from dygenept.data.memory import CellsSize
from dygenept.data.reading.carried_lists import read_de_lists
from dygenept.data.reading.cell_batches import decide_matching
from dygenept.data.reading.encodings import text_attribute
from dygenept.data.reading.h5ad import (
    genes_chosen_on,
    open_h5ad,
    says_simulated,
    simulated_draw,
)
from dygenept.data.reading.labelled import LabelledFile, read_labelled
from dygenept.data.reading.matrices import checked_parts
from dygenept.types import DataOutline, IntArray
from dygenept.types.mapping import NO_MAPPING, DataMapping

if TYPE_CHECKING:
    import h5py


def outline_file(
    path: Path,
    *,
    name: str | None = None,
    normalize: bool = False,
    mapping: DataMapping = NO_MAPPING,
) -> DataOutline:
    """Outline an ``.h5ad`` file; of its matrix only the shape and ``indptr`` are read.

    Args:
        path: The file.
        name: Name of the data set; the file's stem by default.
        normalize: Its counts would be normalised on reading.
        mapping: Where the file keeps what is needed.

    Raises:
        DataError: As ``read_anndata``, for everything but the values of the matrix.
    """
    notes: list[str] = []
    with open_h5ad(path, wanted=()) as file:
        found = read_labelled(file, path, mapping, notes)
        de_lists = read_de_lists(file, found.cells, found.gene_ids, notes)
        mapping, matches = decide_matching(found.mapping, tuple(de_lists), notes)
        is_simulated = says_simulated(file)
        draw = simulated_draw(file) if is_simulated else None
        chosen_on = genes_chosen_on(file, found.cells.conditions)
        lengths = _row_lengths(found)
        n_stored = _n_stored(found.place.item)
    cells, shape = found.cells, (len(found.cell_ids), len(found.gene_ids))
    controls = np.flatnonzero(cells.condition_codes < 0)
    data = replace(
        found.data(name=name or path.stem, source=str(path)),
        is_simulated=is_simulated,
        draw=draw,
        genes_chosen_on=chosen_on,
        de_lists={} if matches else de_lists,
        notes=tuple(notes),
        mapping=mapping,
        is_normalized=normalize,
    )
    return DataOutline(
        n_cells=shape[0],
        n_genes=shape[1],
        n_perturbations=len(data.perturbations),
        n_controls=len(controls),
        n_values=min(n_stored, shape[0] * shape[1]) if lengths is None else int(lengths.sum()),
        is_bound=lengths is None,
        n_offsets=_n_offsets(found) if matches else 0,
        control_values=None if lengths is None else lengths[controls],
        data=data,
    )


def size_of(found: LabelledFile, *, matches: bool) -> CellsSize:
    """Return the sizes of a file's cells; the number of stored values may be a bound.

    Args:
        found: The cells.
        matches: Controls are matched by batch.
    """
    lengths = _row_lengths(found)
    n_cells, n_genes = len(found.cell_ids), len(found.gene_ids)
    n_stored = _n_stored(found.place.item)
    size = CellsSize.of_codes(
        found.cells.condition_codes,
        n_values=min(n_stored, n_cells * n_genes) if lengths is None else int(lengths.sum()),
        n_genes=n_genes,
        n_types=len(found.cells.cell_types),
        is_bound=lengths is None,
    )
    return replace(size, n_offsets=_n_offsets(found)) if matches else size


def _n_offsets(found: LabelledFile) -> int:
    if found.batches is None:
        return 0
    return count_offsets(
        len(found.batches.categories),
        found.batches.codes,
        condition_codes=found.cells.condition_codes,
        cell_type_codes=found.cells.cell_type_codes,
    )


def _n_stored(item: h5py.Group | h5py.Dataset) -> int:
    values = item if hasattr(item, "shape") else item["data"]
    return int(np.prod(values.shape))


def _row_lengths(found: LabelledFile) -> IntArray | None:
    """Stored values of each cell that is read; None where only the values would tell."""
    import h5py

    item = found.place.item
    if isinstance(item, h5py.Dataset):
        return None
    if not text_attribute(item, "encoding-type", "h5sparse_format").startswith("csr"):
        return None
    where = f"{item.file.filename}: {found.place.called}"
    _, _, indptr = checked_parts(item, (found.n_rows, len(found.gene_ids)), where)
    lengths = np.diff(indptr).astype(np.int32)
    return lengths if found.rows is None else lengths[found.rows]
