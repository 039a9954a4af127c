"""A training on the toy task, and stand-ins that watch it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from dygenept.model.conditions import condition_set
from dygenept.model.control_pool import control_cells
from dygenept.model.network import DyGenePT
from dygenept.model.training.batches import BatchSource, perturbed_cells
from dygenept.model.training.checkpoint import Checkpoint
from dygenept.model.training.loop import History, Trainer
from dygenept.model.training.options import TrainingOptions
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
