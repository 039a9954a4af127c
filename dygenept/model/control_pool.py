"""The control cells that a model reads: drawn from in training, averaged over in prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from dygenept.errors import DataError
from dygenept.model.conditions import IndexArray
from dygenept.plugin.interfaces import ControlPool
from dygenept.types import TaskCells


@dataclass(frozen=True, slots=True)
class ControlCells:
    """Control cells by cell type.

    Attributes:
        expression: CSR, (n_controls, G), float32, log1p scale.
        cell_type_codes: Cell type of each cell, (n_controls,).
        n_cell_types: Number of cell types.
        batch_codes: As ``TaskCells`` has them, (n_controls,); None where controls are not matched
            by batch.
    """

    expression: sparse.csr_matrix
    cell_type_codes: npt.NDArray[np.int32]
    n_cell_types: int
    batch_codes: npt.NDArray[np.int32] | None = None

    def members(self, cell_type: int) -> IndexArray:
        """Return the positions of a cell type's control cells.

        Raises:
            DataError: If it has none.
        """
        found = np.flatnonzero(self.cell_type_codes == cell_type)
        if not len(found):
            raise DataError(
                f"cell type number {cell_type} has no control cells, so nothing can be predicted "
                "for it; leave its cells out or add controls"
            )
        return found

    def of_batch(self, batch: int, cell_type: int) -> IndexArray:
        """Return the control cells that a cell of a batch is compared with.

        Args:
            batch: Code of the batch and cell type; -1 for all controls of the cell type.
            cell_type: The cell's type.
        """
        if batch < 0 or self.batch_codes is None:
            return self.members(cell_type)
        return np.flatnonzero(self.batch_codes == batch)

    def rows(self, indices: IndexArray) -> torch.Tensor:
        """Return the expression of a batch of cells, dense, (B, G)."""
        unique, inverse = np.unique(indices, return_inverse=True)
        # A cell that several rows share is made dense once.
        return torch.from_numpy(self.expression[unique].toarray()[inverse])  # (B, G)

    def means_of(self, cell_types: IndexArray) -> torch.Tensor:
        """Return the mean control cell of each of these cell types, (n,) to (n, G), float32."""
        types, places = np.unique(cell_types, return_inverse=True)
        means = [self.expression[self.members(int(of))].mean(axis=0) for of in types]
        found = np.asarray(means, dtype=np.float32).reshape(len(types), self.expression.shape[1])
        return torch.from_numpy(found)[torch.from_numpy(places)]

    def sample(self, n_per_type: int, rng: np.random.Generator) -> IndexArray:
        """Draw at most this many cells of each cell type without replacement; 0 takes all.

        Returns:
            Positions, by cell type and then ascending.
        """
        drawn: list[IndexArray] = []
        for cell_type in range(self.n_cell_types):
            found = np.flatnonzero(self.cell_type_codes == cell_type)
            size = min(n_per_type, len(found)) if n_per_type else len(found)
            drawn.append(np.sort(rng.choice(found, size=size, replace=False)))
        return np.concatenate(drawn) if drawn else np.zeros(0, dtype=np.int64)

    def take(self, positions: IndexArray) -> ControlCells:
        """Keep only these cells, in this order."""
        return ControlCells(
            expression=self.expression[positions],
            cell_type_codes=self.cell_type_codes[positions],
            n_cell_types=self.n_cell_types,
            batch_codes=None if self.batch_codes is None else self.batch_codes[positions],
        )

    def pool(self, gene_symbols: Sequence[str]) -> ControlPool:
        """Return these cells as a cell encoder's ``prepare`` takes them."""
        return ControlPool(
            expression=self.expression,
            gene_symbols=tuple(gene_symbols),
            cell_type_codes=[int(code) for code in self.cell_type_codes],
        )


def control_cells(cells: TaskCells, *, n_cell_types: int) -> ControlCells:
    """Pick the control cells out of a task's cells.

    Raises:
        DataError: If the task has none.
    """
    chosen = np.flatnonzero(cells.condition_codes < 0)
    if not len(chosen):
        raise DataError("the task has no control cells; a model needs them to start from")
    return ControlCells(
        expression=cells.expression[chosen],
        cell_type_codes=np.asarray(cells.cell_type_codes[chosen], dtype=np.int32),
        n_cell_types=n_cell_types,
        batch_codes=None if cells.batch_codes is None else cells.batch_codes[chosen],
    )
