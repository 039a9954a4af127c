"""Cells in a file give what cells in memory give, bit for bit, in bounded memory."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
from core.evaluation.two_batches import check_same_samples
from scipy import sparse

from dygenept.data import memory
from dygenept.data.de.lists import DE_LISTS, de_genes
from dygenept.data.de.tests import de_tests
from dygenept.data.memory import CellsSize, MemoryLimit
from dygenept.data.opening import open_data
from dygenept.data.pseudobulk import half_means, pseudobulk
from dygenept.data.reading import matrices, matrix_blocks
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.stored_cells import StoredCells
from dygenept.data.request import DataRequest
from dygenept.errors import DataError
from dygenept.evaluation.cell_samples import cell_samples
from dygenept.evaluation.control_cells import control_half_means
from dygenept.machine.scratch import ScratchFile
from dygenept.plugin.environment import Environment
from dygenept.testing import ToyShape, write_toy_h5ad
from dygenept.types import DataMapping, no_report

PLENTY = 1 << 50


@pytest.fixture
def limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryLimit:
    """Let no matrix fit into memory, and let blocks be small."""
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    for module in (matrices, matrix_blocks):
        monkeypatch.setattr(module, "BLOCK", 300)
    return MemoryLimit(PLENTY, tmp_path / "scratch")


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_toy_h5ad(tmp_path / "toy.h5ad", ToyShape(n_cell_types=2))


def rewritten(path: Path, edit: Callable[[anndata.AnnData], object], **how: str) -> Path:
    adata = anndata.read_h5ad(path)
    edit(adata)
    adata.write_h5ad(path, **how)
    return path


def with_matrix(convert: Callable[[sparse.csr_matrix], object]) -> Callable[[Path], Path]:
    def edit(adata: anndata.AnnData) -> None:
        adata.X = convert(adata.X)

    return lambda path: rewritten(path, edit)


def compressed(path: Path) -> Path:
    return rewritten(path, lambda adata: None, compression="gzip")


def untidy(path: Path) -> Path:
    """Columns in descending order, explicit zeros, and a value in two halves."""
    with h5py.File(path, "r+") as file:
        group = file["X"]
        data, indices, indptr = (group[name][:] for name in ("data", "indices", "indptr"))
        shape = group.attrs["shape"]
        rows, columns, values = [], [], []
        for row in range(shape[0]):
            own = slice(indptr[row], indptr[row + 1])
            place, value = indices[own][::-1], data[own][::-1]
            absent = np.setdiff1d(np.arange(shape[1]), place)[:1]
            columns.append(np.concatenate([place, place[:1], absent]))
            values.append(np.concatenate([value[:1] / 2, value[1:], value[:1] / 2, absent * 0.0]))
            rows.append(len(columns[-1]))
        for name in ("data", "indices", "indptr"):
            del group[name]
        group["data"] = np.concatenate(values).astype(np.float32)
        group["indices"] = np.concatenate(columns).astype(np.int32)
        group["indptr"] = np.cumsum([0, *rows])
    return path


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda path: path,
        compressed,
        untidy,
        with_matrix(sparse.csc_matrix),
        with_matrix(lambda x: x.toarray()),
        with_matrix(lambda x: x.astype(np.float64)),
    ],
    ids=["csr", "compressed", "untidy", "csc", "dense", "float64"],
)
def test_every_layout_gives_the_same_cells_and_passes(
    rewrite: Callable[[Path], Path], toy: Path, limit: MemoryLimit
) -> None:
    path = rewrite(toy)
    held, stored = read_anndata(path), read_anndata(path, limit=limit)
    assert isinstance(stored.expression, StoredCells)
    assert (stored.sha256, stored.notes) == (held.sha256, held.notes)
    whole = stored.expression[:]
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(whole, part), getattr(held.expression, part))
    means, expected = pseudobulk(stored), pseudobulk(held)
    np.testing.assert_array_equal(means.means, expected.means)
    np.testing.assert_array_equal(means.control_means, expected.control_means)
    for name in DE_LISTS:
        np.testing.assert_array_equal(
            de_genes(stored, means, name).indices, de_genes(held, expected, name).indices
        )
    tests, of_held = de_tests(stored, means), de_tests(held, expected)
    np.testing.assert_array_equal(tests.is_significant, of_held.is_significant)
    np.testing.assert_array_equal(tests.scores_vs_rest, of_held.scores_vs_rest)
    halves = [
        half_means(data, data.conditions, np.random.default_rng(0)) for data in (stored, held)
    ]
    np.testing.assert_array_equal(*halves)
    one, other = (cell_samples(data, means, seed=1).distances(0) for data in (stored, held))
    np.testing.assert_array_equal(one.squared, other.squared)


def test_counts_are_normalised_in_the_file(toy: Path, limit: MemoryLimit) -> None:
    def to_counts(adata: anndata.AnnData) -> None:
        adata.X = sparse.csr_matrix(np.rint(np.expm1(adata.X.toarray()) * 3 + 1))

    path = rewritten(toy, to_counts)
    held, stored = (
        read_anndata(path, normalize=True),
        read_anndata(path, normalize=True, limit=limit),
    )
    assert (stored.sha256, stored.notes) == (held.sha256, held.notes)
    np.testing.assert_array_equal(stored.expression[:].data, held.expression.data)


def test_dropped_cells_and_matched_batches_are_the_same(toy: Path, limit: MemoryLimit) -> None:
    def with_batches(adata: anndata.AnnData) -> None:
        adata.obs["batch"] = [f"b{row % 3}" for row in range(adata.n_obs)]

    path = rewritten(toy, with_batches)
    dropped = str(anndata.read_h5ad(path).obs["condition"].iloc[-1])
    mapping = DataMapping(drop=(dropped,), batch_column="batch", match_batches=True)
    held = read_anndata(path, mapping=mapping)
    stored = read_anndata(path, mapping=mapping, limit=limit)
    assert stored.sha256 == held.sha256
    np.testing.assert_array_equal(pseudobulk(stored).means, pseudobulk(held).means)
    np.testing.assert_array_equal(de_tests(stored).scores_vs_rest, de_tests(held).scores_vs_rest)
    halves, others = (control_half_means(data, seed=2) for data in (stored, held))
    np.testing.assert_array_equal(halves.of_types, others.of_types)
    assert halves.of_batches is not None
    np.testing.assert_array_equal(halves.of_batches, others.of_batches)
    assert (halves.shares != others.shares).nnz == 0
    check_same_samples(stored, held)


@pytest.mark.parametrize(
    "rows",
    [
        np.array([5, 3, 3, 4]),
        np.array([], dtype=np.int64),
        slice(7, 2),
        slice(2, 9),
        np.arange(60) % 7 == 2,
        np.array([59, 0]),
    ],
)
def test_rows_are_those_of_a_matrix_in_memory(
    rows: np.ndarray | slice, tmp_path: Path, limit: MemoryLimit
) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    held, stored = read_anndata(path).expression[:60], read_anndata(path, limit=limit).expression
    cut = stored[np.arange(60)[rows]] if isinstance(rows, np.ndarray) else stored[rows]
    assert cut.shape == held[rows].shape
    assert (cut != held[rows]).nnz == 0
    assert cut.has_canonical_format


def test_what_is_wrong_is_said_in_the_same_words(toy: Path, limit: MemoryLimit) -> None:
    with h5py.File(toy, "r+") as file:
        file["X/data"][400] = np.nan
    errors = []
    for given in (None, limit):
        with pytest.raises(DataError, match="the first in row") as caught:
            read_anndata(toy, limit=given)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    with h5py.File(toy, "r+") as file:
        file["X/indices"][-1] = 1 << 20
    with pytest.raises(DataError, match="point outside"):
        read_anndata(toy, limit=limit)


def test_nothing_is_left_in_the_folder(toy: Path, limit: MemoryLimit) -> None:
    stored = read_anndata(toy, limit=limit)
    # Not even while the cells are in use, so that a killed process leaves nothing either.
    assert list(limit.folder.iterdir()) == []
    assert stored.expression[:].nnz == stored.expression.nnz


def test_a_full_disk_is_said_plainly(
    toy: Path, limit: MemoryLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DataError, match=r"the disk of .*scratch is full.*DYGENEPT_HOME"):
        read_anndata(toy, limit=limit)
    size = CellsSize(n_values=1 << 50, n_cells=9, n_genes=9, n_conditions=1)
    with pytest.raises(DataError, match="GB left"):
        MemoryLimit(1 << 60, limit.folder).streams("huge", size)


def test_every_pass_reads_every_value_once(
    toy: Path, limit: MemoryLimit, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = read_anndata(toy, limit=limit)
    read = [0]
    preadv = os.preadv

    def counted(descriptor: int, into: list[memoryview], offset: int) -> int:
        read[0] += sum(map(len, into))
        return preadv(descriptor, into, offset)

    monkeypatch.setattr(os, "preadv", counted)

    def passes(run: Callable[[], object]) -> float:
        read[0] = 0
        run()
        return read[0] / (8 * stored.expression.nnz)

    means = pseudobulk(stored)
    assert passes(lambda: pseudobulk(stored)) == 1
    assert passes(lambda: de_genes(stored, means)) == 1
    # Tests against control, and scores against the rest.
    assert passes(lambda: de_tests(stored, means)) == 2


def test_stored_cells_go_to_no_process_that_is_not_started_with_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be handed to another process"):
        pickle.dumps(ScratchFile(tmp_path))


def test_a_limit_moves_cells_into_a_file_before_it_refuses_them(tmp_path: Path) -> None:
    size = CellsSize(n_values=1 << 30, n_cells=1 << 20, n_genes=100, n_conditions=10)
    assert size.streamed < size.in_memory
    memory.check_memory("big", size, size.streamed, streams=True)
    with pytest.raises(DataError, match=r"with its cells in a file, more than the"):
        memory.check_memory("big", size, size.streamed - 1, streams=True)
    wide = CellsSize(n_values=1 << 20, n_cells=1 << 12, n_genes=1 << 12, n_conditions=1 << 11)
    few = replace(wide, n_tables=memory.FEW_TABLES).in_memory
    with pytest.raises(DataError, match=r"such as --metric mse \(\d\.\d\d GiB\)"):
        memory.check_memory("wide", wide, few, streams=True)
    # Beyond a size, tables go into files before anything is refused.
    huge = replace(size, n_genes=1 << 15, n_conditions=1 << 15)
    assert huge.bounded < replace(huge, n_tables=memory.FEW_TABLES).in_memory
    memory.check_memory("huge", huge, huge.bounded, streams=True)
    with pytest.raises(DataError, match=r"its cells and tables in files, more than the"):
        memory.check_memory("huge", huge, huge.bounded - 1, streams=True)
    with pytest.raises(DataError, match=r"its source reads cells into memory"):
        memory.check_memory("big", size, size.streamed, streams=False)


def test_a_registered_data_set_is_kept_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment.load(data_dir=tmp_path, cache_dir=tmp_path / "cache")
    held = open_data(DataRequest(dataset="sim:dixit@0.02"), environment, no_report)
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    asked = DataRequest(dataset="sim:dixit@0.02", memory=PLENTY)
    stored = open_data(asked, environment, no_report)
    assert isinstance(stored.expression, StoredCells)
    assert stored.sha256 == held.sha256


MEASURED = """
import json, re, sys
import scipy.sparse, scipy.special
from pathlib import Path
from dygenept.data import memory, sums as means_of
from dygenept.data.de import rank_sum
from dygenept.data.reading import matrix_blocks
# Small blocks, so that a file of a second is many of them.
memory.BLOCK_VALUES = means_of.BLOCK_VALUES = 1 << 19
memory.SORTED = rank_sum.SORTED = 1 << 17
memory.READ_VALUES = matrix_blocks.BLOCK = 1 << 18
from dygenept.data.de.tests import de_tests
from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.outline import outline_file

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10

