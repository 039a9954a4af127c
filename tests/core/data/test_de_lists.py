from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from welch import de_scores

from dygenept.data.de.lists import DE_LISTS, TIE_DECIMALS, de_genes, top_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.labels import parse_labels
from dygenept.errors import ConfigError
from dygenept.testing import ToyShape, toy_data
from dygenept.types import Condition, PerturbationData

ORACLE = Path(__file__).parent / "fixtures" / "de_oracle.json"


@pytest.fixture(scope="module")
def oracle() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ORACLE.read_text())
    return document


@pytest.fixture(scope="module")
def oracle_data(oracle: dict[str, Any]) -> PerturbationData:
    """The cells that the oracle's lists were computed from, two cell types."""
    n_cells, n_genes = len(oracle["condition"]), oracle["n_genes"]
    values = (np.asarray(oracle["values"]) * oracle["unit"]).astype(np.float32)
    matrix = sparse.csr_matrix(
        (values, np.asarray(oracle["indices"]), np.asarray(oracle["indptr"])),
        shape=(n_cells, n_genes),
    )
    return _data(matrix, oracle["condition"], oracle["cell_type"])


def _data(matrix: sparse.csr_matrix, labels: list[str], cell_types: list[str]) -> PerturbationData:
    parsed = parse_labels(labels).perturbations
    of_cell = [
        (Condition(perturbation, cell_type) if (perturbation := parsed[label]) else None)
        for label, cell_type in zip(labels, cell_types, strict=True)
    ]
    conditions = tuple(sorted({condition for condition in of_cell if condition}))
    types = tuple(sorted(set(cell_types)))
    genes = tuple(f"ENSG{number:03d}" for number in range(matrix.shape[1]))
    return PerturbationData(
        name="oracle",
        source="test",
        sha256="0" * 64,
        is_simulated=True,
        expression=matrix,
        gene_ids=genes,
        gene_symbols=genes,
        cell_ids=np.asarray([f"c{n}" for n in range(len(labels))], dtype=object),
        conditions=conditions,
        condition_codes=np.asarray(
            [conditions.index(of) if of else -1 for of in of_cell], dtype=np.int32
        ),
        cell_types=types,
        cell_type_codes=np.asarray([types.index(of) for of in cell_types], dtype=np.int32),
        raw_labels=tuple(label for label in dict.fromkeys(labels) if parsed[label]),
        raw_to_label={label: label for label in labels},
    )


@pytest.mark.parametrize("list_name", DE_LISTS)
def test_lists_equal_those_of_cell_gears_gene_for_gene_ties_aside(
    oracle: dict[str, Any], oracle_data: PerturbationData, list_name: str
) -> None:
    found = de_genes(oracle_data, list_name=list_name)
    strength = np.round(np.abs(de_scores(oracle_data)), TIE_DECIMALS)
    expected = oracle[list_name]
    assert found.origin == "computed"
    assert len(expected) == len(oracle_data.conditions)
    n_compared = 0
    for condition, row, scores in zip(oracle_data.conditions, found.indices, strength, strict=True):
        ours = row[row >= 0]
        theirs = np.asarray(expected[f"{condition.cell_type}_{condition.label}_1+1"])
        np.testing.assert_array_equal(scores[ours], scores[theirs], err_msg=str(condition))
        is_untied = (scores[ours, None] == scores[None, :]).sum(axis=1) == 1
        np.testing.assert_array_equal(ours[is_untied], theirs[is_untied], err_msg=str(condition))
        n_compared += int(is_untied.sum())
    # Of nine lists of 20, all but about 15 genes are untied.
    assert n_compared > 160


def test_scores_equal_those_of_scanpy(
    oracle: dict[str, Any], oracle_data: PerturbationData
) -> None:
    scores = de_scores(oracle_data)
    for condition, row in zip(oracle_data.conditions, scores, strict=True):
        expected = oracle["scores"][f"{condition.cell_type}_{condition.label}_1+1"]
        # scanpy keeps scores as float32.
        np.testing.assert_allclose(row, expected, rtol=1e-6, atol=1e-7)


def test_the_oracle_tells_the_filters_apart(
    oracle: dict[str, Any], oracle_data: PerturbationData
) -> None:
    scores = de_scores(oracle_data)
    unfiltered = top_genes(scores, np.ones_like(scores, dtype=np.bool_))
    non_dropout, non_zero = (de_genes(oracle_data, list_name=name).indices for name in DE_LISTS)
    assert (non_dropout != unfiltered).any()
    assert (non_dropout != non_zero).any()
    # A gene that is expressed under the same perturbation in the other cell type alone passes.
    is_expressed = pseudobulk(oracle_data).means != 0
    listed = [(row, gene) for row, of in enumerate(non_zero) for gene in of if gene >= 0]
    assert not all(is_expressed[row, gene] for row, gene in listed)
    assert any(len(of) < 20 for of in oracle[DE_LISTS[1]].values())


