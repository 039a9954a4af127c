from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
from scipy import sparse

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.errors import DataError
from dygenept.testing import ToyShape, write_toy_h5ad

Edit = Callable[[Any], Any]


@pytest.fixture
def refusal(tmp_path: Path) -> Callable[..., str]:
    """Write the toy data set after an edit, read it, and return the one line of the refusal."""

    def read(edit: Edit, shape: ToyShape | None = None, *, normalize: bool = False) -> str:
        adata = anndata.read_h5ad(write_toy_h5ad(tmp_path / "toy.h5ad", shape))
        path = tmp_path / "bad.h5ad"
        (edit(adata) or adata).write_h5ad(path)
        return one_line(path, normalize=normalize)

    return read


def one_line(path: Path, *, normalize: bool = False) -> str:
    with pytest.raises(DataError) as caught:
        read_anndata(path, normalize=normalize)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no file" in one_line(tmp_path / "absent.h5ad")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in one_line(tmp_path)


@pytest.mark.parametrize("content", [b"", b"<html>403</html>" * 100])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.h5ad"
    path.write_bytes(content)
    assert "not an .h5ad (HDF5) file" in one_line(path)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write_toy_h5ad(tmp_path / "cut.h5ad")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "fetch or copy it again" in one_line(path)


def test_a_damaged_block_of_values_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.h5ad"
    anndata.read_h5ad(write_toy_h5ad(tmp_path / "toy.h5ad")).write_h5ad(path, compression="gzip")
    with h5py.File(path) as file:
        block = file["X/data"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    middle = block.byte_offset + block.size // 2
    content[middle : middle + 40] = b"\x00" * 40
    path.write_bytes(bytes(content))
    assert "is truncated or damaged" in one_line(path)


def test_codes_without_a_category_are_refused(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    with h5py.File(path, "r+") as file:
        file["obs/condition/codes"][0] = 99
    assert "codes without a category" in one_line(path)


def test_an_hdf5_file_without_cells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.h5ad"
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(3)
    assert "has no 'obs'" in one_line(path)


def test_a_file_without_conditions_names_the_column_that_has_them(
    refusal: Callable[..., str],
) -> None:
    message = refusal(
        lambda adata: adata.obs.rename(columns={"condition": "conditon"}, inplace=True)
    )
    assert "no column 'condition'" in message
    assert message.endswith("--condition-column conditon")


def test_a_file_without_controls_is_refused(refusal: Callable[..., str]) -> None:
    message = refusal(lambda adata: adata[adata.obs["condition"] != "ctrl"].copy())
    assert "no cell is a control" in message
    assert "non-targeting" in message


def test_a_cell_type_without_controls_is_named(refusal: Callable[..., str]) -> None:
    def drop(adata: Any) -> Any:
        is_lost = (adata.obs["condition"] == "ctrl") & (adata.obs["cell_type"] == "toy_b")
        return adata[~is_lost].copy()

    message = refusal(drop, ToyShape(n_cell_types=2))
    assert "cell type 'toy_b' has" in message
    assert "adata.obs['cell_type'] != 'toy_b'" in message


def test_a_file_of_controls_alone_is_refused(refusal: Callable[..., str]) -> None:
    message = refusal(lambda adata: adata[adata.obs["condition"] == "ctrl"].copy())
    assert "every cell is a control" in message


def test_cells_without_a_condition_are_refused(refusal: Callable[..., str]) -> None:
    def forget(adata: Any) -> None:
        adata.obs["condition"] = adata.obs["condition"].where(np.arange(adata.n_obs) > 1)

    message = refusal(forget)
    assert "2 cell(s) have no condition" in message
    assert "notna()" in message


@pytest.mark.parametrize("kind", [np.int64, np.float32])
def test_raw_counts_are_refused_with_the_way_to_normalise(
    refusal: Callable[..., str], kind: type
) -> None:
    def counts(adata: Any) -> None:
        adata.X = sparse.csr_matrix(np.rint(np.expm1(adata.X.toarray())).astype(kind))

    message = refusal(counts)
    assert "looks like raw counts" in message
    assert "--normalize" in message
    assert "scanpy.pp.log1p(adata)" in message


def test_scaled_counts_without_logarithm_are_refused(refusal: Callable[..., str]) -> None:
    def scaled(adata: Any) -> None:
        adata.X = adata.X.expm1() * 1.37

    assert "values up to" in refusal(scaled)


def test_normalising_log_expression_is_refused(refusal: Callable[..., str]) -> None:
    message = refusal(lambda adata: None, normalize=True)
    assert "leave --normalize out" in message


@pytest.mark.parametrize(
    ("value", "what"),
    [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (-0.5, "negative values")],
)
def test_impossible_values_are_refused_with_their_place(
    refusal: Callable[..., str], value: float, what: str
) -> None:
    def spoil(adata: Any) -> None:
        last = adata.X.indptr[8] - 1
        adata.X.data[[last, last + 40]] = value

    message = refusal(spoil)
    assert what in message
    assert "2 in all, the first in row 7" in message


def test_expression_of_zeros_alone_is_refused(refusal: Callable[..., str]) -> None:
    def clear(adata: Any) -> None:
        adata.X = sparse.csr_matrix(adata.shape, dtype=np.float32)

    assert "only zeros" in refusal(clear)


@pytest.mark.parametrize("name", ["perturbation", "cell_type"])
def test_a_gene_called_as_a_column_of_predictions_is_refused(
    refusal: Callable[..., str], name: str
) -> None:
    def rename(adata: Any) -> None:
        adata.var_names = [name, *adata.var_names[1:]]

    assert f"a gene is called {name!r}" in refusal(rename)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_a_gene_that_occurs_twice_is_named(refusal: Callable[..., str]) -> None:
    def repeat(adata: Any) -> None:
        names = list(adata.var_names)
        names[5] = names[4]
        adata.var_names = names

    message = refusal(repeat)
    assert "1 gene id(s) occur more than once in var, such as 'TOYG000004'" in message
    assert "duplicated()" in message


def test_indices_that_point_outside_are_refused(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    with h5py.File(path, "r+") as file:
        file["X/indices"][3] = 60
    assert "point outside" in one_line(path)


def test_arrays_that_disagree_in_length_are_refused(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    with h5py.File(path, "r+") as file:
        shorter = file["X/indices"][:-1]
        del file["X/indices"]
        file["X/indices"] = shorter
    assert "disagree in length" in one_line(path)


def test_a_shape_that_differs_from_obs_is_refused(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    with h5py.File(path, "r+") as file:
        shape = file["X"].attrs["shape"]
        file["X"].attrs["shape"] = [shape[0], shape[1] + 1]
    assert "but obs has" in one_line(path)
