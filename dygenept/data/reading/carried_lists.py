"""DE gene lists that a file carries in ``uns``, matched to its conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.de.lists import DE_LISTS, N_TOP
from dygenept.data.reading.cells import LabelledCells
from dygenept.data.reading.h5ad import column_names, read_column, read_lists
from dygenept.types import IntArray

if TYPE_CHECKING:
    import h5py


def read_de_lists(
    file: h5py.File, cells: LabelledCells, gene_ids: Sequence[str], notes: list[str]
) -> dict[str, IntArray]:
    """Read the DE lists of a file as gene positions.

    Keys are values of ``obs['condition_name']``; entries are index values of ``var``. A
    perturbation with several raw labels takes the list of the label that names it. Lists that
    lack a condition of two cells or more, or contain a gene that is not there (as after a subset),
    are ignored and reported in ``notes``: the lists are then computed for all conditions alike.

    Returns:
        Positions in ``gene_ids``, (n_conditions, 20), padded with -1, by list name.
    """
    carried = {name: read_lists(file, name) for name in DE_LISTS}
    carried = {name: lists for name, lists in carried.items() if lists}
    if not carried:
        return {}
    if "condition_name" not in column_names(file, "obs"):
        notes.append(
            "The DE lists in uns were ignored: obs has no column 'condition_name' to match them."
        )
        return {}
    names = _names_by_preference(file, cells)
    n_cells = np.bincount(
        cells.condition_codes[cells.condition_codes >= 0], minlength=len(cells.conditions)
    )
    position = {gene: number for number, gene in enumerate(gene_ids)}
    result: dict[str, IntArray] = {}
    for list_name, lists in carried.items():
        keys = [next((name for name in of if name in lists), None) for of in names]
        missing = [
            condition.label
            for condition, key, n in zip(cells.conditions, keys, n_cells, strict=True)
            if key is None and n > 1
        ]
        foreign = {gene for key in keys if key for gene in lists[key][:N_TOP]} - position.keys()
        if missing:
            notes.append(
                f"{list_name} in uns was ignored: {len(missing)} condition(s) have no list, "
                f"such as {missing[0]!r}."
            )
        elif foreign:
            notes.append(
                f"{list_name} in uns was ignored: {len(foreign)} of its genes are not in var, "
                f"such as {min(foreign)!r}."
            )
        else:
            result[list_name] = _positions(keys, lists, position)
    if result and len({name for of in names for name in of}) > len(cells.conditions):
        notes.append(
            "A perturbation with several raw labels takes the DE list of its smallest label."
        )
    return result


def _names_by_preference(file: h5py.File, cells: LabelledCells) -> list[list[str]]:
    """Return the condition names of each condition, that of its canonical label first."""
    column = read_column(file, "obs", "condition_name")
    used, first = np.unique(column.codes, return_index=True)
    names: list[list[tuple[bool, str]]] = [[] for _ in cells.conditions]
    for code, cell in zip(used.tolist(), first.tolist(), strict=True):
        row = int(cells.condition_codes[cell])
        if code < 0 or row < 0:
            continue
        label = cells.labels[cells.label_codes[cell]]
        is_other = label.strip() != cells.conditions[row].label
        names[row].append((is_other, column.categories[code]))
    return [[name for _, name in sorted(of)] for of in names]


def _positions(
    keys: Sequence[str | None],
    lists: Mapping[str, tuple[str, ...]],
    position: Mapping[str, int],
) -> IntArray:
    table = np.full((len(keys), N_TOP), -1, dtype=np.int32)
    for row, key in enumerate(keys):
        genes = lists[key][:N_TOP] if key else ()
        table[row, : len(genes)] = [position[gene] for gene in genes]
    return table
