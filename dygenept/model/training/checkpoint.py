"""Training checkpoints: one safetensors file, its state in the header, replaced atomically."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from dygenept.errors import DataError
from dygenept.machine.reading import reading
from dygenept.machine.whole_files import remove_leftovers, replaced_whole
from dygenept.model.training.optimisation import WeightAverage

logger = logging.getLogger(__name__)

# A file of another format is ignored like one of other data, and training restarts.
FORMAT = "2"
Tensors = dict[str, torch.Tensor]


@dataclass(slots=True)
class TrainingState:
    """How far a training has come, besides weights and optimizer.

    Attributes:
        epoch: Epochs done.
        step: Steps done of the next one.
        total: Sum of the losses of these steps, a float32 scalar; None before the first.
        losses: Mean train loss of each epoch done.
        scores: Validation score of each; empty without validation.
        best_epoch: Epoch (from 1) whose weights are kept; 0 before any.
        best_score: Their validation score.
        best: Those weights, on the CPU; empty where the last weights are kept.
        is_finished: True when nothing is left to train.
    """

    epoch: int = 0
    step: int = 0
    total: torch.Tensor | None = None
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -math.inf
    best: Tensors = field(default_factory=dict)
    is_finished: bool = False


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint file.

    Attributes:
        path: The file.
        fingerprint: Hash of data, parts and options; a file with a different one is ignored.
    """

    path: Path
    fingerprint: str

    def save(
        self,
        state: TrainingState,
        *,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage,
    ) -> None:
        """Write everything that a resumed training needs.

        Batches, learning rate and dropout depend only on seed, epoch and step, so the position
        stands for the schedule and all random states.
        """
        from safetensors.torch import save_file

        tensors: Tensors = {f"weights.{n}": v for n, v in changing_tensors(network).items()}
        tensors |= {f"average.{name}": value for name, value in average.average.items()}
        tensors |= {f"best.{name}": value for name, value in state.best.items()}
        for index, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
        if state.total is not None:
            tensors["state.total"] = state.total
        header = {
            "epoch": state.epoch,
            "step": state.step,
            "losses": state.losses,
            "scores": state.scores,
            "best_epoch": state.best_epoch,
            # JSON knows no -inf, which is the score before any epoch.
            "best_score": state.best_score if math.isfinite(state.best_score) else None,
            "is_finished": state.is_finished,
            "n_updates": average.n_updates,
        }
        metadata = {"format": FORMAT, "fingerprint": self.fingerprint, "state": json.dumps(header)}
        # The file is written from the CPU and knows no strides; a resumed run may use another GPU.
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with replaced_whole(self.path, flush=True) as temporary:
            save_file(kept, temporary, metadata)

    def load(
        self,
        *,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage,
    ) -> TrainingState | None:
        """Put a checkpoint back.

        Returns:
            Its state, or None where there is no checkpoint of this training; a damaged file, or one
            of other data, options or code, is named in the log and ignored.
        """
        remove_leftovers(self.path)
        if not self.path.is_file():
            return None
        try:
            with reading(self.path, "a training checkpoint", mend="training restarts"):
                saved = self._read(network, optimizer, average)
        except DataError as error:
            logger.warning("%s", error)
            return None
        if saved is None:
            logger.warning(
                "checkpoint %s is of other data, parts, options or code; training restarts",
                self.path,
            )
            return None
        restore_tensors(network, saved.weights)
        for name, value in saved.average.items():
            average.average[name].copy_(value)
        average.n_updates = saved.n_updates
        # A file has the moments alone: rates and decays are those of the options at hand.
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": saved.moments, "param_groups": groups})
        return saved.state

    def _read(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, average: WeightAverage
    ) -> _Saved | None:
        """Read and check the file; None if it is of another training."""
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as file:
            metadata = file.metadata() or {}
            if (metadata.get("format"), metadata.get("fingerprint")) != (FORMAT, self.fingerprint):
                return None
            tensors: Tensors = {name: file.get_tensor(name) for name in file.keys()}
        # All is checked before anything is put back, so that a damaged file changes no weight.
        header = json.loads(metadata["state"])
        weights = dict(_under(tensors, "weights."))
        averaged = dict(_under(tensors, "average."))
        best = dict(_under(tensors, "best."))
        trained = changing_tensors(network)
        _check_fit(weights, trained)
        _check_fit(averaged, average.average)
        if best:
            _check_fit(best, trained)
        moments: dict[int, Tensors] = {}
        for name, value in _under(tensors, "optimizer."):
            index, _, key = name.partition(".")
            moments.setdefault(int(index), {})[key] = value
        parameters = [item for group in optimizer.param_groups for item in group["params"]]
        for number, values in moments.items():
            shapes = {key: tuple(value.shape) for key, value in values.items()}
            shape = tuple(parameters[number].shape)
            # AdamW has a count of steps and two moments per weight; torch would take any shapes.
            are_floats = all(value.is_floating_point() for value in values.values())
            if shapes != {"step": (), "exp_avg": shape, "exp_avg_sq": shape} or not are_floats:
                raise ValueError(f"optimizer.{number} has values of other shapes or types")
        state = TrainingState(
            epoch=_count(header["epoch"]),
            step=_count(header["step"]),
            # Between two epochs there is no sum yet.
            total=tensors["state.total"].to(_device_of(network)) if header["step"] else None,
            losses=[float(loss) for loss in header["losses"]],
            scores=[float(score) for score in header["scores"]],
            best_epoch=_count(header["best_epoch"]),
            best_score=-math.inf if header["best_score"] is None else float(header["best_score"]),
            best=best,
            is_finished=bool(header["is_finished"]),
        )
        return _Saved(state, weights, averaged, _count(header["n_updates"]), moments)


