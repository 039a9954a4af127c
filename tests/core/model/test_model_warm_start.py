from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from dygenept.model.assembly import DyGenePT, Parts, gene_positions
from dygenept.model.control_pool import control_cells
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.start.linear_readout import PENALTIES, fit_readout
from dygenept.model.start.warm_start import mean_features, warm_start
from dygenept.model.training.options import TrainingOptions
from dygenept.testing import toy_task
from dygenept_plugins.networks.linear_decoders import LinearDecoder

CPU = torch.device("cpu")


def test_ridge_picks_the_penalty_of_the_smallest_left_out_error() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12, 30))
    targets = features[:, :2] @ rng.normal(size=(2, 5)) + rng.normal(size=(12, 5))
    scale = np.square(features).sum(axis=1).mean()
    errors = {}
    for penalty in PENALTIES:
        out = []
        for row in range(12):
            kept = np.arange(12) != row
            gram = features[kept].T @ features[kept] + penalty * scale * np.eye(30)
            weights = np.linalg.solve(gram, features[kept].T @ targets[kept])
            out.append(np.square(features[row] @ weights - targets[row]).mean())
        errors[penalty] = np.mean(out)
    best = min(errors, key=lambda penalty: errors[penalty])
    fit = fit_readout(features, targets)
    assert fit.penalty == best
    assert fit.error == pytest.approx(errors[best])
    gram = features.T @ features + best * scale * np.eye(30)
    np.testing.assert_allclose(fit.weights.T, np.linalg.solve(gram, features.T @ targets))


def test_readout_adds_a_typical_change_that_no_left_out_condition_takes_part_in() -> None:
    rng = np.random.default_rng(0)
    shared = np.zeros(30)
    shared[0] = 0.7
    own = rng.normal(size=(12, 30))
    own[:, 0] = 0.0
    features, targets = own + shared, rng.normal(size=(12, 5)) + 1.0
    scale = np.square(own).sum(axis=1).mean()

    def predicted(kept: np.ndarray, row: np.ndarray, penalty: float) -> np.ndarray:
        weights = 1 / np.linalg.norm(targets[kept], axis=1)
        typical = weights @ targets[kept] / weights.sum()
        gram = own[kept].T @ own[kept] + penalty * scale * np.eye(30)
        return typical + row @ np.linalg.solve(gram, own[kept].T @ (targets[kept] - typical))

    everyone = np.arange(12)
    errors = {
        penalty: np.mean(
            [
                np.square(predicted(everyone != row, own[row], penalty) - targets[row]).mean()
                for row in everyone
            ]
        )
        for penalty in PENALTIES
    }
    fit = fit_readout(features, targets, shared=shared)
    assert fit.penalty == min(errors, key=lambda penalty: errors[penalty])
    assert fit.error == pytest.approx(errors[fit.penalty])
    other = np.append(0.0, rng.normal(size=29))
    np.testing.assert_allclose(
        fit.weights @ (other + shared), predicted(everyone >= 0, other, fit.penalty)
    )


def start(network: DyGenePT) -> tuple[torch.Tensor, np.ndarray, float]:
    """Warm-start a network on the toy task; return true and fitted changes and the error."""
    task, _ = toy_task()
    assert task.cells is not None
    controls = control_cells(task.cells, n_cell_types=1)
    network.prepare(controls.pool(task.gene_symbols))
    genes = gene_positions(task.train, task.target_genes)
    types = np.zeros(len(task.train), dtype=np.int64)
    deltas = torch.from_numpy(task.means[: len(task.train)] - task.control_means[0]).float()
    fit = warm_start(
        network,
        gene_indices=genes,
        cell_types=types,
        deltas=deltas,
        controls=controls,
        rng=np.random.default_rng(0),
        device=CPU,
    )
    assert fit is not None
    features = mean_features(
        network,
        gene_indices=genes,
        cell_types=types,
        controls=controls,
        positions=controls.sample(16, np.random.default_rng(0)),
        device=CPU,
    )
    return deltas, features @ fit.weights.T, fit.error


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
    task, _ = toy_task()
    assert task.cells is not None
    fit = warm_start(
        network,
        gene_indices=torch.zeros(3, 1, dtype=torch.int64),
        cell_types=np.zeros(3, dtype=np.int64),
        deltas=torch.zeros(3, 60),
        controls=control_cells(task.cells, n_cell_types=1),
        rng=np.random.default_rng(0),
        device=CPU,
    )
    assert fit is None
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
