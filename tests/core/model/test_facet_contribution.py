"""The share of facets in predictions: what changes when genes read the facets of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from dygenept.model import facet_contribution as of_facets
from dygenept.model.conditions import condition_set
from dygenept.model.control_pool import control_cells
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.facet_contribution import facet_contribution
from dygenept.model.network import DyGenePT, Parts
from dygenept.model.start import facet_tuning
from dygenept.model.start.features import StartData
from dygenept.model.training.options import TrainingOptions
from dygenept.types import Task

STARTED = TrainingOptions(
    target="pseudobulk", warm_start=True, patience=0, epochs=0, n_prediction_cells=4
)
Maker = Callable[..., DyGenePTModel]


@pytest.fixture
def untuned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave facet vectors as they were drawn."""
    monkeypatch.setattr(facet_tuning, "CHECKPOINTS", (0,))


def asked(network: DyGenePT, task: Task) -> tuple[DyGenePT, StartData, np.ndarray]:
    assert task.cells is not None
    controls = control_cells(task.cells, n_cell_types=1)
    network.prepare(controls.pool(task.gene_symbols))
    conditions = condition_set(task, slice(None), task.target_genes)
    cells = controls.sample(4, np.random.default_rng(0))
    return network, StartData(conditions, controls, torch.device("cpu")), cells


def share(model: DyGenePTModel, task: Task) -> float:
    return facet_contribution(*asked(model.networks[0], task))["knowledge_share"]


@pytest.mark.usefixtures("untuned")
def test_codes_alone_leave_nothing_to_facets(
    make_model: Maker, make_parts: Callable[..., Parts], task: Task
) -> None:
    model = make_model(STARTED, parts=make_parts(identity_share=1.0))
    model.fit(task)
    assert (model.chosen["identity_share"], model.chosen["knowledge_share"]) == (1.0, 0.0)


@pytest.mark.usefixtures("untuned")
def test_which_facets_are_known_counts_where_attention_reads_it(
    make_model: Maker, make_parts: Callable[..., Parts], task: Task
) -> None:
    model = make_model(STARTED, parts=make_parts(identity_share=1.0))
    model.fit(task)
    vectors = model.networks[0].gene_encoder.facet_vectors()
    assert vectors is not None
    with torch.no_grad():
        vectors.add_(torch.randn(vectors.shape, generator=torch.Generator().manual_seed(0)))
    assert float(model.networks[0].gene_encoder.identity_share) == 1.0
    assert share(model, task) > 0.01


@pytest.mark.usefixtures("untuned")
def test_texts_alone_are_all_of_it_and_more_texts_are_more(
    make_model: Maker, make_parts: Callable[..., Parts], task: Task
) -> None:
    found = []
    for of_codes in (0.0, 0.5, 0.95):
        model = make_model(STARTED, parts=make_parts(identity_share=of_codes))
        model.fit(task)
        found.append(share(model, task))
    assert found[0] == pytest.approx(1, abs=0.15)
    assert found[0] > found[1] > found[2] > 0


def test_the_network_stays_as_it_was(network: DyGenePT, task: Task) -> None:
    given = asked(network, task)
    encoder, before = network.gene_encoder, torch.get_rng_state()
    first = facet_contribution(*given)
    assert network.gene_encoder is encoder
    assert torch.equal(torch.get_rng_state(), before)
    assert facet_contribution(*given) == first


def test_of_a_sum_of_both_it_is_the_share_of_variance() -> None:
    rng = np.random.default_rng(0)
    own, facets = rng.standard_normal((500, 3)), 2 * rng.standard_normal((500, 3))
    dealt = [own + np.roll(facets, step, axis=0) for step in range(5)]
    # Cell types differ by a constant, which is nothing that facets or codes explain.
    types = np.repeat([0, 1], 250)
    predicted = np.stack(dealt) + 10 * types[None, :, None]
    assert of_facets._share(predicted, types) == pytest.approx(4 / 5, abs=0.04)
    assert of_facets._share(np.stack([own] * 5), types) == 0
    assert of_facets._share(np.zeros((5, 500, 3)), types) is None


def test_an_encoder_that_lends_nothing_is_not_asked(network: DyGenePT, task: Task) -> None:
    class Own(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, gene_indices: torch.Tensor) -> object:
            return self.inner(gene_indices)

    network.gene_encoder = Own(network.gene_encoder)
    assert facet_contribution(*asked(network, task)) == {}


def test_with_one_gene_that_has_facets_there_is_nobody_to_lend(
    network: DyGenePT, task: Task
) -> None:
    of, data, cells = asked(network, task)
    rows = np.flatnonzero((data.conditions.gene_indices >= 0).sum(dim=1).numpy() == 1)[:1]
    alone = replace(data, conditions=data.conditions.take(rows))
    assert facet_contribution(of, alone, cells) == {}