@pytest.mark.shared_data
@pytest.mark.parametrize("list_name", DE_LISTS)
def test_lists_of_real_cells_equal_those_that_the_file_carries(
    norman_subset: Path, list_name: str
) -> None:
    data = read_anndata(norman_subset)
    carried = de_genes(data, list_name=list_name)
    computed = de_genes(replace(data, de_lists={}), list_name=list_name)
    assert (carried.origin, computed.origin) == ("file", "computed")
    assert (carried.indices >= 0).all()
    np.testing.assert_array_equal(computed.indices, carried.indices)


def test_ties_go_to_the_gene_that_comes_first() -> None:
    rng = np.random.default_rng(3)
    one = np.round(rng.gamma(2.0, 1.0, (40, 1)), 3)
    unlike = np.round(rng.gamma(2.0, 1.0, (40, 25)), 3)
    # Columns 4, 9 and 17 are the same gene thrice, and far from control.
    labels = ["ctrl"] * 20 + ["A+ctrl"] * 20
    one[20:] += 6.0
    for column in (4, 9, 17):
        unlike[:, [column]] = one
    data = _data(sparse.csr_matrix(unlike.astype(np.float32)), labels, ["K562"] * 40)
    assert de_genes(data).indices[0, :3].tolist() == [4, 9, 17]


def test_rounding_errors_do_not_break_a_tie() -> None:
    scores = np.zeros((1, 25))
    scores[0, [3, 7, 11]] = [-2.0, 2.0 + 1e-13, 5.0]
    top = top_genes(scores, np.ones((1, 25), dtype=np.bool_))
    assert top[0, :5].tolist() == [11, 3, 7, 0, 1]


def test_constant_genes_score_zero_and_constant_differences_score_highest() -> None:
    dense = np.zeros((8, 22), dtype=np.float32)
    dense[:, 0] = 1.0
    dense[4:, 1] = 2.0
    dense[:, 2] = [1, 2, 3, 4, 2, 3, 4, 5]
    data = _data(sparse.csr_matrix(dense), ["ctrl"] * 4 + ["A+ctrl"] * 4, ["K562"] * 8)
    scores = de_scores(data)
    assert scores[0, 0] == 0.0
    assert np.isposinf(scores[0, 1])
    assert scores[0, 2] == pytest.approx(1.0 / np.sqrt(2 * (5 / 3) / 4))
    assert de_genes(data).indices[0, :3].tolist() == [1, 2, 0]


def test_a_condition_with_one_cell_has_an_empty_list() -> None:
    data = toy_data()
    keep = np.ones(data.n_cells, dtype=bool)
    keep[np.flatnonzero(data.condition_codes == 2)[1:]] = False
    cut = replace(
        data,
        expression=data.expression[keep],
        condition_codes=data.condition_codes[keep],
        cell_type_codes=data.cell_type_codes[keep],
        cell_ids=data.cell_ids[keep],
    )
    lists = de_genes(cut).indices
    assert (lists[2] == -1).all()
    assert np.isnan(de_scores(cut)[2]).all()
    others = np.arange(len(lists)) != 2
    np.testing.assert_array_equal(lists[others], de_genes(data).indices[others])


def test_lists_of_one_cell_type_do_not_depend_on_the_cells_of_another() -> None:
    both = toy_data(ToyShape(n_cell_types=2))
    is_first = both.cell_type_codes == 0
    rows = [n for n, of in enumerate(both.conditions) if of.cell_type == both.cell_types[0]]
    place = np.full(len(both.conditions) + 1, -1, dtype=np.int32)
    place[rows] = np.arange(len(rows))
    first = replace(
        both,
        expression=both.expression[is_first],
        conditions=tuple(both.conditions[n] for n in rows),
        condition_codes=place[both.condition_codes[is_first]],
        cell_types=both.cell_types[:1],
        cell_type_codes=both.cell_type_codes[is_first],
        cell_ids=both.cell_ids[is_first],
    )
    np.testing.assert_array_equal(de_scores(both)[rows], de_scores(first))


def test_fewer_than_twenty_genes_are_padded() -> None:
    scores = np.asarray([[3.0, -4.0, 1.0]])
    assert top_genes(scores, np.asarray([[True, True, False]]))[0].tolist() == [1, 0] + [-1] * 18


def test_an_unknown_list_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'top_non_zero_de_20'"):
        de_genes(toy_data(), list_name="top_nonzero_de_20")


def test_given_means_change_nothing() -> None:
    data = toy_data()
    np.testing.assert_array_equal(de_genes(data, pseudobulk(data)).indices, de_genes(data).indices)
