"""A limit on memory: refused before values are read, with the amount that is needed."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from dygenept.data.memory import GIB, CellsSize, csr_bytes
from dygenept.data.opening import open_data
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.outline import outline_file
from dygenept.data.request import DataRequest
from dygenept.errors import ConfigError, DataError
from dygenept.machine.amounts import parse_memory
from dygenept.plugin.environment import Environment
from dygenept.testing import write_toy_h5ad
from dygenept.types import no_report


@pytest.mark.parametrize(
    ("text", "amount"),
    [("4G", 4 << 30), ("512M", 512 << 20), ("1.5GiB", 3 << 29), ("100kb", 100 << 10), ("7", 7)],
)
def test_amounts_are_read(text: str, amount: int) -> None:
    assert parse_memory(text) == amount


@pytest.mark.parametrize("text", ["", "4 gigs", "-1G", "0", "G"])
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="4G"):
        parse_memory(text)


def test_a_matrix_takes_what_its_arrays_take() -> None:
    assert csr_bytes(10, 3) == 10 * 8 + 4 * 4
    assert csr_bytes(2**31, 3) == 2**31 * 12 + 4 * 8


def test_a_limit_is_obeyed_before_a_value_is_read(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    environment = Environment.load()
    size = CellsSize.of(outline_file(path))
    assert size is not None
    needed = min(size.in_memory, size.streamed)
    enough = DataRequest(dataset=str(path), memory=needed)
    assert open_data(enough, environment, no_report).sha256 == read_anndata(path).sha256
    with h5py.File(path, "r+") as file:
        file["X/data"][:] = np.nan
    # Were a value read, the error would be about NaN.
    with pytest.raises(DataError, match=r"needs 0\.25 GiB of memory"):
        open_data(DataRequest(dataset=str(path), memory=needed - 1), environment, no_report)


def test_a_registered_data_set_is_made_first_and_then_refused(tmp_path: Path) -> None:
    environment = Environment.load(data_dir=tmp_path)
    request = DataRequest(dataset="sim:dixit@0.02", memory=1 << 20)
    with pytest.raises(DataError, match="--memory"):
        open_data(request, environment, no_report)
    assert len(list(tmp_path.rglob("*.h5ad"))) == 1


def test_a_model_that_fits_only_with_tables_in_files_is_told_the_limit_for_that() -> None:
    size = CellsSize(n_values=450_000_000, n_cells=2_500_000, n_genes=18_000, n_conditions=10_000)
    filed = 2 * GIB
    limit = size.limit_for_files(filed)
    assert limit is not None
    assert size.files_tables(limit, streams=True)
    assert not size.files_tables(size.in_memory, streams=True)
    assert size.under(limit, streams=True, n_bytes=filed) <= limit
    # Nor would it fit there.
    assert size.limit_for_files(100 * GIB) is None
