"""``warm_start: auto`` trains from both starts and keeps what validates better beyond chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dygenept.model import fitting
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.fitting import FittedMember, Member, by_perturbation
from dygenept.model.losses import pearson_delta_de
from dygenept.model.network import DyGenePT
from dygenept.model.training import loop
from dygenept.model.training.options import TrainingOptions
from dygenept.types import Condition, Task

pytestmark = pytest.mark.usefixtures("few_tuning_steps")
OPTIONS = TrainingOptions(
    target="pseudobulk",
    cells_per_condition=2,
    batch_size=8,
    epochs=1,
    steps_per_epoch=1,
    patience=1,
    warm_start="auto",
    n_prediction_cells=4,
)


def more_validation(task: Task) -> Task:
    """Validate by ten conditions, of which five judge; of fewer, no gain is beyond chance."""
    return replace(task, train=task.known[:2], val=task.known[2:])


@pytest.mark.parametrize(("bonus", "is_warm"), [(9.0, False), (-9.0, True)])
def test_the_start_that_validates_better_is_kept(
    bonus: float,
    is_warm: bool,
    task: Task,
    make_model: Callable[..., DyGenePTModel],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    fitted = Member.fitted

    def biased(self: Member) -> FittedMember:
        found = fitted(self)
        is_random = self.state.options.warm_start is False
        return replace(found, scores=found.scores + bonus * is_random)

    monkeypatch.setattr(fitting.Member, "fitted", biased)
    model = make_model(OPTIONS)
    runtime = replace(task.runtime, checkpoint_dir=tmp_path)
    model.fit(replace(more_validation(task), runtime=runtime))
    chosen = model.chosen
    closed, other = chosen["score_closed_form_start"], chosen["score_random_start"]
    assert isinstance(closed, float)
    assert isinstance(other, float)
    assert (closed > other) is is_warm
    # Only a closed-form start has a penalty.
    assert ("penalty" in chosen) is is_warm
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"member-0.safetensors", "member-0-random-start.safetensors"}


@pytest.mark.parametrize("gains", [(9.0, -1.0, -1.0, -1.0, -1.0), None])
def test_a_gain_that_may_be_chance_leaves_the_closed_form(
    gains: tuple[float, ...] | None,
    task: Task,
    make_model: Callable[..., DyGenePTModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fitted = Member.fitted

    def biased(self: Member) -> FittedMember:
        found = fitted(self)
        is_random = self.state.options.warm_start is False
        # The mean gains: by one condition of five, or by each of a few.
        bonus = np.array(gains) if gains else np.full(len(found.scores), 9.0)
        return replace(found, scores=bonus * is_random)

    monkeypatch.setattr(fitting.Member, "fitted", biased)
    model = make_model(OPTIONS)
    few = replace(task, train=task.known[:4], val=task.known[4:])
    model.fit(more_validation(task) if gains else few)
    assert float(model.chosen["score_random_start"]) > float(
        model.chosen["score_closed_form_start"]
    )
    assert "penalty" in model.chosen


@pytest.mark.parametrize("clamps", [True, False])
def test_validation_scores_what_would_be_predicted(
    task: Task, make_model: Callable[..., DyGenePTModel], *, clamps: bool
) -> None:
    task = more_validation(task)
    options = replace(OPTIONS, warm_start=False, lr=0.3, epochs=3, clamp_min_zero=clamps)
    model = make_model(options)
    model.fit(task)
    found = model.predict(task.val).expression
    assert (found <= 0).mean() > 0.02
    assert (found < 0).any() != clamps
    n, controls = len(task.train), task.control_means
    r = pearson_delta_de(
        torch.from_numpy(found - controls),
        torch.from_numpy(task.means[n:] - controls),
        torch.from_numpy(task.de_indices[n:].astype(np.int64)),
    )
    assert max(model.histories[0].scores) == pytest.approx(float(r.mean()), abs=1e-5)


def test_cell_types_of_a_perturbation_are_one_gain(task: Task) -> None:
    perturbation = task.val[0].perturbation
    types = tuple(Condition(perturbation, name) for name in ("A", "B"))
    gains = by_perturbation((*types, task.train[0]), np.array([1.0, 2.0, 5.0]))
    assert sorted(gains) == [1.5, 5.0]


def test_those_that_stop_a_training_do_not_judge_its_start(
    task: Task, make_model: Callable[..., DyGenePTModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: dict[bool, set[tuple[int, ...]]] = {True: set(), False: set()}
    score, scores = loop.Trainer.validation_score, loop.Trainer.validation_scores
    stops = False

    def stopping(self: loop.Trainer, network: DyGenePT) -> float:
        nonlocal stops
        stops = True
        found = score(self, network)
        stops = False
        return found

    def noted(self: loop.Trainer, network: DyGenePT) -> torch.Tensor:
        assert self.validation is not None
        scored[stops] |= {tuple(row) for row in self.validation.gene_indices.tolist()}
        return scores(self, network)

    monkeypatch.setattr(loop.Trainer, "validation_score", stopping)
    monkeypatch.setattr(loop.Trainer, "validation_scores", noted)
    model = make_model(OPTIONS)
    model.fit(more_validation(task))
    assert [len(found) for found in (scored[True], scored[False])] == [5, 5]
    assert not scored[True] & scored[False]


def test_a_training_that_all_validation_stopped_is_not_taken_for_one_that_half_did(
    task: Task, make_model: Callable[..., DyGenePTModel], tmp_path: Path
) -> None:
    task = more_validation(task)
    kept = replace(task, runtime=replace(task.runtime, checkpoint_dir=tmp_path))
    options = replace(OPTIONS, keep_steps="always", lr=0.1, epochs=2, patience=2)
    make_model(replace(options, warm_start=True)).fit(kept)
    after, alone = make_model(options), make_model(options)
    after.fit(kept)
    alone.fit(task)
    assert "penalty" in alone.chosen
    assert after.histories == alone.histories


def test_without_validation_conditions_the_closed_form_stays(
    task: Task, make_model: Callable[..., DyGenePTModel]
) -> None:
    n = len(task.train)
    alone = replace(task, val=(), means=task.means[:n], de_indices=task.de_indices[:n])
    model = make_model(OPTIONS)
    model.fit(alone)
    assert "penalty" in model.chosen
    assert "score_random_start" not in model.chosen


def test_a_random_start_takes_its_steps_whatever_is_judged_of_the_closed_form(
    task: Task, make_model: Callable[..., DyGenePTModel]
) -> None:
    model = make_model(replace(OPTIONS, keep_steps="if_better"))
    model.fit(more_validation(task))
    assert {"score_closed_form_start", "score_random_start"} <= model.chosen.keys()


def test_conditions_that_training_sees_cannot_choose() -> None:
    with pytest.raises(ValueError, match="warm_start auto needs validation"):
        replace(OPTIONS, patience=0, fit_on_validation=True)
