"""A model that was trained on cells, asked for the pairs of a table of effects.

Only its unit is fitted to the table: whether changes count with their sign or by their size, and
for numbers how large they are. Both are chosen on train pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError
from dygenept.types import Condition, DoubleArray, GroupedPairs, Predictions, Task
from dygenept.types.effects import EffectKind
from dygenept.types.grouped import auroc

# Predicted changes of conditions, (n, M), on the genes that the model knows.
Changes = Callable[[Sequence[Condition]], DoubleArray]
# Conditions that the unit is chosen on, at most.
MOST_CONDITIONS = 200


class ChangesOnTable:
    """Predicted changes as predictions of a table's pairs."""

    def __init__(self, changes: Changes, columns: npt.NDArray[np.int64]) -> None:
        """Keep where predictions come from.

        Args:
            changes: Predicts the changes from control of conditions, (n, M).
            columns: Column in these of each of the table's genes, (G,); -1 for one that the model
                does not predict, which is predicted not to change.
        """
        self._changes = changes
        self._columns = columns
        self._unit: str | None = None
        self._scale = 1.0

    @property
    def chosen(self) -> dict[str, float | int | str]:
        """What was fitted to the table, for records."""
        return {"unit": str(self._unit), "scale": self._scale}

    @property
    def notes(self) -> tuple[str, ...]:
        """Genes that the model does not predict."""
        n_missing = int((self._columns < 0).sum())
        if not n_missing:
            return ()
        return (
            f"{n_missing} of {len(self._columns)} genes are not among those that the model "
            "predicts; they are predicted not to change.",
        )

    def fit(self, task: Task) -> None:
        """Choose the unit by train pairs.

        Raises:
            DataError: If the task is not that of a table, or the model predicts none of its genes.
        """
        if task.effects is None:
            raise DataError("changes are scored on the pairs of a table, and the task has cells")
        if not (self._columns >= 0).any():
            raise DataError(
                "the model predicts none of the table's genes; give gene symbols in both"
            )
        rng = np.random.default_rng(task.runtime.seed)
        rows = np.sort(rng.permutation(len(task.known))[:MOST_CONDITIONS])
        changes = self._on_table([task.known[row] for row in rows])
        observed = task.effects.is_observed[rows] & (self._columns >= 0)
        truth = task.means[rows]
        kind = task.effects.kind
        self._unit = "change"
        if kind == "labels":
            areas = {
                "change": gene_area(changes, truth, observed, kind),
                "size": gene_area(np.abs(changes), truth, observed, kind),
            }
            self._unit = max(areas, key=lambda unit: areas[unit])
        elif kind == "values":
            size = float(np.square(changes[observed]).sum())
            found = float((changes[observed] * truth[observed]).sum()) / size if size else 0.0
            self._scale = max(found, 0.0)

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Predict every gene of each condition.

        Raises:
            DataError: If it is not fitted.
        """
        if self._unit is None:
            raise DataError("the model is not fitted to the table yet; call fit first")
        changes = self._on_table(conditions)
        if self._unit == "size":
            changes = np.abs(changes)
        return Predictions(tuple(conditions), self._scale * changes)

    def _on_table(self, conditions: Sequence[Condition]) -> DoubleArray:
        changes = self._changes(conditions)  # (n, M)
        return np.where(self._columns >= 0, changes[:, self._columns], 0.0)


def gene_area(
    scores: DoubleArray, truth: DoubleArray, observed: npt.NDArray[np.bool_], kind: EffectKind
) -> float:
    """Return the mean area under the ROC curve over genes with both labels; 0.5 where none has."""
    genes, rows = np.nonzero(observed.T)
    if not len(genes):
        return 0.5
    pairs = GroupedPairs(
        kind=kind,
        groups=genes.astype(np.int32),
        n_groups=observed.shape[1],
        truth=truth[rows, genes],
        predicted=scores[rows, genes],
        counts=np.ones((1, len(genes))),
    )
    areas = auroc(pairs, labels=pairs.truth > 0.5, scores=pairs.predicted)[0]
    return float(np.nanmean(areas)) if np.isfinite(areas).any() else 0.5
