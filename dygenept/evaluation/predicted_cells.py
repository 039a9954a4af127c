"""Cells that a model predicts, checked and tested against control cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dygenept.data.de.rank_sum import ControlCellsTest
from dygenept.errors import PluginError
from dygenept.types import (
    Condition,
    DoubleArray,
    FloatArray,
    IntArray,
    PerturbationData,
    PredictedCells,
    Predictions,
)

# As many as are sampled of the real ones.
MAX_CELLS = 100


def checked_cells(
    cells: Sequence[npt.NDArray[np.floating]], conditions: Sequence[Condition], n_genes: int
) -> tuple[FloatArray, ...]:
    """Check what a model returned as cells, and raise values below 0 to 0.

    Raises:
        PluginError: If there are not some cells of G finite values for each condition.
    """
    if len(cells) != len(conditions):
        raise PluginError(f"{len(cells)} sets of cells for {len(conditions)} conditions")
    found = []
    for condition, given in zip(conditions, cells, strict=True):
        array = np.asarray(given)
        if array.ndim != 2 or array.shape[1] != n_genes or not 1 <= len(array) <= MAX_CELLS:
            raise PluginError(
                f"predicted cells of {condition.label!r} are {array.shape}; expected 1 to "
                f"{MAX_CELLS} cells of {n_genes} genes"
            )
        if array.dtype.kind not in "fiu":
            raise PluginError(
                f"predicted cells of {condition.label!r} must be real numbers, got {array.dtype}"
            )
        values = array.astype(np.float32)
        if not np.isfinite(values).all():
            raise PluginError(f"predicted cells of {condition.label!r} are NaN or infinite")
        found.append(np.maximum(values, 0.0, out=values))
    return tuple(found)


class CellTester:
    """Tests predicted cells against control cells, which are sorted once.

    Cells that name their batch are ranked among its control cells, as real cells are. Those that
    name none are ranked among all of their cell type.
    """

    def __init__(self, data: PerturbationData) -> None:
        """Take the data set; nothing is computed before the first test."""
        self._data = data
        self._controls: dict[str, ControlCellsTest] = {}
        self._of_batches: dict[int, ControlCellsTest] = {}

    def __call__(self, predictions: Predictions) -> PredictedCells | None:
        """Test the cells of predictions; None where there are none."""
        from scipy import sparse, stats

        if predictions.cells is None:
            return None
        p_values = np.ones((len(predictions.conditions), self._data.n_genes))
        means = np.array([cells.mean(axis=0, dtype=np.float64) for cells in predictions.cells])
        for row, condition in enumerate(predictions.conditions):
            cells = sparse.csr_matrix(predictions.cells[row])
            of_all = self._control(condition.cell_type)
            if predictions.cell_batches is None:
                p_values[row] = of_all.p_values(cells)
                continue
            batches = predictions.cell_batches[row]
            means[row] -= self._batch_effect(batches)
            p_values[row] = ControlCellsTest.of_strata(
                [
                    (cells[batches == batch], of_all if batch < 0 else self._of_batch(batch))
                    for batch in np.unique(batches).tolist()
                ]
            )
        return PredictedCells(
            cells=predictions.cells,
            means=means,
            name_batches=predictions.cell_batches is not None,
            adjusted_p=np.asarray(
                stats.false_discovery_control(p_values, axis=1), dtype=np.float64
            ),
        )

    def _batch_effect(self, batches: IntArray) -> DoubleArray:
        """Average how far the controls of some cells' batches lie from all controls, (G,)."""
        assert self._data.batches is not None
        numbers, counts = np.unique(batches[batches >= 0], return_counts=True)
        effect: DoubleArray = counts @ self._data.batches.offsets[numbers] / len(batches)
        return effect

    def _of_batch(self, row: int) -> ControlCellsTest:
        if row not in self._of_batches:
            data = self._data
            assert data.batches is not None
            rows = np.flatnonzero((data.condition_codes < 0) & (data.batches.rows == row))
            self._of_batches[row] = ControlCellsTest(data.expression[rows])
        return self._of_batches[row]

    def _control(self, cell_type: str) -> ControlCellsTest:
        if cell_type not in self._controls:
            data = self._data
            is_own = data.cell_type_codes == data.cell_types.index(cell_type)
            rows = np.flatnonzero((data.condition_codes < 0) & is_own)
            self._controls[cell_type] = ControlCellsTest(data.expression[rows])
        return self._controls[cell_type]
