"""When training stops, what it keeps, and each step against a plain loop."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from dygenept.errors import ConfigError, DygeneptError
from dygenept.machine.processes import World
from dygenept.model.conditions import condition_set
from dygenept.model.control_pool import control_cells
from dygenept.model.losses import pearson_delta_de, perturbation_loss
from dygenept.model.network import DyGenePT
from dygenept.model.prediction import predict_means
from dygenept.model.seeds import derived_seed, forked_torch, seeded_torch
from dygenept.model.training import checkpoint as checkpoints
from dygenept.model.training import loop, tuning
from dygenept.model.training.batches import BatchSource, Share, perturbed_cells
from dygenept.model.training.checkpoint import Checkpoint, Saver, changing_tensors
from dygenept.model.training.loop import History, Trainer
from dygenept.model.training.optimisation import WeightAverage, learning_rate, make_optimizer
from dygenept.model.training.options import LossOptions, TrainingOptions
from dygenept.testing import toy_task

CPU = torch.device("cpu")
OPTIONS = TrainingOptions(
    lr=1e-3,
    weight_decay=0.1,
    min_lr=1e-4,
    batch_size=12,
    epochs=6,
    patience=2,
    steps_per_epoch=2,
    warmup_steps=3,
    prefetch=0,
    n_prediction_cells=8,
)


@dataclass
class Run:
    """A training on the toy task, and what it said on the way."""

    network: DyGenePT
    options: TrainingOptions
    validates: bool = True
    checkpoint: Checkpoint | None = None
    resume: bool = True
    reports: list[tuple[int, str]] = field(default_factory=list)
    seed: int = 5

    def trainer(self) -> Trainer:
        task, _ = toy_task()
        assert task.cells is not None
        n = len(task.train)
        controls = control_cells(task.cells, n_cell_types=1)
        self.network.prepare(controls.pool(task.gene_symbols))
        genes = task.target_genes
        return Trainer(
            source=BatchSource(
                conditions=condition_set(task, slice(0, n), genes),
                controls=controls,
                cells=perturbed_cells(task, n) if self.options.target == "cell" else None,
                options=self.options,
            ),
            validation=condition_set(task, slice(n, None), genes) if self.validates else None,
            positions=np.arange(4),
            options=self.options,
            seed=self.seed,
            device=CPU,
            report=lambda epoch, text: self.reports.append((epoch, text)),
            checkpoint=self.checkpoint,
            resume=self.resume,
        )

    def train(self) -> History:
        return self.trainer().train(self.network)


class Scores:
    """Stands in for the validation score; remembers the weights that each score was given to."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)
        self.weights: list[dict[str, torch.Tensor]] = []

    def __call__(self, trainer: Trainer, network: DyGenePT) -> float:
        self.weights.append(weights_of(network))
        return self.values[len(self.weights) - 1]


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in network.named_parameters()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def scored(monkeypatch: pytest.MonkeyPatch, *values: float) -> Scores:
    scores = Scores(*values)
    monkeypatch.setattr(Trainer, "validation_score", lambda self, net: scores(self, net))
    return scores


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


def plain_losses(run: Run) -> tuple[list[float], list[float]]:
    """Train by a plain loop; return each epoch's mean loss and each step's rate."""
    network, options, trainer = run.network, run.options, run.trainer()
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    vectors = [p for p in network.parameters() if p.ndim < 2]
    adam = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": options.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=1.0,
    )
    network.train()
    losses, rates = [], []
    for epoch in range(options.epochs):
        seed = np.random.SeedSequence([run.seed, epoch]).generate_state(1)[0]
        of_epoch = []
        steps = trainer.source.steps(np.random.default_rng(int(seed)))
        for step, (batch,) in enumerate(steps):
            number = epoch * options.steps_per_epoch + step
            rate = learning_rate(
                number, n_steps=options.epochs * options.steps_per_epoch, options=options
            )
            rates.append(rate)
            for group in adam.param_groups:
                group["lr"] = rate
            at = np.random.SeedSequence([run.seed, epoch, step, 0]).generate_state(1)[0]
            with torch.random.fork_rng():
                torch.manual_seed(int(at))
                output = network(batch.gene_indices, batch.control_indices, batch.control)
            n = len(batch.target)
            change = (output.expression - batch.control).reshape(n, -1, batch.target.shape[1])
            loss = perturbation_loss(
                change.mean(dim=1),
                batch.target,
                reference=batch.reference,
                de_indices=batch.de_indices,
                options=options.loss,
            )
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), options.clip_norm)
            adam.step()
            of_epoch.append(float(loss.detach()))
        losses.append(sum(of_epoch) / options.steps_per_epoch)
    return losses, rates


