"""Options of gradient steps on a table of effects; plain values, checked at construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions:
    """How the network is trained on a table, from the closed-form start on.

    Attributes:
        epochs: Most epochs; 0 keeps the closed-form start as it is.
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
            added; since several epochs and shares compete, one would often be exceeded by chance.
        n_cells: Control cells of a cell type whose mean state is read, at most.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

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
        least = {"epochs": 0, "weight_decay": 0, "n_folds": 2}
        counts = ("pairs_per_epoch", "least_steps", "batch_size", "patience", "n_cells", "width")
        for name, bound in {**least, **dict.fromkeys(counts, 1)}.items():
            if not getattr(self, name) >= bound:
                raise ValueError(f"{name} must be at least {bound}, not {getattr(self, name)}")
        for name in ("lr", "clip_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
