from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dygenept.model import fitting
from dygenept.model.conditions import PADDING, condition_set, gene_positions
from dygenept.model.control_pool import control_cells
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.network import DyGenePT, Parts
from dygenept.model.start import closed_form, facet_tuning
from dygenept.model.start.closed_form import (
    ClosedFormStart,
    refit_readout,
    start_in_closed_form,
)
from dygenept.model.start.features import Features, StartData, mean_features
from dygenept.model.start.readout import PENALTIES, ReadoutChoice
from dygenept.model.training.options import TrainingOptions
from dygenept.testing import toy_task
from dygenept.types import Condition, Task, TaskCells
from dygenept_plugins.networks.latent_arithmetic import LatentArithmetic
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


@pytest.mark.usefixtures("few_tuning_steps")
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


@pytest.mark.usefixtures("few_tuning_steps")
def test_the_identity_share_is_chosen_among_those_offered(
    make_model: Callable[..., DyGenePTModel], make_parts: Callable[..., Parts]
) -> None:
    encoder = fresh(make_model, make_parts).gene_encoder
    assert len(encoder.identity_shares) > 1
    assert any(float(encoder.identity_share) == pytest.approx(s) for s in encoder.identity_shares)


@pytest.mark.usefixtures("few_tuning_steps")
@pytest.mark.parametrize("has_shared", [True, False])
def test_untuned_codes_are_read_only_where_a_gene_is_perturbed_twice(
    make_model: Callable[..., DyGenePTModel],
    make_parts: Callable[..., Parts],
    monkeypatch: pytest.MonkeyPatch,
    *,
    has_shared: bool,
) -> None:
    network = fresh(make_model, make_parts)
    data = toy_data(network, toy_task()[0])
    few = data.conditions.take(np.arange(9))
    alone = torch.arange(9)[:, None].expand_as(few.gene_indices).clone()
    alone[:, 1:] = PADDING
    if has_shared:
        alone[1, 1] = 0
    data = replace(data, conditions=replace(few, gene_indices=alone))
    assert data.has_shared_genes() is has_shared
    monkeypatch.setattr(facet_tuning, "MIN_CONDITIONS", 10**6)
    network.gene_encoder.identity_shares = (1.0,)
    started = start_in_closed_form(network, data, np.random.default_rng(0))
    assert started is not None
    assert started.identity_share == 1.0
    assert started.facet_tuning_steps == 0
    reads = network.gene_encoder.codes_read()
    if has_shared:
        assert reads is None
    else:
        assert started.readout.penalty == min(PENALTIES)
        assert started.keeps_measured
        assert not len(reads)
    # What is fitted again to others, before steps are judged, follows the same rule.
    found: list[ReadoutChoice] = []
    plain = closed_form._installed

    def seen(network: DyGenePT, choice: ReadoutChoice, data: StartData) -> object:
        found.append(choice)
        return plain(network, choice, data)

    monkeypatch.setattr(closed_form, "_installed", seen)
    refit_readout(network, data, np.random.default_rng(0), started)
    assert found[0].penalty == started.readout.penalty


def test_a_gene_in_several_cell_types_is_not_shared(network: DyGenePT) -> None:
    data = toy_data(network, toy_task()[0])
    genes = torch.tensor([[3, PADDING], [3, PADDING], [5, 7], [7, 5]])
    several = replace(
        data, conditions=replace(data.conditions.take(np.arange(4)), gene_indices=genes)
    )
    assert not several.has_shared_genes()
    genes = torch.tensor([[3, PADDING], [5, 3], [5, 3], [8, PADDING]])
    several = replace(
        data, conditions=replace(data.conditions.take(np.arange(4)), gene_indices=genes)
    )
    assert several.has_shared_genes()


