"""When training stops, and which weights it keeps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from core.model.training.toy_training import CPU, OPTIONS, Run, same, scored, weights_of

from dygenept.model.losses import pearson_delta_de
from dygenept.model.network import DyGenePT
from dygenept.model.prediction import predict_means
from dygenept.model.training.loop import History


def test_training_stops_after_patience_epochs_without_a_better_score(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = scored(monkeypatch, 0.1, 0.5, 0.4, 0.5, 0.9)
    run = Run(network, OPTIONS)
    history = run.train()
    # 0.5 again is no better; two epochs after the best one training ends.
    assert history.scores == (0.1, 0.5, 0.4, 0.5)
    assert len(history.losses) == 4
    assert history.best_epoch == 2
    assert same(weights_of(network), scores.weights[1])
    assert run.reports == [
        (1, "val r=0.100"),
        (2, "val r=0.500"),
        (3, "val r=0.400"),
        (6, "val r=0.500"),
    ]


def test_a_better_score_starts_the_patience_again(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = scored(monkeypatch, 0.3, 0.2, 0.4, 0.1, 0.5, 0.0)
    history = Run(network, OPTIONS).train()
    assert history.scores == (0.3, 0.2, 0.4, 0.1, 0.5, 0.0)
    assert history.best_epoch == 5
    assert same(weights_of(network), scores.weights[4])


def test_negative_scores_are_scores(network: DyGenePT, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = scored(monkeypatch, -0.5, -0.4, -0.6, -0.7)
    assert Run(network, OPTIONS).train().best_epoch == 2
    assert same(weights_of(network), scores.weights[1])


def test_without_patience_all_epochs_run_and_the_last_is_kept(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = scored(monkeypatch, 0.9, 0.1, 0.0)
    run = Run(network, replace(OPTIONS, patience=0, epochs=3, ema_decay=0.5))
    history = run.train()
    assert (history.scores, history.best_epoch) == ((0.9, 0.1, 0.0), 3)
    # The averaged weights are what is scored, and what is kept.
    assert same(weights_of(network), scores.weights[2])
    assert [epoch for epoch, _ in run.reports] == [1, 2, 3]


@pytest.mark.parametrize("validates", [False, True])
def test_without_validation_conditions_losses_are_reported(
    network: DyGenePT, validates: bool
) -> None:
    run = Run(network, replace(OPTIONS, epochs=3, patience=1), validates=validates)
    trainer = run.trainer()
    if validates:
        held = trainer.validation
        assert held is not None
        empty = replace(
            held,
            gene_indices=held.gene_indices[:0],
            cell_types=held.cell_types[:0],
            deltas=held.deltas[:0],
            de_indices=held.de_indices[:0],
        )
        trainer = replace(trainer, validation=empty)
    history = trainer.train(network)
    assert (history.scores, history.best_epoch, len(history.losses)) == ((), 3, 3)
    assert run.reports == [
        (number, f"loss={loss:.4f}") for number, loss in enumerate(history.losses, start=1)
    ]


def test_a_warm_start_that_training_does_not_better_is_kept(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = weights_of(network)
    scores = scored(monkeypatch, 0.6, 0.5, 0.6, 0.7)
    history = Run(network, replace(OPTIONS, warm_start=True)).train()
    assert same(scores.weights[0], before)
    assert (history.scores, history.best_epoch) == ((0.5, 0.6), 0)
    assert same(weights_of(network), before)


def test_a_warm_start_without_epochs_is_scored_and_left_as_it_is(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = weights_of(network)
    scored(monkeypatch, 0.6)
    run = Run(network, replace(OPTIONS, warm_start=True, epochs=0))
    assert run.train() == History((), (), 0)
    assert same(weights_of(network), before)
    assert run.reports == []


def test_the_validation_score_is_the_mean_correlation_over_de_genes(network: DyGenePT) -> None:
    trainer = Run(network, OPTIONS).trainer()
    held = trainer.validation
    assert held is not None
    assert len(held) > 0
    predicted = predict_means(
        network,
        gene_indices=held.gene_indices,
        cell_types=held.cell_types,
        controls=trainer.source.controls,
        positions=np.arange(4),
        device=CPU,
    )
    r = pearson_delta_de(predicted.deltas, held.deltas, held.de_indices)
    assert trainer.validation_score(network) == pytest.approx(float(r.mean()))
    assert math.isnan(replace(trainer, validation=None).validation_score(network))
