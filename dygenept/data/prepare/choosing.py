"""Whose cells choose variable genes: controls, and what a fold of the ready file gives a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dygenept.data.prepare.documents import VariableGenes
from dygenept.data.reading.labelled import LabelledFile
from dygenept.types import BoolArray, Condition, Fold, IntArray, PerturbationData

# Cuts the fold that genes are chosen for, from the kept cells by name.
FoldOf = Callable[[PerturbationData], Fold]


def kept_by_name(found: LabelledFile, kept: BoolArray, *, name: str) -> PerturbationData:
    """Return the kept cells by name as the ready file will be read, so that folds are its folds.

    What the filters leave out takes no part: with other perturbations a split is another.

    Args:
        found: The file.
        kept: Cells that are kept, (N,).
        name: What errors call the data set.
    """
    data, cells = found.data(name=name, source="labels"), found.cells
    codes = cells.condition_codes[kept]
    used, first = np.unique(codes[codes >= 0], return_index=True)
    labels = dict.fromkeys(cells.conditions[code].label for code in used[np.argsort(first)])
    types = np.unique(cells.cell_type_codes[kept])
    return replace(
        data,
        expression=data.expression[: len(codes)],
        cell_ids=data.cell_ids[kept],
        conditions=tuple(cells.conditions[code] for code in used),
        condition_codes=_numbered(used, len(cells.conditions))[codes],
        cell_types=tuple(cells.cell_types[code] for code in types),
        cell_type_codes=_numbered(types, len(cells.cell_types))[cells.cell_type_codes[kept]],
        raw_labels=tuple(labels),
        # A file of labels may spell them as the original does.
        raw_to_label={
            **{raw: label for raw, label in data.raw_to_label.items() if label in labels},
            **{label: label for label in labels},
        },
    )


def choosing(found: LabelledFile, fold: Fold | None) -> BoolArray:
    """Mark control cells, and those of train perturbations outside a cell type that is held out.

    Args:
        found: The file.
        fold: The fold; None for control cells alone.
    """
    is_train = [_is_given(of, fold) for of in found.cells.conditions]
    return np.asarray([*is_train, True])[found.cells.condition_codes]


def choosing_conditions(
    found: LabelledFile, kept: BoolArray, fold: Fold | None
) -> tuple[Condition, ...]:
    """Return the conditions whose kept cells ``choosing`` marks, sorted."""
    codes = np.unique(found.cells.condition_codes[kept & (found.cells.condition_codes >= 0)])
    conditions = (found.cells.conditions[code] for code in codes)
    return tuple(of for of in conditions if _is_given(of, fold))


def _is_given(condition: Condition, fold: Fold | None) -> bool:
    """True of what a model may train on."""
    if fold is None or condition.label not in fold.train:
        return False
    return condition.cell_type != fold.test_cell_type


def chosen_on(chooses: BoolArray, fold: Fold | None) -> VariableGenes:
    """Say whose cells chose the variable genes."""
    return {
        "method": "seurat",
        "n_cells": int(chooses.sum()),
        "cells": "control" if fold is None else "control and train",
        "train_labels": None if fold is None else sorted(fold.train),
        "held_out_cell_type": None if fold is None else fold.test_cell_type,
    }


def _numbered(used: IntArray, size: int) -> IntArray:
    """Return the new number of each old one, -1 where it is not used and for -1 itself."""
    place = np.full(size + 1, -1, dtype=np.int32)
    place[used] = np.arange(len(used))
    return place
