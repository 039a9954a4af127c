"""Real and predicted cells as cell-eval reads them.

Its rules (cell-eval 0.8.2): both files have the same genes in the same order, the same set of
labels in one column of ``obs``, control among them, and log1p values in [0, 15). A label that
equals a gene's name leaves that gene out of the discrimination score.

Source: Arc Institute, cell-eval, https://github.com/ArcInstitute/cell-eval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from dygenept.data.reading.expression import summarise
from dygenept.errors import DataError
from dygenept.machine.hdf5_files import write_h5ad
from dygenept.machine.whole_files import replaced_whole
from dygenept.types import Condition, DoubleArray, FloatArray, PerturbationData, Predictions

if TYPE_CHECKING:
    import anndata
    from scipy import sparse

LABEL_COLUMN = "target_gene"
CELL_TYPE_COLUMN = "cell_type"
CONTROL = "non-targeting"
# cell-eval refuses values of 15 and above.
UPPER = np.float32(14.999)
Level = Literal["cells", "pseudobulk"]


@dataclass(frozen=True, slots=True)
class CellEvalFiles:
    """What was written.

    Attributes:
        real: Held-out and control cells.
        predicted: The same control cells, and predicted cells.
        n_conditions: Held-out conditions.
        clipped: Share of predicted means that were below 0 or at 15 and above, and were clipped.
        cell_types: Cell types; cell-eval takes several with ``--celltype-col``.
    """

    real: Path
    predicted: Path
    n_conditions: int
    clipped: float
    cell_types: tuple[str, ...]


def write_cell_eval(
    data: PerturbationData,
    predictions: Predictions,
    directory: Path,
    *,
    level: Level,
    n_cells: int,
    seed: int,
) -> CellEvalFiles:
    """Write ``real.h5ad`` and ``predicted.h5ad``.

    A predicted cell is a control cell plus the predicted change of its condition. Values below 0
    become 0, and the other cells are shifted a little more for it, so that the mean over a
    condition's cells is the predicted mean. At level ``pseudobulk`` each condition is one row,
    the predicted mean itself.

    Args:
        data: The data set that was predicted.
        predictions: One row per held-out condition.
        directory: Where the files go.
        level: ``cells`` or ``pseudobulk``.
        n_cells: Predicted cells per condition, at most as many as it really has.
        seed: Seed of the draw of control cells.

    Raises:
        DataError: If the data set has values that cell-eval refuses.
    """
    if not len(predictions.conditions):
        raise DataError("no predictions to export")
    highest = max(0.0, summarise(data.expression.data).highest)
    if highest >= float(UPPER):
        raise DataError(
            f"{data.name!r} has the value {highest:g}, and cell-eval refuses log1p values of 15 "
            "and above; scale the counts to a smaller total"
        )
    held_out = set(predictions.conditions)
    types = sorted({condition.cell_type for condition in held_out})
    positions = {condition: row for row, condition in enumerate(data.conditions)}
    controls = {kind: _controls(data, kind) for kind in types}
    control_rows = np.concatenate([controls[kind] for kind in types])
    real_rows = [np.flatnonzero(data.condition_codes == positions[c]) for c in held_out]
    directory.mkdir(parents=True, exist_ok=True)
    real, predicted = directory / "real.h5ad", directory / "predicted.h5ad"
    rows = np.sort(np.concatenate([control_rows, *real_rows]))
    labels = [CONTROL, *(_label(condition) for condition in data.conditions)]
    _write(
        data.expression[rows],
        [labels[code + 1] for code in data.condition_codes[rows].tolist()],
        [data.cell_types[code] for code in data.cell_type_codes[rows].tolist()],
        data,
        real,
    )
    blocks, owners, n_clipped = _predicted(
        data, predictions, controls, level=level, n_cells=n_cells, seed=seed
    )
    from scipy import sparse

    matrix = sparse.vstack([data.expression[control_rows], *blocks], format="csr")
    control_types = [data.cell_types[code] for code in data.cell_type_codes[control_rows].tolist()]
    _write(
        sparse.csr_matrix(matrix),
        [CONTROL] * len(control_rows) + [_label(owner) for owner in owners],
        control_types + [owner.cell_type for owner in owners],
        data,
        predicted,
    )
    return CellEvalFiles(
        real=real,
        predicted=predicted,
        n_conditions=len(held_out),
        clipped=n_clipped / predictions.expression.size,
        cell_types=tuple(types),
    )


def _predicted(
    data: PerturbationData,
    predictions: Predictions,
    controls: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]],
    *,
    level: Level,
    n_cells: int,
    seed: int,
) -> tuple[list[sparse.csr_matrix], list[Condition], int]:
    from scipy import sparse

    rng = np.random.default_rng(seed)
    positions = {condition: row for row, condition in enumerate(data.conditions)}
    sizes = np.bincount(data.condition_codes + 1, minlength=len(data.conditions) + 1)[1:]
    blocks: list[sparse.csr_matrix] = []
    owners: list[Condition] = []
    n_clipped = 0
    for condition, predicted in zip(predictions.conditions, predictions.expression, strict=True):
        rows = controls[condition.cell_type]
        mean = np.clip(predicted, 0.0, UPPER)
        n_clipped += int((mean != predicted).sum())
        cells = mean[None, :]
        if level == "cells":
            size = min(n_cells, int(sizes[positions[condition]]))
            drawn = rng.choice(rows, size=size, replace=size > len(rows))
            cells = shifted(data.expression[np.sort(drawn)].toarray(), mean)
        blocks.append(sparse.csr_matrix(np.minimum(cells, UPPER).astype(np.float32)))
        owners.extend([condition] * len(cells))
    return blocks, owners, n_clipped


def shifted(cells: FloatArray, mean: DoubleArray) -> DoubleArray:
    """Move each gene of some cells by one amount, floored at 0, so that its mean is as wanted.

    Args:
        cells: Control cells, (n, G), not negative.
        mean: Wanted mean of each gene, (G,), not negative.

    Returns:
        (n, G); every gene's cells keep their order.
    """
    n_cells = len(cells)
    falling = -np.sort(-cells.astype(np.float64), axis=0)
    counts = np.arange(1, n_cells + 1)[:, None]
    # The shift if only the k largest cells stay above 0; the right k is the largest that does so.
    shifts = (n_cells * mean - np.cumsum(falling, axis=0)) / counts
    n_above = np.maximum((falling + shifts > 0).sum(axis=0), 1)
    shift = np.take_along_axis(shifts, n_above[None, :] - 1, axis=0)
    return np.maximum(cells + shift, 0.0)


def _controls(data: PerturbationData, cell_type: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    code = data.cell_types.index(cell_type)
    return np.flatnonzero((data.condition_codes < 0) & (data.cell_type_codes == code))


def _label(condition: Condition) -> str:
    """A single's gene symbol, so that cell-eval finds the target among the genes; ``A+B``."""
    return "+".join(condition.genes)


def gene_names(data: PerturbationData) -> list[str]:
    """Symbols where one gene has them, identifiers elsewhere; unique."""
    n_times = Counter(data.gene_symbols)
    ids = set(data.gene_ids)
    return [
        symbol if n_times[symbol] == 1 and (symbol == gene or symbol not in ids) else gene
        for gene, symbol in zip(data.gene_ids, data.gene_symbols, strict=True)
    ]


def _write(
    matrix: sparse.csr_matrix,
    labels: Sequence[str],
    cell_types: Sequence[str],
    data: PerturbationData,
    path: Path,
) -> None:
    import anndata
    import pandas as pd

    adata: anndata.AnnData = anndata.AnnData(
        X=matrix,
        obs=pd.DataFrame(
            {
                LABEL_COLUMN: pd.Categorical(labels),
                CELL_TYPE_COLUMN: pd.Categorical(cell_types),
            },
            index=[f"cell{number}" for number in range(len(labels))],
        ),
        var=pd.DataFrame({"gene_id": list(data.gene_ids)}, index=gene_names(data)),
    )
    with replaced_whole(path) as temporary:
        write_h5ad(adata, temporary)
