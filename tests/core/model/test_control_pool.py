from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from dygenept.errors import DataError
from dygenept.model.control_pool import ControlCells, control_cells
from dygenept.types import TaskCells

TYPES = np.array([0, 1, 0, 0, 1], dtype=np.int32)


def pool() -> ControlCells:
    expression = sparse.csr_matrix(np.arange(15, dtype=np.float32).reshape(5, 3))
    return ControlCells(expression=expression, cell_type_codes=TYPES, n_cell_types=2)


def test_rows_are_dense_and_may_repeat() -> None:
    assert pool().rows(np.array([4, 0, 4])).tolist() == [[12, 13, 14], [0, 1, 2], [12, 13, 14]]


def test_a_sample_has_at_most_the_asked_number_of_each_cell_type() -> None:
    drawn = pool().sample(2, np.random.default_rng(0))
    assert TYPES[drawn].tolist() == [0, 0, 1, 1]
    assert len(set(drawn.tolist())) == 4
    assert pool().sample(0, np.random.default_rng(0)).tolist() == [0, 2, 3, 1, 4]


def test_taken_cells_keep_their_cell_types() -> None:
    taken = pool().take(np.array([4, 2]))
    assert taken.cell_type_codes.tolist() == [1, 0]
    assert taken.members(0).tolist() == [1]
    assert taken.pool(("A", "B", "C")).cell_type_codes == [1, 0]


def test_only_control_cells_are_picked() -> None:
    cells = TaskCells(
        expression=pool().expression,
        condition_codes=np.array([-1, 0, 1, -1, -1], dtype=np.int32),
        cell_type_codes=TYPES,
        cell_ids=np.array(list("abcde"), dtype=object),
    )
    assert control_cells(cells, n_cell_types=2).expression.toarray()[:, 0].tolist() == [0, 9, 12]


def test_a_task_or_a_cell_type_without_controls_is_refused() -> None:
    none = TaskCells(
        expression=pool().expression,
        condition_codes=np.zeros(5, dtype=np.int32),
        cell_type_codes=TYPES,
        cell_ids=np.array(list("abcde"), dtype=object),
    )
    with pytest.raises(DataError, match="no control cells"):
        control_cells(none, n_cell_types=2)
    with pytest.raises(DataError, match="no control cells"):
        pool().take(np.array([0])).members(1)
