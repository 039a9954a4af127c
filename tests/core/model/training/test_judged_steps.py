"""``keep_steps: if_better`` takes steps only where held-out train perturbations gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dygenept.machine import collectives
from dygenept.model import fitting, judged_steps
from dygenept.model.estimator import DyGenePTModel
from dygenept.model.judged_steps import StepsJudgement, judge_steps
from dygenept.model.network import DyGenePT
from dygenept.model.start.closed_form import ClosedFormStart
from dygenept.model.start.features import StartData
from dygenept.model.training.batches import perturbed_cells
from dygenept.model.training.checkpoint import changing_tensors
from dygenept.model.training.loop import Trainer
from dygenept.model.training.options import TrainingOptions
from dygenept.types import Task

pytestmark = pytest.mark.usefixtures("few_tuning_steps")
OPTIONS = TrainingOptions(
    target="pseudobulk",
    cells_per_condition=2,
    batch_size=8,
    epochs=1,
    steps_per_epoch=2,
    patience=0,
    warm_start=True,
    keep_steps="if_better",
    fit_on_validation=True,
    n_prediction_cells=4,
)


def test_a_gain_that_may_be_chance_keeps_the_start() -> None:
    before = np.array([0.1, 0.5, 0.3, 0.7] * 2)
    gains = np.array([0.1, 0.2, 0.1, 0.2] * 2)
    clear = StepsJudgement(before, before + gains)
    assert clear.are_kept
    assert clear.chosen["held_out_score_of_start"] == pytest.approx(0.4)
    assert clear.chosen["held_out_score_with_steps"] == pytest.approx(0.55)
    # Differences of 0.1 and 0.2, four of each: a standard deviation of 0.05 √(8 / 7), over √8.
    assert clear.chosen["standard_error_of_gain"] == pytest.approx(0.05 / 7**0.5)
    # 1.2 standard errors are chance; so are four gains of four, which are one choice in sixteen.
    doubtful = np.array([0.3, -0.2, 0.25, -0.1, 0.2, -0.15, 0.3, 0.05])
    assert doubtful.mean() > 1.1 * doubtful.std(ddof=1) / 8**0.5
    assert not StepsJudgement(before, before + doubtful).are_kept
    assert not StepsJudgement(before[:4], before[:4] + gains[:4]).are_kept
    assert not StepsJudgement(before, before - 0.1).are_kept
    assert not StepsJudgement(before, before).are_kept
    nothing = StepsJudgement(np.empty(0), np.empty(0))
    assert not nothing.are_kept
    assert nothing.chosen == {}


@pytest.mark.parametrize("gain", [0.2, -0.2])
def test_steps_are_taken_only_if_they_gain(
    gain: float,
    task: Task,
    make_model: Callable[..., DyGenePTModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n = 10
    judged = StepsJudgement(np.zeros(n), np.full(n, gain))
    monkeypatch.setattr(fitting, "judge_steps", lambda *given: judged)
    model, always, never = (
        make_model(replace(OPTIONS, **changes))
        for changes in ({}, {"keep_steps": "always"}, {"epochs": 0})
    )
    for each in (model, always, never):
        each.fit(task)
    alike = always if gain > 0 else never
    for name, value in model.networks[0].state_dict().items():
        assert torch.equal(value, alike.networks[0].state_dict()[name])
    assert model.chosen["epochs_kept"] == (1 if gain > 0 else 0)
    assert model.chosen["held_out_score_with_steps"] == pytest.approx(gain)
    assert "held_out_score_with_steps" not in always.chosen


def test_perturbations_are_judged_by_networks_that_have_not_seen_them(
    task: Task, make_model: Callable[..., DyGenePTModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is held out once; the network is left as it was."""
    learnt: list[list[tuple[int, ...]]] = []
    scored: list[list[tuple[int, ...]]] = []
    train, scores = Trainer.train, judged_steps._scores

    def noted(self: Trainer, network: DyGenePT) -> object:
        learnt.append([tuple(row) for row in self.source.conditions.gene_indices.tolist()])
        return train(self, network)

    def seen(network: DyGenePT, trainer: Trainer, held: StartData, *, spares: bool) -> np.ndarray:
        assert not spares  # There are few.
        scored.append([tuple(row) for row in held.conditions.gene_indices.tolist()])
        return scores(network, trainer, held, spares=spares)

    kept: list[dict[str, torch.Tensor]] = []

    def watched(
        network: DyGenePT, trainer: Trainer, data: StartData, start: ClosedFormStart
    ) -> StepsJudgement:
        kept.append({name: value.clone() for name, value in changing_tensors(network).items()})
        found = judge_steps(network, trainer, data, start)
        kept.append({name: value.clone() for name, value in changing_tensors(network).items()})
        return found

    monkeypatch.setattr(Trainer, "train", noted)
    monkeypatch.setattr(judged_steps, "_scores", seen)
    monkeypatch.setattr(fitting, "judge_steps", watched)
    model = make_model(OPTIONS)
    model.fit(task)
    before, after = kept
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    *judging, final = learnt
    assert len(judging) == judged_steps.N_PARTS
    assert scored[::2] == scored[1::2]  # The same ones before and after the steps.
    for seen_in_steps, held in zip(judging, scored[::2], strict=True):
        assert not set(seen_in_steps) & set(held)
        assert set(seen_in_steps) | set(held) == set(final)
    assert sorted(one for held in scored[::2] for one in held) == sorted(set(final))


