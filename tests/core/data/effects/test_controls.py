"""Control cells of a second file beside a table of effects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dygenept.data.effects.filling import effects_as_means, filled_task
from dygenept.data.effects.reading import read_effects
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.task import Access, build_task
from dygenept.errors import DataError
from dygenept.testing.toy import ToyShape, write_toy_h5ad
from dygenept.types import DataMapping, Fold, PerturbationData, Runtime

TABLE = """pert,gene,label,cell_type
KLF1,GATA1,1,{0}
KLF1,MYC,0,{0}
MYC,GATA1,0,{1}
BRCA1,GATA1,1,{1}
"""
Reader = Callable[..., PerturbationData]


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Toy cells of two cell types."""
    path = tmp_path / "cells.h5ad"
    write_toy_h5ad(path, ToyShape(n_cell_types=2))
    return path


@pytest.fixture
def read(tmp_path: Path, cells: Path) -> Reader:
    def of(*types: str, table: str = TABLE, normalize: bool = False) -> PerturbationData:
        path = tmp_path / "t.csv"
        path.write_text(table.format(*types))
        return read_effects(
            path, mapping=DataMapping(control_cells=str(cells)), normalize=normalize
        )

    return of


def test_control_cells_alone_are_read_under_the_tables_cell_types(
    read: Reader, cells: Path
) -> None:
    whole = read_anndata(cells)
    first, second = whole.cell_types
    data = read(second.lower(), first)
    assert data.effects is not None
    controls = data.effects.controls
    assert controls is not None
    is_control = whole.condition_codes < 0
    assert controls.expression.shape == (is_control.sum(), whole.n_genes)
    assert controls.gene_symbols == whole.gene_symbols
    named = np.array(data.cell_types)[controls.cell_type_codes]
    own = np.array(whole.cell_types)[whole.cell_type_codes[is_control]]
    assert [name.casefold() for name in named] == [name.casefold() for name in own]
    expected = whole.expression[np.flatnonzero(is_control)]
    assert (controls.expression != expected).nnz == 0
    assert f"{is_control.sum()} control cells are read from cells.h5ad." in data.notes
    assert data.mapping.control_cells == str(cells)
    assert data.n_cells == 0


def test_a_table_that_names_no_cell_type_takes_all_controls(read: Reader, cells: Path) -> None:
    plain = "\n".join(line.rpartition(",")[0] for line in TABLE.splitlines())
    data = read("", "", table=plain)
    assert data.effects is not None
    assert data.effects.controls is not None
    assert not data.effects.controls.cell_type_codes.any()
    n_controls = int((read_anndata(cells).condition_codes < 0).sum())
    assert data.effects.controls.expression.shape[0] == n_controls


def test_other_cells_are_another_data_set(read: Reader, tmp_path: Path, cells: Path) -> None:
    first, second = read_anndata(cells).cell_types
    with_cells = read(first, second)
    without = read_effects(tmp_path / "t.csv")
    write_toy_h5ad(cells, ToyShape(n_cell_types=2, seed=5))
    others = read(first, second)
    assert len({with_cells.sha256, without.sha256, others.sha256}) == 3


def test_a_cell_type_without_cells_is_refused(read: Reader, cells: Path) -> None:
    first, _ = read_anndata(cells).cell_types
    with pytest.raises(DataError, match="has no cells of 'HeLa', which the table has effects of"):
        read(first, "HeLa")


def test_what_does_not_fit_is_refused(tmp_path: Path, cells: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(TABLE.format("a", "a"))
    with pytest.raises(DataError, match=r"no file .*absent\.h5ad of control cells"):
        read_effects(table, mapping=DataMapping(control_cells=str(tmp_path / "absent.h5ad")))
    with pytest.raises(DataError, match="leave --normalize out"):
        read_effects(table, normalize=True)
    with pytest.raises(DataError, match="--control-cells goes with a table of effects"):
        read_anndata(cells, mapping=DataMapping(control_cells=str(cells)))


def test_a_task_has_copies_of_control_cells(read: Reader, cells: Path) -> None:
    data = read(*read_anndata(cells).cell_types)
    assert data.effects is not None
    assert data.effects.controls is not None
    means, de = effects_as_means(data.effects, data)
    fold = Fold(train=("KLF1", "MYC"), val=(), test=("BRCA1",))
    task, _ = build_task(data, means, de, fold, access=Access(), runtime=Runtime())
    task = filled_task(task, data)
    assert task.effects is not None
    controls = task.effects.controls
    assert controls is not None
    assert not np.shares_memory(controls.expression.data, data.effects.controls.expression.data)
    assert (controls.expression != data.effects.controls.expression).nnz == 0