def test_a_decoder_without_readout_keeps_its_first_weights(network: DyGenePT) -> None:
    network.decoder = LinearDecoder(width=16, n_genes=60)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    data = toy_data(network, toy_task()[0])
    assert start_in_closed_form(network, data, np.random.default_rng(0)) is None
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("interaction_rank", [0, 4])
def test_linear_features_are_those_of_every_cell(interaction_rank: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = LatentArithmetic(
            width=16, n_genes=7, hidden_dims=(24, 12), interaction_rank=interaction_rank
        ).eval()
        embedding, states = torch.randn(5, 3, 4, 16), torch.randn(5, 3, 16)
    is_gene = torch.tensor([[True] * k + [False] * (4 - k) for k in (0, 1, 2, 4, 3)])
    reader = Features.of(decoder, states[0, 0], 4)
    assert reader.matrix is not None
    found = reader.means(embedding, is_gene, states)
    expected = Features(decoder).means(embedding, is_gene, states)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert expected.abs().max() > 0.1


@pytest.mark.usefixtures("few_tuning_steps")
def test_the_spread_is_what_left_out_perturbations_are_missed_by(
    make_model: Callable[..., DyGenePTModel],
    make_parts: Callable[..., Parts],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    starts: list[ClosedFormStart] = []

    def kept(*given: Any) -> ClosedFormStart:
        found = start_in_closed_form(*given)
        assert found is not None
        starts.append(found)
        return found

    monkeypatch.setattr(fitting, "start_in_closed_form", kept)
    task, held_out = toy_task()
    model = make_model(TrainingOptions(warm_start=True, patience=0, epochs=0))
    model._parts = make_parts(identity_share=1.0)
    model.fit(task)
    spread = model.spread(held_out)
    assert spread is not None
    (start,) = starts
    # Genes are shared here, and features are read: over 1 + leverage it would be too small.
    assert np.mean(start.readout.variance) < 0.9 * start.readout.errors.mean()
    expected = np.full(len(held_out), start.readout.errors.mean())
    np.testing.assert_allclose(np.square(spread).mean(axis=1), expected, rtol=1e-6)


def test_what_is_added_to_a_readout_reads_features_as_training_left_them() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = LatentArithmetic(width=16, n_genes=7, hidden_dims=(24, 12)).eval()
        for parameter in decoder.parameters():
            # Units are no longer pairs of opposite sign.
            parameter.data += 0.1 * torch.randn_like(parameter)
        decoder.gate.weight.data.zero_()
        decoder.gate_control.data.zero_()
        embedding, cell = torch.randn(5, 2, 16), torch.randn(5, 16)
        control, weights = torch.rand(5, 7), torch.randn(7, 6)
    given = (embedding, torch.ones(5, 2, dtype=torch.bool), cell)
    before = decoder(*given, control)
    features = decoder.readout_features(*given)
    decoder.add_readout(weights)
    torch.testing.assert_close(decoder(*given, control) - before, features @ weights.T)


def test_cell_types_that_respond_differently_are_predicted_apart(
    make_model: Callable[..., DyGenePTModel], make_parts: Callable[..., Parts], tmp_path: Path
) -> None:
    task, held_out = toy_task()
    assert task.cells is not None
    own = 3 * np.random.default_rng(0).random(size=(2, len(task.gene_ids)))
    known = tuple(Condition(item.perturbation, name) for name in ("A", "B") for item in task.known)
    codes = task.cells.condition_codes
    control = np.flatnonzero(codes < 0)
    both = replace(
        task,
        cell_types=("A", "B"),
        control_means=np.repeat(task.control_means, 2, axis=0),
        train=known,
        val=(),
        means=np.concatenate([task.means + change for change in own]),
        n_cells=np.concatenate([task.n_cells, task.n_cells]),
        de_indices=np.concatenate([task.de_indices, task.de_indices]),
        cells=TaskCells(
            expression=task.cells.expression[np.tile(control, 2)],
            condition_codes=np.full(2 * len(control), -1, dtype=np.int32),
            cell_type_codes=np.repeat([0, 1], len(control)).astype(np.int32),
            cell_ids=np.arange(2 * len(control)).astype(object),
        ),
    )
    model = make_model(TrainingOptions(warm_start=True, patience=0, epochs=0, target="pseudobulk"))
    model._parts = make_parts(identity_share=None)
    model.fit(both)
    assert float(model.chosen["typical_by_type"]) > 0.5
    asked = tuple(Condition(held_out[0].perturbation, name) for name in ("A", "B"))
    first, second = model.predict(asked).expression
    np.testing.assert_allclose(first - second, own[0] - own[1], atol=0.5)
    model.save(tmp_path)
    loaded = DyGenePTModel.load(tmp_path, parts=model._parts, knowledge=model._read_knowledge)
    np.testing.assert_allclose(loaded.predict(asked).expression, [first, second], atol=1e-5)
