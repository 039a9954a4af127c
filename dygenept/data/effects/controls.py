"""Control cells of a second file that belong to a table of effects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.errors import DataError, nearest
from dygenept.types import EffectControls, IntArray, PerturbationData


@dataclass(frozen=True, slots=True)
class ReadControls:
    """What a second file gave.

    Attributes:
        controls: Its control cells, by the table's cell types.
        sha256: Fingerprint of the file's content.
        note: What was read, in one sentence.
    """

    controls: EffectControls
    sha256: str
    note: str


def read_controls(
    path: Path, cell_types: tuple[str, ...], *, normalize: bool, has_types: bool
) -> ReadControls:
    """Read the control cells of a file; its perturbed cells are left out.

    Args:
        path: An AnnData file of log1p expression.
        cell_types: Cell types of the table.
        normalize: The file has raw counts.
        has_types: False for a table that names no cell type: all controls of the file are its.

    Raises:
        DataError: If the file is refused, or has no control cell of a cell type of the table.
    """
    if not path.is_file():
        raise DataError(
            f"no file {path} of control cells; correct the path given to --control-cells"
        )
    data = read_anndata(path, normalize=normalize)
    of_control = np.flatnonzero(data.condition_codes < 0)
    code_of = (
        _codes(data, path, cell_types)
        if has_types
        else np.zeros(len(data.cell_types), dtype=np.int32)
    )
    codes = code_of[data.cell_type_codes[of_control]]
    kept = codes >= 0
    counts = np.bincount(codes[kept], minlength=len(cell_types))
    if not counts.all():
        missing = cell_types[int(counts.argmin())]
        raise DataError(
            f"{path} has no control cell of {missing!r}, which the table has effects of; leave its "
            "rows out of the table, or add its cells"
        )
    rows = of_control[kept]
    return ReadControls(
        controls=EffectControls(data.expression[rows], data.gene_symbols, codes[kept]),
        sha256=data.sha256,
        note=f"{len(rows):,} control cells are read from {path.name}.",
    )


def _codes(data: PerturbationData, path: Path, cell_types: tuple[str, ...]) -> IntArray:
    """Return the table's code of each cell type of the file, -1 for others."""
    place = {name.casefold(): code for code, name in enumerate(cell_types)}
    known = {name.casefold() for name in data.cell_types}
    for name in cell_types:
        if name.casefold() not in known:
            raise DataError(
                f"{path} has no cells of {name!r}, which the table has effects of; "
                f"{nearest(name, data.cell_types)}"
            )
    return np.array([place.get(name.casefold(), -1) for name in data.cell_types], dtype=np.int32)