def test_few_perturbations_keep_the_start(
    task: Task, make_model: Callable[..., DyGenePTModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judged_steps, "MIN_PERTURBATIONS", 1000)
    model = make_model(OPTIONS)
    model.fit(task)
    assert model.chosen["epochs_kept"] == 0
    assert "held_out_score_of_start" not in model.chosen


def test_a_checkpoint_of_steps_is_not_read_where_the_start_stays(
    task: Task,
    make_model: Callable[..., DyGenePTModel],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    kept = replace(task, runtime=replace(task.runtime, checkpoint_dir=tmp_path))
    models = []
    for gain in (0.2, -0.2):
        judged = StepsJudgement(np.zeros(10), np.full(10, gain))
        monkeypatch.setattr(fitting, "judge_steps", lambda *given, judged=judged: judged)
        models.append(make_model(OPTIONS))
        models[-1].fit(kept)
    assert (tmp_path / "member-0.safetensors").is_file()
    assert [model.chosen["epochs_kept"] for model in models] == [1, 0]


def test_all_processes_take_what_the_first_has_judged(
    task: Task, make_model: Callable[..., DyGenePTModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    def theirs(tensors: Sequence[torch.Tensor]) -> None:
        if len(tensors) == 1:  # The two rows of scores; a training's weights are many.
            tensors[0][0], tensors[0][1] = 0.25, 0.75

    monkeypatch.setattr(collectives, "broadcast", theirs)
    model = make_model(OPTIONS)
    model.fit(task)
    assert model.chosen["held_out_score_of_start"] == 0.25
    assert model.chosen["held_out_score_with_steps"] == 0.75
    assert model.chosen["epochs_kept"] == 1


def test_a_source_of_some_conditions_has_their_cells(task: Task) -> None:
    n = len(task.train)
    cells = perturbed_cells(task, n)
    rows = np.array([3, 0])
    some = cells.take(rows)
    sizes = np.diff(cells.starts)
    assert some.starts.tolist() == [0, sizes[3], sizes[3] + sizes[0]]
    np.testing.assert_array_equal(
        some.expression.toarray(),
        np.concatenate(
            [cells.expression[cells.starts[row] : cells.starts[row + 1]].toarray() for row in rows]
        ),
    )


def test_steps_from_random_first_weights_are_always_taken(
    task: Task, make_model: Callable[..., DyGenePTModel]
) -> None:
    model = make_model(replace(OPTIONS, warm_start=False))
    model.fit(task)
    assert model.chosen["epochs_kept"] == 1
    assert "held_out_score_of_start" not in model.chosen
