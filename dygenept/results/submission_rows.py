"""What readers of submitted predictions share: names of columns, and what they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

LABEL_NAMES = ("perturbation", "condition", "label", "target_gene", "target")
CELL_TYPE_NAMES = ("cell_type", "celltype")
FOLD_NAME = "fold"


@dataclass(frozen=True, slots=True)
class Rows:
    """What a reader of one format returns; see ``Submission`` for the fields."""

    labels: Sequence[str]
    cell_types: Sequence[str] | None
    folds: Sequence[int] | None
    genes: Sequence[str]
    values: npt.NDArray[Any]
    alternatives: Sequence[str] | None = None


def first_of(names: Sequence[str], columns: Sequence[str]) -> str | None:
    """Return the first of some names that is among the columns."""
    return next((name for name in names if name in columns), None)