@dataclass(frozen=True, slots=True)
class _Saved:
    """What a checkpoint file contains, checked against what is trained."""

    state: TrainingState
    weights: Tensors
    average: Tensors
    n_updates: int
    moments: dict[int, Tensors]


def _check_fit(saved: Tensors, current: Tensors) -> None:
    shapes = [{name: (v.shape, v.dtype) for name, v in of.items()} for of in (saved, current)]
    if shapes[0] != shapes[1]:
        name = min(name for name, _ in set(shapes[0].items()) ^ set(shapes[1].items()))
        raise ValueError(f"{name} is missing, unknown, or of another shape or type")


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


@dataclass(slots=True)
class Saver:
    """Saves a training from time to time.

    Attributes:
        checkpoint: Where to; None saves nothing.
        seconds: Least time between two saves.
        write: Writes the current state of the training into a checkpoint.
        saved_at: When it was last saved.
    """

    checkpoint: Checkpoint | None
    seconds: float
    write: Callable[[Checkpoint], None]
    saved_at: float = field(default_factory=time.monotonic)

    def save(self, *, now: bool = False) -> None:
        """Save if it is time to, or at once."""
        if self.checkpoint is None:
            return
        if now or time.monotonic() - self.saved_at >= self.seconds:
            self.write(self.checkpoint)
            self.saved_at = time.monotonic()


def _device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def changing_tensors(network: nn.Module) -> Tensors:
    """Return what training changes: trainable parameters and persistent buffers, by name."""
    # Frozen weights are read from their own file again, and are most of a pretrained encoder.
    frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
    return {name: value for name, value in network.state_dict().items() if name not in frozen}


@torch.no_grad()
def restore_tensors(network: nn.Module, values: Tensors) -> None:
    """Copy saved values back into the network."""
    current = network.state_dict()
    for name, value in values.items():
        current[name].copy_(value)


def _under(tensors: Tensors, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    return (
        (name.removeprefix(prefix), value)
        for name, value in tensors.items()
        if name.startswith(prefix)
    )
