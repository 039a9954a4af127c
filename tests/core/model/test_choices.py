from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dygenept.machine.processes import World
from dygenept.model import choices, fitting
from dygenept.model.choices import joined_choices, member_choices
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.fitted_state import read_fitted
from dygenept.model.network import Parts
from dygenept.model.start.readout import PENALTIES
from dygenept.model.start.typical import EXPONENTS
from dygenept.model.training.loop import History
from dygenept.model.training.options import TrainingOptions
from dygenept.plugin.interfaces.offers import chosen_by
from dygenept.types import Runtime, Task

pytestmark = pytest.mark.usefixtures("few_tuning_steps")
STARTED = TrainingOptions(
    target="pseudobulk",
    batch_size=32,
    cells_per_condition=4,
    warm_start=True,
    epochs=2,
    patience=0,
    lr=3e-3,
    warmup_steps=0,
    n_prediction_cells=4,
)
Maker = Callable[..., DyGenePTModel]


def test_a_model_says_that_several_processes_trained_it(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(losses=(0.5,), scores=(), best_epoch=1)
    alone = {"epochs_trained": 1, "epochs_kept": 1}
    assert member_choices(None, history, None) == alone
    monkeypatch.setattr(choices.processes, "current", lambda: World(rank=1, size=3))
    assert member_choices(None, history, None) == {**alone, "trained_in_processes": 3}


def test_a_started_model_says_what_it_settled_on(
    make_model: Maker, make_parts: Callable[..., Parts], task: Task
) -> None:
    model = make_model(STARTED, parts=make_parts(identity_share=None))
    model.fit(task)
    chosen = chosen_by(model)
    assert set(chosen) == {
        "identity_share",
        "knowledge_share",
        "penalty",
        "typical_exponent",
        "facet_tuning_steps",
        "epochs_trained",
        "epochs_kept",
        "best_epoch",
        "share_changed_by_steps",
        "attention_moved_by_cells",
        "prediction_moved_by_cells",
    }
    assert 0 <= float(chosen["knowledge_share"]) <= 1
    encoder = model.networks[0].gene_encoder
    assert chosen["identity_share"] == pytest.approx(float(encoder.identity_share))
    assert chosen["penalty"] in PENALTIES
    assert chosen["typical_exponent"] in EXPONENTS
    assert (chosen["epochs_trained"], chosen["epochs_kept"]) == (2, 2)
    assert json.loads(json.dumps(chosen)) == chosen


def test_the_share_changed_by_steps_is_that_of_the_predictions_variance(
    make_model: Maker, task: Task
) -> None:
    options = replace(STARTED, clamp_min_zero=False)
    changes = {}
    for epochs in (0, 2):
        model = make_model(replace(options, epochs=epochs))
        model.fit(task)
        changes[epochs] = model.predict(task.known).expression - task.control_means[0]
        if not epochs:
            assert model.chosen["share_changed_by_steps"] == 0.0
    # The same cells: predictions average over as many as the share does.
    expected = (changes[2] - changes[0]).var() / changes[2].var()
    assert model.chosen["share_changed_by_steps"] == pytest.approx(expected, rel=1e-4)
    assert expected > 0


def test_a_resumed_training_says_the_same(make_model: Maker, task: Task, tmp_path: Path) -> None:
    kept = replace(task, runtime=Runtime(checkpoint_dir=tmp_path))
    first, again = make_model(STARTED), make_model(STARTED)
    first.fit(kept)
    again.fit(kept)
    assert again.chosen == first.chosen


def test_a_saved_model_keeps_them_and_an_older_one_has_none(
    make_model: Maker, make_parts: Callable[..., Parts], task: Task, tmp_path: Path
) -> None:
    model = make_model(replace(STARTED, n_members=2))
    model.fit(task)
    model.save(tmp_path)
    assert {name.rpartition(".")[2] for name in model.chosen} == {"1", "2"}
    loaded = DyGenePTModel.load(tmp_path, parts=make_parts(), knowledge=model._read_knowledge)
    assert loaded.chosen == model.chosen
    document = json.loads((tmp_path / "model.json").read_text())
    del document["chosen"]
    (tmp_path / "model.json").write_text(json.dumps(document))
    assert read_fitted(tmp_path).chosen == ()


def test_the_best_epoch_is_told_from_the_last_one_that_is_kept() -> None:
    last_kept = member_choices(None, History((1.0, 0.9, 0.8), (0.2, 0.4, 0.3), 3), 0.5)
    assert (last_kept["epochs_kept"], last_kept["best_epoch"]) == (3, 2)
    start_kept = member_choices(None, History((1.0, 0.9), (0.2, 0.1), 0), 0.0)
    assert (start_kept["epochs_kept"], start_kept["best_epoch"]) == (0, 0)
    unvalidated = member_choices(None, History((1.0,), (), 1), None)
    assert dict(unvalidated) == {"epochs_trained": 1, "epochs_kept": 1}


def test_choices_of_several_members_are_numbered() -> None:
    assert joined_choices([{"penalty": 0.1}]) == {"penalty": 0.1}
    assert joined_choices([{"penalty": 0.1}, {"penalty": 0.3}]) == {
        "penalty.1": 0.1,
        "penalty.2": 0.3,
    }


def test_asking_draws_nothing(
    make_model: Maker, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:

    model = make_model(STARTED, dropout=0.2)
    model.fit(task)
    kept = SimpleNamespace(data=None, positions=None, after=lambda *given: None)
    monkeypatch.setattr(choices.StepsEffect, "before", lambda *given: kept)
    for name in ("cell_contributions", "facet_contribution"):
        monkeypatch.setattr(fitting, name, lambda *given: {})
    silent = make_model(STARTED, dropout=0.2)
    silent.fit(task)
    assert np.array_equal(
        model.predict(task.known).expression, silent.predict(task.known).expression
    )
    assert silent.histories == model.histories
