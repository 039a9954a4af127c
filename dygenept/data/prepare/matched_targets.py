"""Targets beside the controls of their own batch, for the check of a screen's knock-downs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dygenept.data.batches import MIN_CONTROLS
from dygenept.data.prepare.passes import GeneSums, Report, Scaling, blocks_of, sum_groups
from dygenept.data.reading.labelled import LabelledFile
from dygenept.types import BoolArray, IntArray


def match_targets(
    found: LabelledFile,
    kept: BoolArray,
    scaling: Scaling,
    genes: GeneSums,
    columns: IntArray,
    report: Report,
) -> GeneSums:
    """Take batch effects from the sums of targets, and from the squares of control cells.

    As where controls are matched by batch: a cell's value minus how far the control cells of its
    batch lie from all of the cell type. Cells of a batch with few of them stay as they are, and
    such control cells are moved together, so that the mean of all controls stays.

    Args:
        found: The file.
        kept: Cells that are kept, (N,).
        scaling: How values are scaled.
        genes: Sums over these cells as they are.
        columns: Column of each condition's only target, -1 for none, (n_conditions,).
        report: Gets the cells so far.
    """
    cells, batches = found.cells, found.batches
    assert batches is not None
    types, codes = cells.cell_type_codes, cells.condition_codes
    n_types, n_batches = len(cells.cell_types), len(batches.categories)
    n_pairs, is_control = n_types * n_batches, kept & (codes < 0)
    pairs = np.where(batches.codes < 0, n_pairs, types * n_batches + batches.codes)
    n_own = np.bincount(pairs[is_control], minlength=n_pairs + 1)[:n_pairs]
    rows = np.where(np.append(n_own >= MIN_CONTROLS, False)[pairs], pairs, -1)
    groups = np.where(is_control, np.where(rows < 0, n_pairs + types, rows), -1).astype(np.int32)
    n_groups = n_pairs + n_types
    sums = sum_groups(found, kept, scaling, (groups, n_groups), report)
    counts = np.bincount(groups[groups >= 0], minlength=n_groups)[:, None]
    of_type = np.append(np.repeat(np.arange(n_types), n_batches), np.arange(n_types))
    n_controls = np.bincount(types[is_control], minlength=n_types)[:, None]
    overall = genes.controls / np.maximum(n_controls, 1)
    offsets = np.where(counts > 0, sums / np.maximum(counts, 1) - overall[of_type], 0.0)
    control_squares = genes.control_squares.copy()
    np.add.at(control_squares, of_type, offsets * (counts * offsets - 2.0 * sums))
    targets, squares = np.zeros(len(columns)), np.zeros(len(columns))
    has_target = (codes >= 0) & (np.append(columns, -1)[codes] >= 0)
    for mine, raw in blocks_of(found, kept & has_target, report, "targets"):
        of = codes[mine]
        block = scaling.apply(raw, mine)
        values = np.asarray(block[np.arange(len(mine)), columns[of]], dtype=np.float64).ravel()
        values -= np.where(rows[mine] < 0, 0.0, offsets[rows[mine], columns[of]])
        targets += np.bincount(of, values, len(columns))
        squares += np.bincount(of, np.square(values), len(columns))
    return replace(genes, targets=targets, target_squares=squares, control_squares=control_squares)
