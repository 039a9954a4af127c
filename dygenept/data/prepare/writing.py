"""Writes the ready file, a block of cells at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.prepare.passes import Report, Scaling, blocks_of
from dygenept.data.reading.encodings import Column
from dygenept.data.reading.labelled import LabelledFile
from dygenept.machine.hdf5_files import written_hdf5
from dygenept.machine.whole_files import remove_leftovers, replaced_whole
from dygenept.types import CONTROL_LABEL, BoolArray, Condition, DoubleArray

if TYPE_CHECKING:
    import h5py
    import pandas as pd

CHUNK = 1 << 18
BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyFile:
    """What a ready file has beside its values.

    Attributes:
        kept: Cells that are written, (N,).
        genes: Genes that are written, (G,).
        is_variable: Genes that were chosen, (G,).
        dispersions: Normalised dispersion of each gene, NaN where it was not computed, (G,).
        n_values: Values of the kept cells in the written genes.
        batch: Batch of each cell, where controls are to be matched by it.
        is_simulated: True if the cells were made up.
        draw: Seed that made-up cells were drawn with; None where nothing says it.
        chosen_on: Conditions whose cells chose the genes, sorted.
    """

    kept: BoolArray
    genes: BoolArray
    is_variable: BoolArray
    dispersions: DoubleArray
    n_values: int
    batch: Column | None
    is_simulated: bool
    draw: int | None = None
    chosen_on: tuple[Condition, ...] = ()


def write_ready(
    output: Path,
    found: LabelledFile,
    scaling: Scaling,
    ready: ReadyFile,
    manifest: str,
    report: Report,
) -> None:
    """Write kept cells × kept genes as CSR with the columns that every command reads."""
    from anndata.io import write_elem

    remove_leftovers(output)
    own: dict[str, object] = {"prepared": manifest}
    if ready.batch is not None:
        own["batch_column"] = BATCH
    if ready.is_simulated:
        own["simulated"] = True
        if ready.draw is not None:
            own["seed"] = ready.draw
    if ready.chosen_on:
        own["genes_chosen_on"] = {
            "label": np.array([of.label for of in ready.chosen_on], dtype=object),
            "cell_type": np.array([of.cell_type for of in ready.chosen_on], dtype=object),
        }
    output.parent.mkdir(parents=True, exist_ok=True)
    with replaced_whole(output) as temporary, written_hdf5(temporary) as (file, check):
        file.attrs["encoding-type"], file.attrs["encoding-version"] = "anndata", "0.1.0"
        write_elem(file, "obs", _obs(found, ready))
        write_elem(file, "var", _var(found, ready))
        write_elem(file, "uns", {"dygenept": own})
        for empty in ("layers", "obsm", "obsp", "varm", "varp"):
            write_elem(file, empty, {})
        _write_values(file, found, scaling, ready, report, check)


def _write_values(
    file: h5py.File,
    found: LabelledFile,
    scaling: Scaling,
    ready: ReadyFile,
    report: Report,
    check: Callable[[], None],
) -> None:
    """Write values block by block; ``check`` raises what the disk said to the last one."""
    group = file.create_group("X")
    group.attrs["encoding-type"], group.attrs["encoding-version"] = "csr_matrix", "0.1.0"
    columns = np.flatnonzero(ready.genes)
    n_cells = int(ready.kept.sum())
    group.attrs["shape"] = np.asarray([n_cells, len(columns)], dtype=np.int64)
    options = {"maxshape": (None,), "chunks": (min(CHUNK, max(ready.n_values, 1)),)}
    data = group.create_dataset("data", (0,), np.float32, **options)
    indices = group.create_dataset("indices", (0,), np.int32, **options)
    lengths = np.zeros(n_cells, dtype=np.int64)
    done, n_values = 0, 0
    for cells, raw in blocks_of(found, ready.kept, report, "write"):
        block = scaling.apply(raw, cells)[:, columns].tocsr()
        block.sort_indices()
        size = n_values + block.nnz
        for dataset, values in ((data, block.data), (indices, block.indices)):
            dataset.resize((size,))
            dataset[n_values:size] = values
        check()
        lengths[done : done + len(cells)] = np.diff(block.indptr)
        done, n_values = done + len(cells), size
    group.create_dataset("indptr", data=np.concatenate(([0], np.cumsum(lengths))))


def _obs(found: LabelledFile, ready: ReadyFile) -> pd.DataFrame:
    import pandas as pd

    cells, kept = found.cells, ready.kept
    labels = sorted({of.label for of in cells.conditions})
    place = {label: number for number, label in enumerate([CONTROL_LABEL, *labels])}
    codes = np.asarray([*(place[of.label] for of in cells.conditions), 0])
    columns = {
        "condition": pd.Categorical.from_codes(
            codes[cells.condition_codes[kept]], [CONTROL_LABEL, *labels]
        ),
        "cell_type": pd.Categorical.from_codes(cells.cell_type_codes[kept], cells.cell_types),
    }
    if ready.batch is not None:
        columns[BATCH] = pd.Categorical.from_codes(ready.batch.codes[kept], ready.batch.categories)
    frame = pd.DataFrame(columns, index=pd.Index(found.cell_ids[kept].astype(str)))
    for column in columns:
        frame[column] = frame[column].cat.remove_unused_categories()
    return frame


def _var(found: LabelledFile, ready: ReadyFile) -> pd.DataFrame:
    import pandas as pd

    kept = np.flatnonzero(ready.genes)
    return pd.DataFrame(
        {
            "gene_name": [found.genes.symbols[gene] for gene in kept],
            "is_variable": ready.is_variable[kept],
            "normalized_dispersion": ready.dispersions[kept],
        },
        index=pd.Index([found.gene_ids[gene] for gene in kept]),
    )
