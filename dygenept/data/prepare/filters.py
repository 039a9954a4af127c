"""Which cells, conditions and genes of a screen are kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dygenept.data.prepare.options import PrepareOptions
from dygenept.errors import DataError
from dygenept.types import BoolArray, DoubleArray, IntArray


@dataclass(frozen=True, slots=True)
class CellSums:
    """What one pass over all cells gives of each.

    Attributes:
        totals: Sum of a cell's values, (N,).
        n_genes: Genes with a value, (N,).
        mito: Sum over mitochondrial genes, (N,).
        has_mito: True if any gene is mitochondrial.
    """

    totals: DoubleArray
    n_genes: IntArray
    mito: DoubleArray
    has_mito: bool


def filter_cells(
    sums: CellSums,
    condition_codes: IntArray,
    cell_type_codes: IntArray,
    options: PrepareOptions,
    counts: dict[str, int],
) -> BoolArray:
    """Mark the cells that are kept.

    Args:
        sums: Of each cell.
        condition_codes: Condition of each cell, -1 for control, (N,).
        cell_type_codes: Cell type of each cell, (N,).
        options: The thresholds.
        counts: Gets how many cells and conditions each step left out.

    Raises:
        DataError: If no perturbed cell, or no control cell of a cell type, is left.
    """
    kept = np.ones(len(condition_codes), dtype=np.bool_)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nan_to_num(sums.mito / sums.totals)
    steps = {
        "cells_with_few_counts": sums.totals < options.min_counts,
        "cells_with_few_genes": sums.n_genes < options.min_genes,
        "cells_with_much_mitochondrial_rna": share
        > (np.inf if options.max_mito is None else options.max_mito),
    }
    for name, is_out in steps.items():
        counts[name] = int((kept & is_out).sum())
        kept &= ~is_out
    n_conditions = int(condition_codes.max()) + 1
    sizes = np.bincount(condition_codes[kept & (condition_codes >= 0)], minlength=n_conditions)
    is_small = np.asarray([*(sizes < max(options.min_cells_per_perturbation, 1)), False])
    counts["conditions_with_few_cells"] = int(is_small.sum())
    is_out = is_small[condition_codes]
    counts["cells_of_small_conditions"] = int((kept & is_out).sum())
    kept &= ~is_out
    _check(kept, condition_codes, cell_type_codes)
    return kept


def filter_genes(n_cells: IntArray, options: PrepareOptions, counts: dict[str, int]) -> BoolArray:
    """Mark the genes that enough kept cells have a value of.

    Raises:
        DataError: If no gene is left.
    """
    kept: BoolArray = n_cells >= options.min_cells
    counts["genes_in_few_cells"] = int((~kept).sum())
    if not kept.any():
        raise DataError(
            f"no gene has a value in {options.min_cells} of the kept cells; lower --min-cells"
        )
    return kept


def _check(kept: BoolArray, condition_codes: IntArray, cell_type_codes: IntArray) -> None:
    is_control = condition_codes < 0
    if not (kept & ~is_control).any():
        raise DataError("no perturbed cell passes the filters; lower the thresholds")
    for number in np.unique(cell_type_codes[kept & ~is_control]).tolist():
        if not (kept & is_control & (cell_type_codes == number)).any():
            raise DataError(
                "no control cell of a cell type with perturbed cells passes the filters; lower the "
                "thresholds"
            )
