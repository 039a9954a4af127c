"""Some output genes of some conditions, against the prediction of all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from dygenept.model import prediction
from dygenept.model.conditions import PADDING, UNKNOWN, ConditionSet
from dygenept.model.control_pool import ControlCells
from dygenept.model.network import DyGenePT
from dygenept.model.prediction import can_predict_top_genes, predict_means, predict_top_genes
from dygenept.testing import toy_control_pool

CPU = torch.device("cpu")
POOL = toy_control_pool()
GENES = torch.tensor([[3, 4], [5, PADDING], [0, 6], [UNKNOWN, 2], [5, PADDING], [2, PADDING]])
TYPES = np.array([0, 0, 1, 0, 1, 0])


@pytest.fixture
def controls() -> ControlCells:
    codes = np.arange(len(POOL.cell_type_codes), dtype=np.int32) % 2
    return ControlCells(sparse.csr_matrix(POOL.expression), codes, 2)


@pytest.mark.parametrize("at_once", [1, 2, 16])
def test_wanted_genes_are_predicted_as_among_all(
    network: DyGenePT, controls: ControlCells, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction, "CONDITIONS_AT_ONCE", at_once)
    network.prepare(controls.pool(POOL.gene_symbols))
    rng = np.random.default_rng(0)
    n_genes = controls.expression.shape[1]
    wanted = torch.from_numpy(rng.integers(0, n_genes, (len(GENES), 4)))
    wanted[1, 2:] = -1
    wanted[4] = -1
    positions = np.arange(6)
    asked = {"controls": controls, "positions": positions, "device": CPU}
    every = predict_means(network, gene_indices=GENES, cell_types=TYPES, **asked).deltas
    assert can_predict_top_genes(network)
    nothing = torch.zeros(len(GENES), n_genes)
    some = predict_top_genes(network, ConditionSet(GENES, TYPES, nothing, wanted), **asked)
    assert some.shape == every.shape
    for row, columns in enumerate(wanted):
        kept = columns[columns >= 0]
        torch.testing.assert_close(some[row, kept], every[row, kept], rtol=1e-4, atol=1e-5)
    assert every[0, wanted[0]].abs().max() > 0.01


def test_what_a_cell_type_adds_is_left_to_the_prediction_of_all(network: DyGenePT) -> None:
    network.by_type = torch.nn.Identity()
    assert not can_predict_top_genes(network)
    network.by_type = None
    network.decoder = torch.nn.Identity()
    assert not can_predict_top_genes(network)
