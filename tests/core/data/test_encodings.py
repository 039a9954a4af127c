"""Files of other tools: dense and CSC matrices, layers, string types, and parts that are absent."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from dygenept.data.reading import matrices
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.h5ad import open_h5ad, read_column
from dygenept.errors import DataError
from dygenept.testing import write_toy_h5ad


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_toy_h5ad(tmp_path / "toy.h5ad")


def rewritten(path: Path, edit: Callable[[h5py.File], object]) -> Path:
    with h5py.File(path, "r+") as file:
        edit(file)
    return path


def matrix_as(path: Path, convert: Callable[[sparse.csr_matrix], object]) -> Path:
    adata = anndata.read_h5ad(path)
    adata.X = convert(adata.X)
    adata.write_h5ad(path)
    return path


@pytest.mark.parametrize("block", [50, 1 << 22])
@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.toarray(),
        lambda x: np.asfortranarray(x.toarray().astype(np.float64)),
        lambda x: x.tocsc(),
        lambda x: x.tocsc().astype(np.float64),
    ],
)
def test_dense_and_csc_give_the_same_cells_and_fingerprint(
    toy: Path,
    block: int,
    convert: Callable[[sparse.csr_matrix], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = read_anndata(toy)
    monkeypatch.setattr(matrices, "BLOCK", block)
    data = read_anndata(matrix_as(toy, convert))
    assert data.sha256 == expected.sha256
    np.testing.assert_array_equal(data.expression.toarray(), expected.expression.toarray())
    assert data.expression.has_canonical_format


@pytest.mark.parametrize("layout", ["dense", "csc"])
def test_conversion_takes_memory_in_proportion_to_the_result(tmp_path: Path, layout: str) -> None:
    n_cells, n_genes = 4_000, 4_000
    path = tmp_path / "large.h5ad"
    made = sparse.random(n_cells, n_genes, density=0.01, format="csc", random_state=0)
    with h5py.File(path, "w") as file:
        if layout == "dense":
            file.create_dataset("X", data=made.toarray().astype(np.float32), compression="gzip")
        else:
            group = file.create_group("X")
            group.attrs.update({"encoding-type": "csc_matrix", "shape": made.shape})
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(made, part)
    with h5py.File(path) as file:
        tracemalloc.start()
        try:
            found = matrices.read_matrix(file["X"], made.shape, called="X", notes=[])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert abs(found - made).max() < 1e-6
    # The dense matrix has 64 MB, the result 1.3 MB; a block of 2^22 values has 16 MB.
    assert peak < 45e6 if layout == "dense" else peak < 10e6


def test_attributes_of_fixed_length_are_read(toy: Path) -> None:
    expected = read_anndata(toy).sha256

    def fix(file: h5py.File) -> None:
        for item, name in (("X", "encoding-type"), ("obs", "_index"), ("var", "_index")):
            value = file[item].attrs[name]
            del file[item].attrs[name]
            file[item].attrs.create(name, np.bytes_(value))

    assert read_anndata(rewritten(toy, fix)).sha256 == expected


def test_columns_of_fixed_length_strings_are_read(toy: Path) -> None:
    expected = read_anndata(toy).sha256

    def fix(file: h5py.File) -> None:
        group = file["obs/condition"]
        texts = group["categories"].asstr()[:][group["codes"][:]]
        del file["obs/condition"]
        file["obs"].create_dataset("condition", data=texts.astype("S"))

    assert read_anndata(rewritten(toy, fix)).sha256 == expected


def test_text_that_is_declared_as_ascii_is_read_as_utf8_and_said_so(toy: Path) -> None:
    def respell(file: h5py.File) -> None:
        n_cells = len(file["obs/condition/codes"])
        del file["obs/cell_type"]
        file["obs"].create_dataset("cell_type", data=np.array(["γδ T".encode()] * n_cells))

    data = read_anndata(rewritten(toy, respell))
    assert data.cell_types == ("γδ T",)
    assert any("obs['cell_type'] is declared as ASCII" in note for note in data.notes)


def test_text_that_is_not_utf8_names_the_column_and_not_damage(toy: Path) -> None:
    def respell(file: h5py.File) -> None:
        n_cells = len(file["obs/condition/codes"])
        del file["obs/cell_type"]
        file["obs"].create_dataset("cell_type", data=np.array([b"\xe9pith"] * n_cells))

    with pytest.raises(DataError, match="latin-1") as caught:
        read_anndata(rewritten(toy, respell))
    assert "obs['cell_type']" in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_nullable_strings_and_categoricals_of_them_are_read(toy: Path) -> None:
    expected = read_anndata(toy).sha256
    adata = anndata.read_h5ad(toy)
    adata.obs["condition"] = adata.obs["condition"].astype(str).astype("string")
    adata.obs["cell_type"] = pd.Categorical(pd.array(adata.obs["cell_type"].astype(str), "string"))
    with anndata.settings.override(allow_write_nullable_strings=True):
        adata.write_h5ad(toy)
    assert read_anndata(toy).sha256 == expected


def test_a_missing_value_of_a_column_of_numbers_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    obs = pd.DataFrame({"dose": [1.0, np.nan]}, index=["a", "b"])
    anndata.AnnData(np.ones((2, 1), dtype=np.float32), obs=obs).write_h5ad(path)
    with open_h5ad(path) as file:
        column = read_column(file, "obs", "dose")
    assert (column.texts(), column.is_text) == (["1.0", ""], False)


@pytest.mark.parametrize("is_null", [False, True])
def test_an_absent_x_is_answered_with_the_layer_and_its_flags(toy: Path, is_null: bool) -> None:
    adata = anndata.read_h5ad(toy)
    counts = sparse.csr_matrix(np.rint(np.expm1(adata.X.toarray())))
    anndata.AnnData(None, obs=adata.obs, var=adata.var, layers={"counts": counts}).write_h5ad(toy)

    def empty(file: h5py.File) -> None:
        if "X" in file:
            del file["X"]
        if is_null:
            file.create_dataset("X", data=h5py.Empty("f")).attrs["encoding-type"] = "null"

    with pytest.raises(DataError, match="X is empty") as caught:
        read_anndata(rewritten(toy, empty))
    assert "layers['counts'] holds counts (--layer counts --normalize)" in str(caught.value)


def test_a_matrix_of_another_shape_is_refused(toy: Path) -> None:
    def replace(file: h5py.File) -> None:
        del file["X"]
        file["X"] = np.ones((3, 2), dtype=np.float32)

    with pytest.raises(DataError, match=r"X is 3 × 2, but obs has \d+ rows"):
        read_anndata(rewritten(toy, replace))


def test_a_matrix_of_texts_is_refused(toy: Path) -> None:
    def replace(file: h5py.File) -> None:
        shape = file["X"].attrs["shape"]
        del file["X"]
        file.create_dataset("X", tuple(shape), dtype=h5py.string_dtype())

    with pytest.raises(DataError, match="put numbers there"):
        read_anndata(rewritten(toy, replace))


def test_an_array_that_claims_more_than_its_file_holds_is_refused(toy: Path) -> None:
    def claim(file: h5py.File) -> None:
        del file["obs/cell_type"]
        file["obs"].create_dataset("cell_type", (1 << 50,), dtype="i1", chunks=(1 << 16,))

    with pytest.raises(DataError, match="more than the file can hold"):
        read_anndata(rewritten(toy, claim))


def test_a_chunk_or_a_rare_encoding_that_claims_more_is_refused_too(toy: Path) -> None:
    def chunk(file: h5py.File) -> None:
        del file["obs/cell_type"]
        file["obs"].create_dataset(
            "cell_type", (9,), dtype="i8", maxshape=(None,), chunks=(1 << 28,), compression="gzip"
        )

    def rare(file: h5py.File) -> None:
        del file["obs/cell_type"]
        group = file["obs"].create_group("cell_type")
        group.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        group.create_dataset("part", (1 << 34,), dtype="f8", chunks=(1 << 10,))

    for claim in (chunk, rare):
        with pytest.raises(DataError, match="more than the file can hold"):
            read_anndata(rewritten(toy, claim))
        toy = write_toy_h5ad(toy)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(b"x", mtime=0), "gunzip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b'{"status":"ERROR"}', "JSON"),
        (b"", "is empty"),
        (b"PK\x03\x04", "unzip"),
    ],
)
def test_another_kind_of_file_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "f.h5ad"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not an") as caught:
        read_anndata(path)
    assert said in str(caught.value)
