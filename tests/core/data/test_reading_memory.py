"""How much memory reading a file of cells takes beside its expression."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from dygenept.data.reading.anndata_file import read_anndata


def test_reading_takes_less_than_one_and_a_half_times_the_expression(tmp_path: Path) -> None:
    n_cells, n_genes, per_cell = 20_000, 1_000, 300
    rng = np.random.default_rng(0)
    n_values = n_cells * per_cell
    row = np.arange(0, n_genes, n_genes / per_cell).astype(np.int32)[:per_cell]
    matrix = sparse.csr_matrix(
        (
            rng.gamma(2.0, 0.5, n_values).astype(np.float32),
            np.tile(row, n_cells),
            np.arange(n_cells + 1) * per_cell,
        ),
        shape=(n_cells, n_genes),
    )
    labels = np.where(np.arange(n_cells) % 10 == 0, "ctrl", "KLF1+ctrl")
    path = tmp_path / "large.h5ad"
    obs = pd.DataFrame({"condition": labels}, index=[str(cell) for cell in range(n_cells)])
    var = pd.DataFrame(index=[f"G{gene}" for gene in range(n_genes)])
    anndata.AnnData(X=matrix, obs=obs, var=var).write_h5ad(path)
    size = sum(part.nbytes for part in (matrix.data, matrix.indices, matrix.indptr))
    del matrix, obs, var
    tracemalloc.start()
    try:
        data = read_anndata(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert data.n_cells == n_cells
    assert peak < 1.5 * size
