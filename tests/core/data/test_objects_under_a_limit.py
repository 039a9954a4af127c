"""AnnData objects under a limit on memory: in memory, backed by a file, and views of either."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from scipy import sparse

import dygenept as dg
from dygenept.data import memory
from dygenept.data.memory import MemoryLimit
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading import in_memory, matrices, matrix_blocks
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.in_memory import held_bytes, read_in_memory
from dygenept.data.reading.stored_cells import StoredCells
from dygenept.errors import DataError
from dygenept.testing import ToyShape, write_toy_h5ad
from dygenept.types import DataMapping, PerturbationData

PLENTY = 1 << 50


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryLimit:
    """Let no matrix fit into memory, and let blocks be small."""
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    for module in (matrices, matrix_blocks):
        monkeypatch.setattr(module, "BLOCK", 300)
    monkeypatch.setattr(in_memory, "PIECE", 64)
    return MemoryLimit(PLENTY, tmp_path / "scratch")


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_toy_h5ad(tmp_path / "toy.h5ad", ToyShape(n_cell_types=2))


def same(stored: PerturbationData, held: PerturbationData) -> None:
    assert isinstance(stored.expression, StoredCells)
    assert (stored.sha256, stored.notes) == (held.sha256, held.notes)
    whole = stored.expression[:]
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(whole, part), getattr(held.expression, part))
    np.testing.assert_array_equal(pseudobulk(stored).means, pseudobulk(held).means)


@pytest.mark.parametrize(
    "convert",
    [lambda x: x, sparse.csc_matrix, lambda x: x.toarray(), lambda x: x.astype(np.float64)],
    ids=["csr", "csc", "dense", "float64"],
)
def test_a_backed_object_is_streamed_from_its_file(
    convert: Callable[[Any], Any], toy: Path, limit: MemoryLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    adata = anndata.read_h5ad(toy)
    adata.X = convert(adata.X)
    adata.write_h5ad(toy)
    held = read_anndata(toy)
    backed = anndata.read_h5ad(toy, backed="r")
    assert held_bytes(backed) < held_bytes(adata)

    def refuse(*_: object) -> None:
        raise AssertionError("the matrix is copied before it is read")

    # Neither way makes a second copy of what is in the file already.
    for name in ("_write_blocks", "_write_whole"):
        monkeypatch.setattr(in_memory, name, refuse)
    same(read_in_memory(backed, limit=limit), held)
    assert read_in_memory(backed).sha256 == held.sha256
    assert list(limit.folder.iterdir()) == []
    backed.file.close()
    # As anndata does, the file is opened again.
    same(read_in_memory(backed, limit=limit), held)
    backed.file.close()


def test_labels_of_the_object_count_and_not_those_of_its_file(
    toy: Path, limit: MemoryLimit
) -> None:
    adata = anndata.read_h5ad(toy)
    labels = adata.obs["condition"].astype(str)
    del adata.obs["condition"]
    adata.write_h5ad(toy)
    adata.obs["mine"] = labels.to_numpy()[::-1]
    mapping = DataMapping(condition_column="mine")
    held = read_in_memory(adata, mapping=mapping)
    backed = anndata.read_h5ad(toy, backed="r")
    backed.obs["mine"] = labels.to_numpy()[::-1]
    same(read_in_memory(backed, mapping=mapping, limit=limit), held)
    backed.file.close()


def test_raw_and_layers_of_a_backed_object_are_read(toy: Path, limit: MemoryLimit) -> None:
    adata = anndata.read_h5ad(toy)
    adata.raw = adata.copy()
    adata = adata[:, 2:].copy()
    adata.layers["half"] = adata.X / 2
    adata.write_h5ad(toy)
    for layer in ("raw", "half"):
        mapping = DataMapping(layer=layer)
        held = read_anndata(toy, mapping=mapping)
        backed = anndata.read_h5ad(toy, backed="r")
        same(read_in_memory(backed, mapping=mapping, limit=limit), held)
        backed.file.close()
        same(read_in_memory(anndata.read_h5ad(toy), mapping=mapping, limit=limit), held)


@pytest.mark.parametrize("convert", [lambda x: x, sparse.csc_matrix, lambda x: x.toarray()])
def test_an_object_in_memory_is_copied_in_blocks(
    convert: Callable[[Any], Any], toy: Path, limit: MemoryLimit
) -> None:
    held = read_anndata(toy)
    adata = anndata.read_h5ad(toy)
    adata.X = convert(adata.X)
    same(read_in_memory(adata, limit=limit), held)


@pytest.mark.parametrize("backed", [None, "r"])
def test_views_are_read(backed: str | None, toy: Path, limit: MemoryLimit) -> None:
    adata = anndata.read_h5ad(toy, backed=backed)
    label = next(label for label in adata.obs["condition"] if label != "ctrl")
    view = adata[adata.obs["condition"] != label]
    same(read_in_memory(view, limit=limit), read_in_memory(view))
    whole = anndata.read_h5ad(toy)
    # A view in memory keeps alive what it is a view of, and a backed one is read at once.
    assert held_bytes(view) >= 8 * whole.X.nnz
    if backed:
        adata.file.close()


def test_what_an_object_takes_counts(toy: Path) -> None:
    adata = anndata.read_h5ad(toy)
    adata.layers["big"] = np.zeros(adata.shape)
    held = held_bytes(adata)
    assert held >= 8 * adata.n_obs * adata.n_vars
    needed = memory.CellsSize.of_data(dg.load_dataset(adata)).in_memory
    assert dg.load_dataset(adata, memory=needed + held).n_cells == adata.n_obs
    with pytest.raises(DataError, match=r"the AnnData object itself takes .*backed='r'"):
        dg.load_dataset(adata, memory=needed + held // 2)
    with pytest.raises(DataError, match=r"takes .* GiB of memory by itself.*backed='r'"):
        dg.load_dataset(adata, memory=held)


def test_cells_that_are_in_memory_already_must_fit(toy: Path) -> None:
    data = dg.load_dataset(toy)
    limit = memory.CellsSize.of_data(data).in_memory
    asked = {"metrics": ["mse"], "folds": 2, "progress": False}
    assert dg.bench(data, "perturbed_mean", memory=limit, **asked).records
    with pytest.raises(DataError, match="whose cells were read into memory"):
        dg.bench(data, "perturbed_mean", memory=limit // 2, **asked)


MEASURED = """
import json, re, sys
from pathlib import Path
import anndata
from dygenept.data import memory, sums as means_of
from dygenept.data.reading import matrices, matrix_blocks
memory.BLOCK_VALUES = means_of.BLOCK_VALUES = 1 << 19
memory.READ_VALUES = matrix_blocks.BLOCK = matrices.BLOCK = 1 << 18
from dygenept.data.reading.in_memory import held_bytes, read_in_memory
from dygenept.data.reading.outline import outline_file
from dygenept.data.pseudobulk import pseudobulk

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10

