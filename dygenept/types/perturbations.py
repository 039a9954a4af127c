"""What is perturbed, and in which cells; and the arrays that say something of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONTROL_LABEL = "ctrl"
# The type of cells, and of a table's conditions, of which nothing names one.
UNKNOWN_CELL_TYPE = "unknown"

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]

# Columns of kept and of submitted predictions beside the genes'.
NAMED_COLUMNS = ("perturbation", "cell_type")


def in_cell_type(cell_type: str, *, quoted: bool = False) -> str:
    """Return `` in K562`` for a sentence, and nothing where the data name no cell type."""
    if cell_type == UNKNOWN_CELL_TYPE:
        return ""
    return f" in {cell_type!r}" if quoted else f" in {cell_type}"


@dataclass(frozen=True, slots=True, order=True)
class Perturbation:
    """An unordered set of target genes.

    Attributes:
        label: The smallest of the raw labels that name this set, such as ``KLF1+MAPK1``.
        genes: Target gene symbols, sorted, each once.
    """

    label: str
    genes: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A perturbation in one cell type: the unit that is predicted and scored."""

    perturbation: Perturbation
    cell_type: str

    @property
    def label(self) -> str:
        """Label of the perturbation."""
        return self.perturbation.label

    @property
    def genes(self) -> tuple[str, ...]:
        """Target gene symbols of the perturbation."""
        return self.perturbation.genes
