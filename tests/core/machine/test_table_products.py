"""Products in blocks are those of one call, in memory and in files, and work is done in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dygenept.machine import table_products as products
from dygenept.machine import tables

RNG = np.random.default_rng(0)
WIDE = RNG.normal(size=(12, 70))
SQUARE = RNG.normal(size=(12, 12))


@pytest.fixture
def stored(tmp_path: Path) -> np.ndarray:
    table = tables.zeros(WIDE.shape, np.float64, folder=tmp_path)
    table[:] = WIDE
    return table


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut everything into blocks of a few rows or columns."""
    monkeypatch.setattr(products, "BLOCK_VALUES", 60)


def test_small_arrays_are_one_call(stored: np.ndarray) -> None:
    for table in (WIDE, stored):
        np.testing.assert_array_equal(products.product(SQUARE.T, table), SQUARE.T @ WIDE)
        np.testing.assert_array_equal(products.gram(table), WIDE @ WIDE.T)
        upper = np.linalg.qr(WIDE.T, mode="r")
        np.testing.assert_array_equal(products.coordinates(table), upper.T)
    values, vectors = products.eigen(SQUARE @ SQUARE.T)
    expected = np.linalg.eigh(SQUARE @ SQUARE.T)
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(vectors, expected[1])


@pytest.mark.usefixtures("in_blocks")
def test_blocks_give_the_same_in_memory_and_in_a_file(stored: np.ndarray) -> None:
    for compute in (
        lambda table: products.product(SQUARE, table),
        products.gram,
        products.coordinates,
        lambda table: products.without_row(table, WIDE[3]),
        lambda table: products.of_rows(table, lambda part: part.sum(axis=1)),
    ):
        np.testing.assert_array_equal(compute(stored), compute(WIDE))
    assert tables.in_file(products.product(SQUARE, stored))
    assert tables.in_file(products.coordinates(stored))
    assert not tables.in_file(products.gram(stored))


@pytest.mark.usefixtures("in_blocks")
def test_blocks_are_exact(stored: np.ndarray) -> None:
    np.testing.assert_allclose(products.product(SQUARE, stored), SQUARE @ WIDE, rtol=1e-12)
    gram = products.gram(stored)
    np.testing.assert_allclose(gram, WIDE @ WIDE.T, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(gram, gram.T)
    along = products.coordinates(stored)
    np.testing.assert_allclose(along @ along.T, gram, rtol=1e-10, atol=1e-10)
    for kernel in (gram.copy(order="C"), gram.copy(order="F")):
        values, vectors = products.eigen(kernel)
        np.testing.assert_allclose(vectors * values @ vectors.T, gram, rtol=1e-10, atol=1e-10)
        np.testing.assert_array_equal(values, np.sort(values))
    leading = products.leading_vectors(gram.copy(), 3)
    _, expected = np.linalg.eigh(gram)
    np.testing.assert_allclose(np.abs(leading), np.abs(expected[:, :-4:-1]), rtol=1e-8, atol=1e-10)
    assert products.leading_vectors(gram.copy(), 99).shape == (12, 12)


@pytest.mark.usefixtures("in_blocks")
def test_rows_that_depend_on_each_other_have_coordinates() -> None:
    twice = np.concatenate([WIDE[:6], WIDE[:6]])
    along = products.coordinates(twice)
    np.testing.assert_allclose(along @ along.T, twice @ twice.T, rtol=1e-10, atol=1e-10)


def test_a_table_is_changed_in_place(stored: np.ndarray) -> None:
    row = np.arange(WIDE.shape[1], dtype=np.float64)
    assert products.add_row(stored, row) is stored
    np.testing.assert_array_equal(stored, WIDE + row)
