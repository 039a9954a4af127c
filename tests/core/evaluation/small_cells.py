"""Twelve cells of two genes whose expression says which cell it is, and their means."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from dygenept.types import (
    Condition,
    Perturbation,
    PerturbationData,
    Pseudobulk,
)

A, B, C = (Perturbation(f"{gene}+ctrl", (gene,)) for gene in "ABC")
AB = Perturbation("A+B", ("A", "B"))
X, Y = "x", "y"


def cells_data() -> PerturbationData:
    """Two cell types; A in both, B in the first; expression says which cell it is."""
    conditions = (Condition(A, X), Condition(A, Y), Condition(B, X))
    codes = np.array([-1, 0, 2, 1, -1, 0, -1, 2, 0, 1, -1, -1], dtype=np.int32)
    types = np.array([0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0], dtype=np.int32)
    expression = np.stack([np.arange(12.0), (np.arange(12.0) * 5) % 7], axis=1)
    return PerturbationData(
        name="cells",
        source="test",
        sha256="0" * 64,
        is_simulated=True,
        expression=sparse.csr_matrix(expression.astype(np.float32)),
        gene_ids=("g0", "g1"),
        gene_symbols=("G0", "G1"),
        cell_ids=np.arange(12).astype(str).astype(object),
        conditions=conditions,
        condition_codes=codes,
        cell_types=(X, Y),
        cell_type_codes=types,
        raw_labels=("A+ctrl", "B+ctrl"),
        raw_to_label={"A+ctrl": "A+ctrl", "B+ctrl": "B+ctrl"},
    )


BULK = Pseudobulk(
    means=np.array([[1.0, 2.0], [3.0, 5.0], [2.0, 0.0]]),
    n_cells=np.array([3, 2, 2], dtype=np.int32),
    control_means=np.array([[1.0, 1.0], [0.0, 1.0]]),
)
