"""Tables in files are kept some rows at a time, and read back as any other."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from dygenept.errors import ResultsError
from dygenept.machine import tables
from dygenept.results import wide_tables
from dygenept.results.store import ResultsStore, read_kept_table
from dygenept.types import Condition, Perturbation, Predictions

N_ROWS, N_GENES = 40, 30
CONDITIONS = tuple(
    Condition(Perturbation(f"P{row}", (f"P{row}",)), "AB"[row % 2]) for row in range(N_ROWS)
)
GENES = tuple(f"G{column}" for column in range(N_GENES))


def table_of(values: np.ndarray, folder: Path | None) -> np.ndarray:
    table = tables.zeros(values.shape, np.float64, folder=folder)
    table[:] = values
    return table


@pytest.mark.parametrize("is_narrow", [False, True])
def test_a_table_in_a_file_is_kept_like_one_in_memory(
    is_narrow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wide_tables, "GROUP_VALUES", 7 * N_GENES)
    values = np.random.default_rng(0).normal(size=(N_ROWS, N_GENES))
    if is_narrow:
        values = values.astype(np.float32).astype(np.float64)
    found = []
    for name, folder in (("held", None), ("filed", tmp_path / "scratch")):
        store = ResultsStore(tmp_path / name)
        expression = table_of(values, folder)
        assert tables.in_file(expression) == (folder is not None)
        kept = store.write_predictions("key", Predictions(CONDITIONS, expression), GENES)
        found.append(read_kept_table(store.directory / kept))
        n_groups = parquet.ParquetFile(store.directory / kept).metadata.num_row_groups
        assert n_groups == (6 if folder else 1)
    held, filed = found
    assert filed.equals(held)
    assert filed.schema == held.schema
    np.testing.assert_array_equal(filed.drop("perturbation", "cell_type").to_numpy(), values)


def test_names_that_are_no_columns_are_refused_in_the_same_words(tmp_path: Path) -> None:
    said = []
    for folder in (None, tmp_path / "scratch"):
        store = ResultsStore(tmp_path / "results")
        values = table_of(np.ones((N_ROWS, N_GENES)), folder)
        with pytest.raises(ResultsError, match="cannot keep predictions as a table") as caught:
            store.write_table("t.parquet", CONDITIONS, values, ("perturbation", *GENES[1:]))
        said.append(str(caught.value))
        assert not (store.directory / "t.parquet").exists()
    assert said[0] == said[1]


def test_the_memory_of_writing_is_that_of_a_few_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_rows, n_genes = 4000, 500
    monkeypatch.setattr(wide_tables, "GROUP_VALUES", 1 << 17)
    values = tables.zeros((n_rows, n_genes), np.float64, folder=tmp_path / "scratch")
    values[:] = np.random.default_rng(0).normal(size=(n_rows, n_genes))
    conditions = tuple(
        Condition(Perturbation(f"P{row}", (f"P{row}",)), "A") for row in range(n_rows)
    )
    pool = pa.default_memory_pool()
    before = pool.max_memory()
    tracemalloc.start()
    try:
        ResultsStore(tmp_path / "results").write_table(
            "t.parquet", conditions, values, [f"G{column}" for column in range(n_genes)]
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak + pool.max_memory() - before < values.nbytes / 2
