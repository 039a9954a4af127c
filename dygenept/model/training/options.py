"""Options of training and prediction, on cells and on tables; plain, checked at construction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class LossOptions:
    """Weights of the loss's terms.

    Attributes:
        mse_weight: Weight of the mean squared error over all genes.
        de_mse_weight: Weight of the mean squared error over the perturbation's top-DE genes.
        direction_weight: Weight of the smooth direction loss over those genes.
        direction_scale: Predicted change (log1p units) at which a direction counts as taken.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    mse_weight: float = 1.0
    de_mse_weight: float = 0.5
    direction_weight: float = 0.1
    direction_scale: float = 0.1

    def __post_init__(self) -> None:
        """Check the ranges."""
        _at_least(self, ("mse_weight", "de_mse_weight", "direction_weight"), 0)
        _above_0(self, ("direction_scale",))
        if self.mse_weight + self.de_mse_weight + self.direction_weight == 0:
            raise ValueError("at least one weight of the loss must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How a model is trained and how it predicts.

    Attributes:
        lr: Peak learning rate of AdamW.
        weight_decay: Decoupled weight decay of weight matrices; vectors and biases have none.
        warmup_steps: Steps of linear warm-up; at most a tenth of all steps is used.
        min_lr: Learning rate at the end of the cosine.
        clip_norm: Largest gradient norm.
        batch_size: Rows (control cell with perturbation) per step.
        epochs: Passes over the train data at most; 0 leaves a warm start as it is.
        steps_per_epoch: Steps per epoch; 0 takes what one pass over the train data needs.
        patience: Epochs without a better validation score before training stops; 0 never stops
            early and keeps the last epoch.
        precision: ``bf16`` autocast in training, ``float32``, or ``auto``: bf16 on a GPU that has
            it, float32 elsewhere. Losses, attention weights and predictions stay float32.
        target: What a row is compared with: ``cell``, a random perturbed cell of the condition, or
            ``pseudobulk``, the condition's mean change, which ``cells_per_condition`` rows
            predict together.
        cells_per_condition: Control cells per condition in a step, for ``pseudobulk``.
        warm_start: Fit the decoder's output map in closed form before the first step, where the
            decoder has a linear readout. ``auto`` trains with this start and without it, stopped by
            half of the validation perturbations, and keeps the latter where the other half gains
            by it beyond chance, at 5 %.
        keep_steps: ``always``, or ``if_better``: after a closed-form start take gradient steps only
            where train perturbations that are held out of them gain beyond chance, at 5 %
            (pearson_delta_top20); the start stays as it is elsewhere. Steps from random first
            weights are always taken.
        fit_on_validation: Train on validation conditions too, as closed-form baselines do; only
            with ``patience`` 0, since a model that stops early reads them only for that.
        ema_decay: Decay of the averaged weights that are validated and kept; 0 averages nothing.
        n_members: Models trained from different seeds, whose predictions are averaged.
        n_prediction_cells: Control cells of a cell type that a prediction averages over; 0 takes
            all of them.
        clamp_min_zero: Raise negative predicted means to 0; log1p expression has none.
        checkpoint_seconds: Least time between two checkpoints of one training.
        accumulation_steps: Pieces that a step's batch is run in, one after the other; the
            gradient is that of the whole batch but for dropout, which is drawn piece by piece;
            the memory is that of a piece.
        gradient_checkpointing: Compute the trained layers of the cell encoder again in the
            backward pass instead of keeping their activations.
        compile: Compile the cell encoder's layers and the decoder with ``torch.compile``.
        prefetch: Batches that a separate thread makes ahead; 0 makes each when it is needed.
        loss: Weights of the loss's terms.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    lr: float = 1e-4
    weight_decay: float = 1e-5
    warmup_steps: int = 500
    min_lr: float = 1e-6
    clip_norm: float = 1.0
    batch_size: int = 64
    epochs: int = 20
    steps_per_epoch: int = 0
    patience: int = 5
    precision: Literal["auto", "float32", "bf16"] = "auto"
    target: Literal["cell", "pseudobulk"] = "cell"
    cells_per_condition: int = 8
    warm_start: bool | Literal["auto"] = False
    keep_steps: Literal["always", "if_better"] = "always"
    fit_on_validation: bool = False
    ema_decay: float = 0.0
    n_members: int = 1
    n_prediction_cells: int = 128
    clamp_min_zero: bool = True
    checkpoint_seconds: float = 30.0
    accumulation_steps: int = 1
    gradient_checkpointing: bool = False
    compile: bool = False
    prefetch: int = 2
    loss: LossOptions = field(default_factory=LossOptions)

    def __post_init__(self) -> None:
        """Check the ranges."""
        _above_0(self, ("lr", "clip_norm"))
        _at_least(self, ("batch_size", "cells_per_condition", "n_members", "accumulation_steps"), 1)
        _at_least(self, ("epochs",), 0 if self.warm_start is True else 1)
        counts = ("warmup_steps", "steps_per_epoch", "patience", "n_prediction_cells", "prefetch")
        _at_least(self, (*counts, "weight_decay", "min_lr", "checkpoint_seconds"), 0)
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be at least 0 and below 1, not {self.ema_decay}")
        if self.min_lr > self.lr:
            raise ValueError(f"min_lr ({self.min_lr}) must not be above lr ({self.lr})")
        if self.fit_on_validation and self.patience:
            raise ValueError(
                f"fit_on_validation needs patience 0, not {self.patience}: conditions that "
                "training sees cannot tell when to stop it"
            )
        if self.fit_on_validation and self.warm_start == "auto":
            raise ValueError(
                "warm_start auto needs validation conditions that training does not see; use "
                "fit_on_validation false, or warm_start true or false"
            )
        if self.target == "pseudobulk" and self.cells_per_condition > self.batch_size:
            raise ValueError(
                f"cells_per_condition ({self.cells_per_condition}) must not be above batch_size "
                f"({self.batch_size})"
            )


def _at_least(options: object, names: Iterable[str], bound: float) -> None:
    for name in names:
        value = getattr(options, name)
        if not value >= bound:
            raise ValueError(f"{name} must be at least {bound}, not {value}")


def _above_0(options: object, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(options, name)
        if not value > 0:
            raise ValueError(f"{name} must be above 0, not {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """How the network is trained on a table, from the closed-form start on or without it.

    Attributes:
        warm_start: Start from the closed form. Without it, networks learn from the genes' means
            on, and what they learn is always added, where two output genes can be judged. ``auto``
            trains from both, and keeps the latter where train perturbations that are held out gain
            by it beyond ``standard_errors``.
        epochs: Most epochs; 0 keeps the closed-form start as it is, and needs it.
        pairs_per_epoch: Most pairs of an epoch, drawn anew each time.
        batch_size: Pairs per step.
        least_steps: Steps of an epoch at least: small tables are gone through more than once.
        patience: Epochs without a lower validation error before training stops.
        lr: Learning rate of AdamW.
        weight_decay: Decoupled weight decay of matrices.
        clip_norm: Largest gradient norm.
        width: Embedding width D of the network's parts.
        n_folds: Parts of the train and validation perturbations that are held out in turn, each
            from a network of its own, to stop and to decide.
        standard_errors: How many standard errors the validation error must fall by, for steps to be
            added to the closed form; since several epochs and shares compete, one would often be
            exceeded by chance.
        n_cells: Control cells of a cell type whose mean state is read, at most.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    warm_start: bool | Literal["auto"] = True
    epochs: int = 8
    pairs_per_epoch: int = 15000
    batch_size: int = 256
    least_steps: int = 20
    patience: int = 3
    lr: float = 2e-4
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    width: int = 64
    n_folds: int = 3
    standard_errors: float = 2.0
    n_cells: int = 32

    def __post_init__(self) -> None:
        """Check the ranges."""
        counts = ("pairs_per_epoch", "least_steps", "batch_size", "patience", "n_cells", "width")
        _at_least(self, ("epochs",), 0 if self.warm_start is True else 1)
        _at_least(self, ("weight_decay",), 0)
        _at_least(self, ("n_folds",), 2)
        _at_least(self, counts, 1)
        _above_0(self, ("lr", "clip_norm"))