@pytest.mark.parametrize("target", ["cell", "pseudobulk"])
def test_training_is_what_a_plain_loop_does(
    network: DyGenePT, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(
        OPTIONS,
        target=target,
        cells_per_condition=4,
        epochs=3,
        clip_norm=0.5,
        steps_per_epoch=7,
        loss=LossOptions(mse_weight=1.0, de_mse_weight=0.7, direction_weight=0.3),
    )
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.3
    other = copy.deepcopy(network)
    losses, expected = plain_losses(Run(other, options, validates=False))
    rates: list[float] = []
    step = Trainer.step

    def watched(
        self: Trainer, stepper: nn.Module, optimizer: torch.optim.Optimizer, pieces: object
    ) -> torch.Tensor:
        rates.extend({group["lr"] for group in optimizer.param_groups})
        return step(self, stepper, optimizer, pieces)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "step", watched)
    state = torch.random.get_rng_state()
    run = Run(network, options, validates=False)
    history = run.train()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert rates == expected
    assert len(rates) == 21
    assert history.losses == pytest.approx(losses, rel=1e-5)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter, other.get_parameter(name), rtol=1e-4, atol=1e-6)


def test_dropout_is_drawn_anew_by_epoch_step_and_process(network: DyGenePT) -> None:
    trainer = Run(network, OPTIONS).trainer()
    positions = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert len({derived_seed(trainer.seed, *position) for position in positions}) == 4
    assert derived_seed(trainer.seed, 2, 3) == int(
        np.random.SeedSequence([5, 2, 3]).generate_state(1)[0]
    )


def test_a_loss_that_stops_being_finite_names_the_epoch_and_a_lower_rate(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 2.0, math.nan, 1.0])
    monkeypatch.setattr(Trainer, "step", lambda *_: torch.tensor(next(losses)))
    with pytest.raises(
        DygeneptError, match=r"is nan in epoch 2; .*--set training\.lr=0\.0001$"
    ) as caught:
        Run(network, OPTIONS, validates=False).train()
    assert "training diverged" in str(caught.value)


def test_the_mean_loss_of_an_epoch_is_over_its_steps(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 2.0, 4.0, 1.0])
    monkeypatch.setattr(Trainer, "step", lambda *_: torch.tensor(next(losses)))
    history = Run(network, replace(OPTIONS, epochs=2), validates=False).train()
    assert history.losses == (1.5, 2.5)


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


def test_a_finished_training_is_not_trained_again_unless_resuming_is_off(
    network: DyGenePT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path / "training.safetensors", "print")
    start = copy.deepcopy(network)
    scored(monkeypatch, 0.1, 0.5, 0.4, 0.3)
    first = Run(network, OPTIONS, checkpoint=checkpoint).train()
    assert checkpoint.path.exists()
    again, fresh = copy.deepcopy(start), copy.deepcopy(start)
    run = Run(again, OPTIONS, checkpoint=checkpoint)
    assert run.train() == first
    assert run.reports == []
    assert same(weights_of(again), weights_of(network))
    scored(monkeypatch, 0.2, 0.1, 0.0)
    other = Run(fresh, OPTIONS, checkpoint=checkpoint, resume=False).train()
    assert other.scores == (0.2, 0.1, 0.0)


