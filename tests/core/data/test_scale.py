"""The scale of expression, told from whole multiples in single cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.scale import find_scale, has_unit_variance
from dygenept.errors import DataError
from dygenept.types import DoubleArray

Change = Callable[[DoubleArray], DoubleArray]


def counts() -> DoubleArray:
    rng = np.random.default_rng(3)
    depth = rng.lognormal(0, 0.4, (80, 1))
    return rng.poisson(depth * rng.lognormal(0.5, 1.2, 40)).astype(np.float64)


def scaled() -> DoubleArray:
    found = counts()
    scale: DoubleArray = found / found.sum(axis=1, keepdims=True) * 1e3
    return scale


def corrected(expression: DoubleArray) -> DoubleArray:
    """Shift each value a little, as a correction for batches does."""
    shifted: DoubleArray = expression * (1 + 0.05 * np.random.default_rng(0).random((80, 40)))
    return shifted


def file_of(path: Path, values: DoubleArray) -> Path:
    labels = ["ctrl"] * 40 + ["KLF1+ctrl"] * 20 + ["MAPK1+ctrl"] * 20
    cells, genes = [f"c{i}" for i in range(80)], [*(f"G{i}" for i in range(38)), "KLF1", "MAPK1"]
    anndata.AnnData(
        sparse.csr_matrix(values.astype(np.float32)),
        obs=pd.DataFrame({"condition": labels, "cell_type": "K562"}, index=cells),
        var=pd.DataFrame({"gene_name": genes}, index=genes),
    ).write_h5ad(path)
    return path


@pytest.mark.parametrize(
    ("change", "scale"),
    [
        (lambda x: x, "scaled counts"),
        (np.log1p, "log1p"),
        (lambda x: np.log2(1 + x), "log2"),
        (lambda x: np.log10(1 + x), "log10"),
        (np.sqrt, "square root"),
        (lambda x: np.log1p(np.log1p(x)), "log1p twice"),
        (lambda x: corrected(np.log1p(x)), None),
    ],
)
def test_each_scale_is_told_from_single_cells(change: Change, scale: str | None) -> None:
    found = find_scale(sparse.csr_matrix(change(scaled()).astype(np.float32)))
    assert (found.scale, found.common_step) == (scale, None)


def test_counts_are_told_from_scaled_counts() -> None:
    assert find_scale(sparse.csr_matrix(counts().astype(np.float32))).scale == "counts"


def test_a_logarithm_of_unscaled_counts_has_one_step_in_all_cells() -> None:
    found = find_scale(sparse.csr_matrix(np.log1p(counts()).astype(np.float32)))
    assert found.scale == "log1p"
    assert found.common_step == pytest.approx(1.0, rel=1e-5)


def test_cells_that_all_have_one_total_were_scaled_whatever_their_step() -> None:
    same = np.array([np.roll([1, 2, 3, 5, 8, 0, 0, 0], shift) for shift in range(8)], dtype=float)
    assert find_scale(sparse.csr_matrix(np.log1p(same).astype(np.float32))).common_step is None


def test_too_few_values_say_nothing() -> None:
    two_kinds = sparse.csr_matrix(np.tile([0.7, 1.4, 0.0], (50, 1)).astype(np.float32))
    assert find_scale(two_kinds).scale is None


def test_division_by_the_standard_deviation_is_seen_and_ordinary_expression_is_not() -> None:
    expression = np.log1p(scaled())
    deviation = expression.std(axis=0, ddof=1)
    assert has_unit_variance(sparse.csr_matrix((expression / deviation).astype(np.float32)))
    assert not has_unit_variance(sparse.csr_matrix(expression.astype(np.float32)))


@pytest.mark.parametrize(
    ("change", "mend"),
    [
        (lambda x: np.log2(1 + x), "adata.X.data * numpy.log(2)"),
        (lambda x: np.log10(1 + x), "adata.X.data * numpy.log(10)"),
        (np.sqrt, "numpy.log1p(adata.X.data ** 2)"),
        (lambda x: np.log1p(np.log1p(x)), "numpy.expm1(adata.X.data)"),
        (lambda x: x / 100, "pass --normalize"),
        (lambda x: np.log1p(x) / np.log1p(x).std(axis=0, ddof=1), "scaled gene by gene"),
    ],
)
def test_another_scale_is_refused_with_what_mends_it(
    tmp_path: Path, change: Change, mend: str
) -> None:
    with pytest.raises(DataError) as caught:
        read_anndata(file_of(tmp_path / "a.h5ad", change(scaled())))
    assert mend in str(caught.value)


def test_the_mend_makes_of_log2_what_log1p_is(tmp_path: Path) -> None:
    first = read_anndata(file_of(tmp_path / "a.h5ad", np.log1p(scaled())))
    second = read_anndata(file_of(tmp_path / "b.h5ad", np.log2(1 + scaled()) * np.log(2)))
    np.testing.assert_allclose(first.expression.data, second.expression.data, rtol=1e-5)


def test_scaled_counts_are_normalised_and_never_called_log1p(tmp_path: Path) -> None:
    small = file_of(tmp_path / "a.h5ad", scaled() / 100)
    data = read_anndata(small, normalize=True)
    total = np.expm1(data.expression.toarray()).sum(axis=1)
    np.testing.assert_allclose(total, 10.0, rtol=1e-4)
    assert any("had been scaled already" in note for note in data.notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (np.log1p, "leave --normalize out"),
        (lambda x: np.log2(1 + x), "log2(1 + x)"),
        (
            lambda x: np.log1p(x) * (1 + 0.05 * np.random.default_rng(0).random(x.shape)),
            "not raw counts",
        ),
    ],
)
def test_what_is_no_count_is_not_normalised(tmp_path: Path, change: Change, said: str) -> None:
    with pytest.raises(DataError, match="not raw counts") as caught:
        read_anndata(file_of(tmp_path / "a.h5ad", change(scaled())), normalize=True)
    assert said in str(caught.value)


def test_unscaled_counts_under_a_logarithm_are_noted(tmp_path: Path) -> None:
    data = read_anndata(file_of(tmp_path / "a.h5ad", np.log1p(counts())))
    assert any("not scaled cell by cell" in note for note in data.notes)


def test_data_that_were_corrected_for_batches_are_read_without_a_word(tmp_path: Path) -> None:
    data = read_anndata(file_of(tmp_path / "a.h5ad", corrected(np.log1p(scaled()))))
    assert not any("scale" in note for note in data.notes)


@pytest.mark.shared_data
def test_real_cells_of_gears_are_on_the_log1p_scale(norman_subset: Path) -> None:
    found = find_scale(read_anndata(norman_subset).expression)
    assert (found.scale, found.common_step) == ("log1p", None)
