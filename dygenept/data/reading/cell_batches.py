"""The batch of each cell of a file, and whether controls are matched by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.batches import MIN_CONTROLS
from dygenept.data.reading.cells import LabelledCells, of_rows
from dygenept.data.reading.encodings import Column
from dygenept.data.reading.h5ad import read_column
from dygenept.data.reading.labels import clean_groups
from dygenept.errors import DataError
from dygenept.types import IntArray
from dygenept.types.mapping import DataMapping

if TYPE_CHECKING:
    import h5py


def own_batch_column(file: h5py.File) -> str | None:
    """Return the column of batches that ``dygenept data prepare`` wrote a file with, if any."""
    import h5py

    item = file.get("uns/dygenept/batch_column")
    if not isinstance(item, h5py.Dataset) or item.shape != ():
        return None
    value = item[()]
    return value.decode() if isinstance(value, bytes) else str(value)


def read_batches(
    file: h5py.File,
    mapping: DataMapping,
    cells: LabelledCells,
    rows: IntArray | None,
    notes: list[str],
) -> Column | None:
    """Read the batch of each cell; None where the owner of the file names no column.

    Args:
        file: The open file.
        mapping: Which column has batches.
        cells: The cells that are read.
        rows: Their rows; None for all.
        notes: Gets how many batches there are and in which perturbed cells have no controls.

    Raises:
        DataError: If controls are to be matched and no column is named, or it is not there.
    """
    column = mapping.batch_column
    if column is None:
        if mapping.match_batches:
            raise DataError(
                f"{file.filename}: --match-batches needs the column of batches: --batch-column"
            )
        return None
    batches = of_rows(clean_groups(read_column(file, "obs", column, notes), column, notes), rows)
    used = np.unique(batches.codes[batches.codes >= 0])
    has_control = np.isin(used, batches.codes[cells.condition_codes < 0])
    missing = [repr(batches.categories[code]) for code in used[~has_control]]
    notes.append(f"{len(used)} batch{'' if len(used) == 1 else 'es'} in obs[{column!r}].")
    if n_without := int((batches.codes < 0).sum()):
        notes.append(
            f"{n_without:,} cell(s) have no batch in obs[{column!r}]: they are compared with all "
            "controls of their cell type."
        )
    if missing:
        n_cells = int(np.isin(batches.codes, used[~has_control]).sum())
        notes.append(
            f"{len(missing)} batch(es) have no control cell, such as {missing[0]}: the changes of "
            f"their {n_cells:,} cells are measured from the controls of other batches."
        )
    return batches


def decide_matching(
    mapping: DataMapping, de_lists: Sequence[str], notes: list[str]
) -> tuple[DataMapping, bool]:
    """Say whether controls are matched by batch, and keep the answer with the mapping.

    They are where a column of batches is named, unless the file carries GEARS' DE lists, which
    ignore batches; the owner may say otherwise.
    """
    if mapping.batch_column is None:
        return mapping, False
    asked = mapping.match_batches
    matches = not de_lists if asked is None else asked
    if matches:
        notes.append(
            "Controls are matched by batch: changes, DE genes and metrics compare a cell with the "
            f"controls of its own batch, where these are {MIN_CONTROLS} or more, else with all "
            "controls of its cell type."
        )
        if de_lists:
            notes.append("The DE lists of the file ignore batches and are not used.")
    elif asked is None:
        notes.append(
            "Controls are not matched by batch, because the file's DE lists are not; "
            "--match-batches does so, with lists of its own."
        )
    return replace(mapping, match_batches=matches), matches


def note_few_controls(batches: Column, cells: LabelledCells, notes: list[str]) -> None:
    """Say how many perturbed cells have too few controls of their batch, of those that have any.

    Args:
        batches: Batch of each cell.
        cells: The cells.
        notes: Gets a sentence, if there are such cells.
    """
    n_batches, is_control = len(batches.categories), cells.condition_codes < 0
    is_named = batches.codes >= 0
    pairs = np.where(is_named, cells.cell_type_codes * n_batches + batches.codes, 0)
    own = np.bincount(pairs[is_control & is_named], minlength=int(pairs.max(initial=0)) + 1)
    has_any = np.isin(batches.codes, batches.codes[is_control & is_named])
    few = np.flatnonzero(is_named & has_any & ~is_control & (own[pairs] < MIN_CONTROLS))
    if len(few):
        names = sorted({batches.categories[code] for code in np.unique(batches.codes[few])})
        notes.append(
            f"{len(few):,} perturbed cell(s) are in batches with fewer than {MIN_CONTROLS} control "
            f"cells of their cell type, such as {names[0]!r}: they are compared with all controls "
            "of the type."
        )
