from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.testing import ToyShape, write_toy_h5ad

Edit = Callable[[Any], Any]


@pytest.fixture
def sha256(tmp_path: Path) -> Callable[[Edit], str]:
    """Return the fingerprint of the toy data set after an edit."""

    def edited(edit: Edit) -> str:
        source = write_toy_h5ad(tmp_path / "toy.h5ad", ToyShape(n_cell_types=2))
        adata = anndata.read_h5ad(source)
        path = tmp_path / "edited.h5ad"
        (edit(adata) or adata).write_h5ad(path)
        return read_anndata(path).sha256

    return edited


def _nothing(adata: Any) -> None:
    del adata


def test_name_and_compression_do_not_change_it(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    other = tmp_path / "elsewhere.h5ad"
    anndata.read_h5ad(path).write_h5ad(other, compression="gzip")
    first, second = read_anndata(path), read_anndata(other, name="other")
    assert first.sha256 == second.sha256
    assert len(first.sha256) == 64


def test_category_order_and_further_columns_do_not_change_it(
    sha256: Callable[[Edit], str],
) -> None:
    def reorder(adata: Any) -> None:
        for column in ("condition", "cell_type"):
            values = adata.obs[column].cat
            adata.obs[column] = values.reorder_categories(list(values.categories[::-1]))
        adata.obs["condition"] = adata.obs["condition"].cat.add_categories(["unused+ctrl"])
        adata.obs["batch"] = 1
        adata.uns["remark"] = "none"

    assert sha256(reorder) == sha256(_nothing)


def _swap_two_genes(adata: Any) -> Any:
    order = np.arange(adata.n_vars)
    order[[0, 1]] = [1, 0]
    return adata[:, order].copy()


def _change_a_value(adata: Any) -> None:
    adata.X.data[10] += 1e-4


def _rename_a_gene(adata: Any) -> None:
    adata.var_names = ["renamed", *adata.var_names[1:]]


def _change_a_symbol(adata: Any) -> None:
    adata.var["gene_name"] = ["renamed", *adata.var["gene_name"][1:]]


def _swap_two_labels(adata: Any) -> None:
    labels = adata.obs["condition"].astype(str).to_numpy().copy()
    first, second = np.flatnonzero(labels == "ctrl")[0], np.flatnonzero(labels != "ctrl")[0]
    labels[[first, second]] = labels[[second, first]]
    adata.obs["condition"] = labels


def _move_a_cell_to_another_type(adata: Any) -> None:
    types = adata.obs["cell_type"].astype(str).to_numpy().copy()
    types[0] = "toy_a" if types[0] == "toy_b" else "toy_b"
    adata.obs["cell_type"] = types


def _drop_a_cell(adata: Any) -> Any:
    return adata[:-1].copy()


@pytest.mark.parametrize(
    "edit",
    [
        _swap_two_genes,
        _change_a_value,
        _rename_a_gene,
        _change_a_symbol,
        _swap_two_labels,
        _move_a_cell_to_another_type,
        _drop_a_cell,
    ],
)
def test_every_change_of_content_changes_it(sha256: Callable[[Edit], str], edit: Edit) -> None:
    assert sha256(edit) != sha256(_nothing)


def test_normalising_changes_it(tmp_path: Path) -> None:
    adata = anndata.read_h5ad(write_toy_h5ad(tmp_path / "toy.h5ad"))
    adata.X.data[:] = np.rint(np.expm1(adata.X.data))
    path = tmp_path / "counts.h5ad"
    adata.write_h5ad(path)
    first, again = (read_anndata(path, normalize=True).sha256 for _ in range(2))
    adata.X.data[:] = np.log1p(adata.X.data)
    adata.write_h5ad(path)
    assert first == again
    assert read_anndata(path).sha256 != first