path, folder = Path(sys.argv[1]), Path(sys.argv[2])
size = memory.CellsSize.of(outline_file(path))
# What this process takes with its libraries, before a value is read.
memory.PROCESS_BYTES = peak()
limit = memory.MemoryLimit(size.streamed, folder)
data = read_anndata(path, limit=limit)
means = pseudobulk(data)
lists, tests = de_genes(data, means), de_tests(data, means)
streamed = peak()
del data
held = read_anndata(path)
print(json.dumps({
    "limit": limit.n_bytes, "streamed": streamed, "held": peak(),
    "same": bool((pseudobulk(held).means == means.means).all()),
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_the_peak_of_a_process_stays_below_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "wide.h5ad"
    # Twelve million values: 96 MB in memory, for which the limit has no room.
    n_cells, n_genes, each = 20_000, 1_000, 600
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        matrix = file.create_group("X")
        matrix.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        matrix.attrs["shape"] = np.array([n_cells, n_genes])
        values = rng.gamma(1.0, 1.0, each).astype(np.float32)
        matrix["data"] = np.tile(values, n_cells) * np.repeat(
            rng.uniform(0.5, 1.5, n_cells).astype(np.float32), each
        )
        matrix["indices"] = np.tile(np.arange(each, dtype=np.int32), n_cells)
        matrix["indptr"] = np.arange(n_cells + 1) * each
        for name, n in (("obs", n_cells), ("var", n_genes)):
            frame = file.create_group(name)
            frame.attrs["_index"] = "_index"
            frame["_index"] = np.array([f"{name}{row}" for row in range(n)], dtype="S")
        labels = [f"var{row % 100}+ctrl" if row % 100 > 3 else "ctrl" for row in range(n_cells)]
        file["obs/condition"] = np.array(labels, dtype="S")
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


@pytest.mark.parametrize(("n_folds", "n_tables"), [(10, 8), (5, 8), (1, 9), (3, 10), (2, 11)])
def test_the_more_is_held_out_at_once_the_more_tables_are_kept(n_folds: int, n_tables: int) -> None:
    assert memory.tables_of_folds(n_folds) == n_tables


def test_ranks_in_several_cell_types_keep_one_more_table() -> None:
    size = CellsSize(n_values=1, n_cells=1, n_genes=1000, n_conditions=999)
    one_more = replace(size, n_tables=memory.TABLES + 1)
    # Another cell type adds a row of control as well.
    typed = replace(size, n_types=2, n_conditions=998)
    assert typed.in_memory == one_more.in_memory
    few = memory.FEW_TABLES
    assert replace(typed, n_tables=few).in_memory == replace(size, n_tables=few).in_memory


def test_tables_stay_in_memory_where_files_take_more(tmp_path: Path) -> None:
    small = CellsSize(n_values=1 << 20, n_cells=1 << 12, n_genes=100, n_conditions=100)
    assert small.in_memory < small.without_tables
    limit = memory.MemoryLimit(small.in_memory - 1, tmp_path)
    assert not limit.keeps_tables(small, are_stored=False)
    wide = replace(small, n_genes=1 << 14, n_conditions=1 << 12)
    assert memory.MemoryLimit(wide.in_memory - 1, tmp_path).keeps_tables(wide, are_stored=False)


def test_a_bound_on_stored_values_is_said_of_files_too() -> None:
    dense = CellsSize(
        n_values=1 << 27, n_cells=1 << 13, n_genes=1 << 14, n_conditions=1 << 12, n_controls=600
    )
    assert dense.bounded < min(dense.in_memory, dense.streamed, dense.without_tables)
    with pytest.raises(DataError, match=r"tables in files at most .*write it as CSR"):
        memory.check_memory("dense", replace(dense, is_bound=True), 1 << 30, streams=True)
    with pytest.raises(DataError) as exact:
        memory.check_memory("dense", dense, 1 << 30, streams=True)
    assert "at most" not in str(exact.value)