def test_a_resumed_warm_start_is_not_scored_again(
    network: DyGenePT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path / "training.safetensors", "print")
    options = replace(OPTIONS, warm_start=True, epochs=2, patience=5, checkpoint_seconds=0.0)

    def interrupted(*_: object) -> float:
        if interrupted.n == 1:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        interrupted.n += 1  # type: ignore[attr-defined]
        return 0.5

    interrupted.n = 0  # type: ignore[attr-defined]
    start = copy.deepcopy(network)
    monkeypatch.setattr(Trainer, "validation_score", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Run(network, options, checkpoint=checkpoint).train()
    scores = scored(monkeypatch, 0.1, 0.2)
    history = Run(start, options, checkpoint=checkpoint).train()
    assert len(scores.weights) == len(history.scores)
    assert history.best_epoch == 0


def test_what_a_part_cannot_do_is_refused_before_the_first_step(network: DyGenePT) -> None:
    trainer = Run(network, replace(OPTIONS, gradient_checkpointing=True)).trainer()
    with pytest.raises(ConfigError, match="MlpCellState cannot recompute"):
        trainer.stepper(network)


def test_the_stepper_is_the_network_compiled_only_where_asked(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[DyGenePT] = []
    recomputed: list[DyGenePT] = []
    monkeypatch.setattr(loop, "compile_parts", compiled.append)
    monkeypatch.setattr(loop, "recompute_layers", recomputed.append)
    assert Run(network, OPTIONS).trainer().stepper(network) is network
    assert (compiled, recomputed) == ([], [])
    Run(network, replace(OPTIONS, compile=True)).trainer().stepper(network)
    assert (compiled, recomputed) == ([network], [])
    Run(network, replace(OPTIONS, gradient_checkpointing=True)).trainer().stepper(network)
    assert (compiled, recomputed) == ([network], [network])


def test_a_save_is_due_after_so_many_seconds_or_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock[0])
    checkpoint = Checkpoint(tmp_path / "x", "print")
    written: list[tuple[Checkpoint, float]] = []
    saver = Saver(checkpoint, 30.0, lambda to: written.append((to, clock[0])), saved_at=100.0)
    for now in (100.0, 129.9, 130.0, 140.0, 160.0):
        clock[0] = now
        saver.save()
    assert written == [(checkpoint, 130.0), (checkpoint, 160.0)]
    saver.save(now=True)
    assert written[-1] == (checkpoint, 160.0)
    assert len(written) == 3
    clock[0] = 189.0
    saver.save()
    assert len(written) == 3
    Saver(None, 0.0, lambda to: written.append((to, 0.0)), saved_at=0.0).save(now=True)
    assert len(written) == 3


def test_torchs_generator_is_as_it_was_after_a_block() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    with seeded_torch(7, CPU):
        drawn = torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    with seeded_torch(7, CPU):
        assert torch.equal(torch.rand(3), drawn)
    with forked_torch(CPU):
        torch.rand(3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_optimizer_trains_what_is_not_frozen_at_the_peak_rate() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1, bias=False))
    network[1].requires_grad_(False)
    first, second = make_optimizer(network, OPTIONS, CPU).param_groups
    assert (first["lr"], second["lr"]) == (1e-3, 1e-3)
    assert (first["weight_decay"], second["weight_decay"]) == (0.1, 0.0)
    network[0].bias.requires_grad_(False)
    (only,) = make_optimizer(network, OPTIONS, CPU).param_groups
    assert [p.shape for p in only["params"]] == [(2, 3)]


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.25), (1, 0.5), (2, 0.75), (3, 1.0), (4, 1.0), (22, 0.55), (40, 0.1), (99, 0.1)],
)
def test_the_rate_rises_to_the_peak_and_falls_to_the_end(step: int, rate: float) -> None:
    options = TrainingOptions(lr=1.0, min_lr=0.1, warmup_steps=4)
    assert learning_rate(step, n_steps=41, options=options) == pytest.approx(rate)


def test_the_rate_without_a_warm_up_starts_at_the_peak() -> None:
    options = TrainingOptions(lr=1.0, min_lr=0.0, warmup_steps=0)
    rates = [learning_rate(step, n_steps=3, options=options) for step in range(3)]
    assert rates == pytest.approx([1.0, 0.5, 0.0])
    assert learning_rate(0, n_steps=2, options=options) == 1.0
    assert learning_rate(1, n_steps=2, options=options) == pytest.approx(0.0)
    assert learning_rate(1, n_steps=1, options=options) == pytest.approx(0.0)


