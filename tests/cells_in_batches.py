"""Small data sets of cells in memory, and any data set with its controls matched by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse

from dygenept.data.batches import match_batches
from dygenept.types import Condition, Perturbation, PerturbationData


def of_one_type(
    cells: np.ndarray,
    codes: Sequence[int] | np.ndarray,
    perturbations: Sequence[Perturbation],
    *,
    cell_type: str = "K562",
    genes: Sequence[str] | None = None,
    batch: np.ndarray | None = None,
) -> PerturbationData:
    """Return cells of one cell type as a data set.

    Args:
        cells: Expression, (N, G).
        codes: Position of each cell's perturbation, -1 for control, (N,).
        perturbations: What is perturbed.
        cell_type: Its name.
        genes: Names of the G genes; G0, G1, … by default.
        batch: Batch of each cell, by which controls are matched, (N,); None for no batches.
    """
    names = tuple(genes or (f"G{gene}" for gene in range(cells.shape[1])))
    labels = tuple(item.label for item in perturbations)
    data = PerturbationData(
        name="small",
        source="test",
        sha256="0" * 64,
        is_simulated=True,
        expression=sparse.csr_matrix(cells.astype(np.float32)),
        gene_ids=names,
        gene_symbols=names,
        cell_ids=np.arange(len(cells)).astype(str).astype(object),
        conditions=tuple(Condition(item, cell_type) for item in perturbations),
        condition_codes=np.asarray(codes, dtype=np.int32),
        cell_types=(cell_type,),
        cell_type_codes=np.zeros(len(cells), dtype=np.int32),
        raw_labels=labels,
        raw_to_label={label: label for label in labels},
    )
    return data if batch is None else in_batches(data, batch)


def in_batches(
    data: PerturbationData, batch: np.ndarray, *, expression: np.ndarray | None = None
) -> PerturbationData:
    """Match the controls of a data set by batch.

    Args:
        data: The data set.
        batch: Batch of each cell, -1 for none, (N,).
        expression: Its cells, if they are other ones, (N, G).
    """
    cells = data.expression
    if expression is not None:
        cells = sparse.csr_matrix(expression.astype(np.float32))
    found = match_batches(
        cells,
        tuple(f"b{number:02}" for number in range(int(batch.max()) + 1)),
        batch.astype(np.int32),
        condition_codes=data.condition_codes,
        cell_type_codes=data.cell_type_codes,
    )
    return replace(data, expression=cells, batches=found)
