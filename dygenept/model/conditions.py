"""Conditions as tensors: what was perturbed, in which cell type, and what it changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from dygenept.types import Condition, Task

IndexArray = npt.NDArray[np.int64]

# Positions that are not genes of the encoder: no gene at all, and a gene that it lacks.
PADDING = -1
UNKNOWN = -2


@dataclass(frozen=True, slots=True)
class ConditionSet:
    """Conditions with their true mean change.

    Attributes:
        gene_indices: Perturbed genes, (n, P), as ``gene_positions`` gives them.
        cell_types: Cell type of each condition, (n,).
        deltas: Mean change from the cell type's mean control, (n, G), float32, log1p units.
        de_indices: Top-DE genes, (n, 20), padded with -1.
    """

    gene_indices: torch.Tensor
    cell_types: IndexArray
    deltas: torch.Tensor
    de_indices: torch.Tensor

    def __len__(self) -> int:
        """Number of conditions."""
        return len(self.cell_types)

    def take(self, rows: IndexArray) -> ConditionSet:
        """Return some of them, in this order."""
        return ConditionSet(
            self.gene_indices[rows], self.cell_types[rows], self.deltas[rows], self.de_indices[rows]
        )


def condition_set(task: Task, rows: slice, genes: tuple[str, ...]) -> ConditionSet:
    """Take the conditions at ``rows`` of ``task.known``; ``genes`` are the encoder's."""
    conditions = task.known[rows]
    types = np.array([task.cell_types.index(c.cell_type) for c in conditions], dtype=np.int64)
    deltas = task.means[rows] - task.control_means[types]  # (n, G)
    return ConditionSet(
        gene_indices=gene_positions(conditions, genes),
        cell_types=types,
        deltas=torch.from_numpy(deltas.astype(np.float32)),
        de_indices=torch.from_numpy(task.de_indices[rows].astype(np.int64)),
    )


def gene_positions(conditions: Sequence[Condition], genes: Sequence[str]) -> torch.Tensor:
    """Look up the target genes of conditions.

    Args:
        conditions: n conditions.
        genes: The gene encoder's genes.

    Returns:
        Positions in ``genes``, (n, P) int64, with P the largest number of targets (at least 1);
        ``PADDING`` after a condition's last gene, ``UNKNOWN`` for a gene that is not listed.
    """
    position = {gene: index for index, gene in enumerate(genes)}
    width = max((len(condition.genes) for condition in conditions), default=1)
    rows = [
        [position.get(gene, UNKNOWN) for gene in condition.genes]
        + [PADDING] * (max(width, 1) - len(condition.genes))
        for condition in conditions
    ]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), max(width, 1))