def test_an_average_starts_from_the_weights_and_leaves_frozen_ones_out() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    network[1].requires_grad_(False)
    average = WeightAverage(network, 0.9)
    assert set(average.average) == {"0.weight", "0.bias"}
    assert average.n_updates == 0
    assert torch.equal(average.average["0.weight"], network[0].weight)
    with torch.no_grad():
        network[0].weight += 10.0
    start = average.average["0.weight"].clone()
    average.update()
    # The first decay is a tenth, so that nine tenths of the step are taken.
    torch.testing.assert_close(average.average["0.weight"], start + 9.0)
    assert average.n_updates == 1


def test_an_interrupted_epoch_goes_on_where_it_was_left(
    network: DyGenePT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(OPTIONS, epochs=2, steps_per_epoch=4, checkpoint_seconds=0.0, ema_decay=0.5)
    start, whole = copy.deepcopy(network), copy.deepcopy(network)
    expected = Run(whole, options, validates=False).train()
    step, n_steps = Trainer.step, [0]

    def interrupted(self: Trainer, *arguments: object) -> torch.Tensor:
        if n_steps[0] == 6:
            raise KeyboardInterrupt
        n_steps[0] += 1
        return step(self, *arguments)  # type: ignore[arg-type]

    checkpoint = Checkpoint(tmp_path / "training.safetensors", "print")
    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Run(network, options, validates=False, checkpoint=checkpoint).train()
    n_steps[0] = 0
    resumed = Run(start, options, validates=False, checkpoint=checkpoint).train()
    assert n_steps[0] == 2
    assert resumed == expected
    assert same(weights_of(start), weights_of(whole))


class Calls:
    """Stands in for what processes do together; this one is the second of two."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(rank=1, size=2)
        self.agreed: list[tuple[tuple[int, ...], str]] = []
        self.sent: list[list[tuple[int, ...]]] = []
        self.last: list[bool] = []
        self.wrapped: list[tuple[nn.Module, torch.device]] = []
        self.summed = 0
        monkeypatch.setattr(loop.processes, "current", lambda: self.world)
        monkeypatch.setattr(
            loop.processes,
            "check_agreement",
            lambda values, what: self.agreed.append((values, what)),
        )
        monkeypatch.setattr(
            loop.processes,
            "broadcast",
            lambda tensors: self.sent.append([tuple(tensor.shape) for tensor in tensors]),
        )
        monkeypatch.setattr(loop.processes, "local_gradients", self._local)
        monkeypatch.setattr(loop.processes, "parallel", self._parallel)
        monkeypatch.setattr(loop.processes, "total", self._total)

    def _local(self, stepper: nn.Module, *, is_last: bool) -> AbstractContextManager[None]:
        assert isinstance(stepper, nn.Module)
        self.last.append(is_last)
        return nullcontext()

    def _parallel(self, network: nn.Module, device: torch.device) -> nn.Module:
        self.wrapped.append((network, device))
        return network

    def _total(self, tensor: torch.Tensor) -> torch.Tensor:
        self.summed += 1
        return 2 * tensor


def test_a_process_among_two_runs_its_part_and_writes_nothing(
    network: DyGenePT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    checkpoint = Checkpoint(tmp_path / "training.safetensors", "print")
    options = replace(OPTIONS, epochs=1, accumulation_steps=3, checkpoint_seconds=0.0)
    shares: list[Share] = []
    steps = BatchSource.steps

    def watched(self: BatchSource, rng: np.random.Generator, *, first: int, share: Share) -> object:
        shares.append(share)
        return steps(self, rng, first=first, share=share)

    monkeypatch.setattr(BatchSource, "steps", watched)
    Run(network, options, validates=False, checkpoint=checkpoint).train()
    assert shares == [Share(rank=1, size=2, pieces=3)]
    assert calls.agreed == [((0, 0), "where the checkpoint left off")]
    assert calls.last == [False, False, True] * 2
    assert calls.wrapped == [(network, CPU)]
    assert calls.summed == 2
    assert [len(shapes) for shapes in calls.sent] == [len(changing_tensors(network))]
    assert not checkpoint.path.exists()
    calls.world = World(rank=0, size=2)
    Run(network, options, validates=False, checkpoint=checkpoint).train()
    assert checkpoint.path.exists()


def test_gradients_of_a_part_count_once_per_process_before_they_are_averaged(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Run(network, OPTIONS).trainer()
    pieces = next(trainer.source.steps(np.random.default_rng(0)))
    alone = trainer.backward(network, pieces)
    gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    Calls(monkeypatch)
    both = trainer.backward(network, pieces)
    # The losses of the processes are summed; here each is taken to have the same.
    assert float(both) == pytest.approx(2 * float(alone))
    doubled = [p.grad for p in network.parameters() if p.grad is not None]
    for left, right in zip(gradients, doubled, strict=True):
        torch.testing.assert_close(right, 2 * left)


class Recomputes(nn.Module):
    """A cell encoder that can do both, and says what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[object] = []

    def recompute_layers(self, wanted: bool) -> None:
        self.asked.append(wanted)

    def compile_layers(self) -> None:
        self.asked.append("compile")


def test_encoders_are_asked_to_recompute_and_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, decoder = Recomputes(), nn.Linear(1, 1)
    network = SimpleNamespace(cell_encoder=encoder, decoder=decoder)
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    tuning.recompute_layers(network)  # type: ignore[arg-type]
    assert encoder.asked == [True]
    tuning.compile_parts(network)  # type: ignore[arg-type]
    assert encoder.asked == [True, "compile"]
    assert compiled == [decoder]
    tuning.compile_parts(SimpleNamespace(cell_encoder=decoder, decoder=decoder))  # type: ignore[arg-type]
    assert compiled == [decoder, decoder]


def test_rocm_counts_as_having_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    card = torch.device("cuda", 0)
    asked: list[object] = []

    def properties(device: object) -> SimpleNamespace:
        asked.append(device)
        return SimpleNamespace(major=7)

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(torch.version, "hip", None)
    assert tuning.has_bfloat16(card) is False
    assert asked == [card]
    monkeypatch.setattr(torch.version, "hip", "6.0")
    assert tuning.has_bfloat16(card) is True


def test_a_card_without_bfloat16_falls_back_or_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card = torch.device("cuda", 0)
    answer = [False]
    asked: list[object] = []
    monkeypatch.setattr(tuning, "has_bfloat16", lambda device: asked.append(device) or answer[0])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {device.index}")
    assert tuning.autocast_dtype(OPTIONS, card) is None
    assert asked == [card]
    with pytest.raises(ConfigError, match=r"bf16, but card 0 has no bfloat16"):
        tuning.autocast_dtype(replace(OPTIONS, precision="bf16"), card)
    answer[0] = True
    for precision, found in (("auto", torch.bfloat16), ("bf16", torch.bfloat16), ("float32", None)):
        options = replace(OPTIONS, precision=precision)  # type: ignore[arg-type]
        assert tuning.autocast_dtype(options, card) == found


def test_bf16_is_used_in_the_forward_pass_alone(
    network: DyGenePT, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, torch.dtype]] = []
    network.decoder.register_forward_pre_hook(
        lambda *_: seen.append((torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
    )
    for precision in ("bf16", "float32"):
        options = replace(OPTIONS, precision=precision, epochs=1, steps_per_epoch=1)  # type: ignore[arg-type]
        Run(network, options, validates=False).train()
    assert seen[0] == (True, torch.bfloat16)
    assert seen[1][0] is False


def test_pieces_of_a_batch_give_the_loss_of_the_whole(
    network: DyGenePT,
) -> None:
    other = copy.deepcopy(network)
    options = replace(OPTIONS, epochs=2, clip_norm=0.5)
    whole = Run(network, options, validates=False).train()
    pieces = Run(other, replace(options, accumulation_steps=3), validates=False).train()
    assert pieces.losses == pytest.approx(whole.losses, rel=1e-4)
