"""Genes keep what was measured of them after gradient steps, and steps read no codes of genes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from core.model.start.seen_genes_case import (
    START,
    changes,
    fitted,
    of_genes,
    start_data,
    unseen_of,
)

from dygenept.model import fitting, judged_steps
from dygenept.model.network import DyGenePT
from dygenept.model.start.features import StartData
from dygenept.model.training.loop import Trainer
from dygenept.testing import toy_data, toy_task
from dygenept.testing.toy import ToyShape
from dygenept.types import Condition, DoubleArray, Task
from dygenept_plugins.networks.facets import FacetEncoder


def test_gradient_steps_leave_unperturbed_genes_alike(singles: Task) -> None:
    options = replace(
        START,
        epochs=2,
        steps_per_epoch=5,
        lr=1e-2,
        warmup_steps=1,
        batch_size=8,
        keep_steps="always",
    )
    model = fitted(singles, options)
    start = fitted(singles)
    network = model.networks[0]
    asked = [of_genes(singles, gene) for gene in unseen_of(singles)]
    found = changes(model, singles, asked)
    np.testing.assert_array_equal(found, np.broadcast_to(found[0], found.shape))
    seen = [of_genes(singles, *of.genes) for of in singles.known]
    for of in (asked, seen):
        assert np.abs(changes(model, singles, of) - changes(start, singles, of)).max() > 0.01
    places = torch.tensor([singles.target_genes.index(gene) for gene in unseen_of(singles)])
    data = start_data(model, singles)
    with torch.no_grad():
        attended = network.attend(
            places[:, None], data.encode_cells(network, np.arange(len(places)))
        )
    assert not attended.embedding.any()


def test_genes_keep_their_change_beyond_what_steps_have_made_of_their_codes(
    singles: Task,
) -> None:
    options = replace(
        START, epochs=2, steps_per_epoch=30, lr=1e-2, warmup_steps=1, keep_steps="always"
    )
    known = [of_genes(singles, *of.genes) for of in singles.known]
    measured = singles.means[: len(known)] - singles.control_means[0]
    missed = changes(fitted(singles, options), singles, known) - measured
    own = measured - measured.mean(axis=0)
    # Even after steps as long as these: 0.18 of it, and 1.9 were their part in it left out.
    assert np.square(missed).mean() < 0.5 * np.square(own).mean()


def test_what_is_kept_of_perturbed_genes_moves_no_other(
    singles: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, _ = toy_task(toy_data(ToyShape(n_singles=11, n_doubles=0, n_cell_types=2)))
    perturbation = of_genes(task, unseen_of(task)[0]).perturbation
    asked = [Condition(perturbation, name) for name in task.cell_types]
    options = replace(
        START, epochs=2, steps_per_epoch=10, lr=2e-5, warmup_steps=2, keep_steps="always"
    )
    with_kept = fitted(task, options).predict(asked).expression
    monkeypatch.setattr(fitting, "keep_measured_of", lambda *given, **named: None)
    without = fitted(task, options).predict(asked).expression
    # Steps have told cell types apart, and bent what was linear at the start.
    moved = np.linalg.norm(with_kept - without, axis=1)
    assert (moved < 1e-3 * np.linalg.norm(without - task.control_means, axis=1)).all()


def test_steps_are_taken_and_judged_without_codes(
    singles: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    scores = judged_steps._scores

    def seen(network: DyGenePT, trainer: Trainer, held: StartData, *, spares: bool) -> DoubleArray:
        read.append(int(network.state_dict()["gene_encoder.reads_code"].sum()))
        return scores(network, trainer, held, spares=spares)

    monkeypatch.setattr(judged_steps, "_scores", seen)
    options = replace(START, epochs=1, steps_per_epoch=1, keep_steps="if_better")
    model = fitted(singles, options)
    assert read == [0] * 8
    network = model.networks[0]
    assert isinstance(network.gene_encoder, FacetEncoder)
    codes = network.gene_encoder.codes_read()
    assert codes is not None
    known = {gene for of in singles.known for gene in of.genes}
    assert {singles.target_genes[place] for place in codes.tolist()} == known
