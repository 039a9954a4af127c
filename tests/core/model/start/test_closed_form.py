from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from dygenept.model.conditions import condition_set, gene_positions
from dygenept.model.control_pool import control_cells
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.network import DyGenePT, Parts
from dygenept.model.start.closed_form import start_in_closed_form
from dygenept.model.start.features import StartData, mean_features
from dygenept.model.training.options import TrainingOptions
from dygenept.testing import toy_task
from dygenept.types import Task
from dygenept_plugins.networks.linear_decoders import LinearDecoder

CPU = torch.device("cpu")


def toy_data(network: DyGenePT, task: Task) -> StartData:
    """Return the toy task's train conditions and controls, which the network is prepared with."""
    assert task.cells is not None
    controls = control_cells(task.cells, n_cell_types=1)
    network.prepare(controls.pool(task.gene_symbols))
    train = condition_set(task, slice(0, len(task.train)), task.target_genes)
    return StartData(train, controls, CPU)


def start(network: DyGenePT) -> tuple[torch.Tensor, np.ndarray, float]:
    """Start a network on the toy task; return true and fitted changes and the error."""
    data = toy_data(network, toy_task()[0])
    started = start_in_closed_form(network, data, np.random.default_rng(0))
    assert started is not None
    positions = data.controls.sample(16, np.random.default_rng(0))
    fitted = mean_features(network, data, positions) @ started.readout.weights.T
    return data.conditions.deltas, fitted, float(started.readout.errors.mean())


def fresh(make_model: Callable[..., DyGenePTModel], make_parts: Callable[..., Parts]) -> DyGenePT:
    task, _ = toy_task()
    model = make_model(TrainingOptions(warm_start=True, patience=0, epochs=0))
    model._parts = make_parts(identity_share=None)
    model.fit(task)
    return model.networks[0]


def test_the_started_network_predicts_what_was_fitted(
    make_model: Callable[..., DyGenePTModel], make_parts: Callable[..., Parts]
) -> None:
    network = fresh(make_model, make_parts)
    deltas, fitted, error = start(network)
    assert error < deltas.square().mean()
    task, _ = toy_task()
    assert task.cells is not None
    controls = control_cells(task.cells, n_cell_types=1)
    cells = controls.sample(16, np.random.default_rng(0))
    genes = gene_positions(task.train, task.target_genes)
    control = controls.rows(cells)
    with torch.no_grad():
        change = torch.stack(
            [
                (
                    network(row.expand(16, -1), torch.from_numpy(cells), control).expression
                    - control
                ).mean(dim=0)
                for row in genes
            ]
        )
    np.testing.assert_allclose(change.numpy(), fitted, atol=1e-5)


def test_the_identity_share_is_chosen_among_those_offered(
    make_model: Callable[..., DyGenePTModel], make_parts: Callable[..., Parts]
) -> None:
    encoder = fresh(make_model, make_parts).gene_encoder
    assert len(encoder.identity_shares) > 1
    assert any(float(encoder.identity_share) == pytest.approx(s) for s in encoder.identity_shares)


def test_a_decoder_without_readout_keeps_its_first_weights(network: DyGenePT) -> None:
    network.decoder = LinearDecoder(width=16, n_genes=60)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    data = toy_data(network, toy_task()[0])
    assert start_in_closed_form(network, data, np.random.default_rng(0)) is None
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