path, folder = Path(sys.argv[1]), Path(sys.argv[2])
backed = anndata.read_h5ad(path, backed="r")
size = memory.CellsSize.of(outline_file(path))
memory.PROCESS_BYTES = peak()
limit = memory.MemoryLimit(size.streamed, folder)
data = read_in_memory(backed, limit=limit)
means = pseudobulk(data).means
streamed = peak()
del data
held = read_in_memory(backed)
print(json.dumps({
    "limit": limit.n_bytes, "streamed": streamed, "held": peak(),
    "same": bool((pseudobulk(held).means == means).all()),
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_backed_object_stays_below_its_limit(tmp_path: Path) -> None:
    n_cells, n_genes, each = 20_000, 1_000, 600
    rng = np.random.default_rng(0)
    values = rng.gamma(1.0, 1.0, n_cells * each).astype(np.float32)
    places = np.tile(np.arange(each, dtype=np.int32), n_cells)
    matrix = sparse.csr_matrix(
        (values, places, np.arange(n_cells + 1) * each), shape=(n_cells, n_genes)
    )
    adata = anndata.AnnData(matrix)
    adata.var_names = [f"var{column}" for column in range(n_genes)]
    adata.obs_names = [f"obs{row}" for row in range(n_cells)]
    adata.obs["condition"] = [
        f"var{row % 100}+ctrl" if row % 100 > 3 else "ctrl" for row in range(n_cells)
    ]
    path = tmp_path / "wide.h5ad"
    adata.write_h5ad(path)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path), str(tmp_path / "scratch")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same"]
    assert found["streamed"] <= found["limit"] < found["held"]


def test_texts_may_be_bytes(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    adata = anndata.read_h5ad(path)
    for frame, columns in ((adata.obs, ("condition", "cell_type")), (adata.var, ("gene_name",))):
        for column in columns:
            frame[column] = [str(text).encode() for text in frame[column]]
    adata.obs.index = adata.obs.index.map(lambda text: text.encode())
    read = dg.load_dataset(adata)
    assert read.sha256 == dg.load_dataset(path).sha256
    assert read.cell_ids[0] == "cell0"
