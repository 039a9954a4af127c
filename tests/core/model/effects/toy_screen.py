"""A screen in which a perturbation moves all output genes alike, as a table of effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dygenept.knowledge.likeness import FACETS_NAME, Likeness
from dygenept.model.effects.table_model import TableModel
from dygenept.model.training.options import TableOptions
from dygenept.types import Condition, KnownEffects, Perturbation, Task
from dygenept.types.effects import EffectKind

OPTIONS = TableOptions(
    epochs=6, lr=5e-3, width=16, batch_size=128, patience=6, weight_decay=0.0, least_steps=1
)
N_DIMS = 6
N_GENES = 40
N_PERTURBED = 60


def code_of(gene: str) -> np.ndarray:
    rng = np.random.default_rng(sum(ord(letter) * 31**at for at, letter in enumerate(gene)))
    drawn = rng.standard_normal(N_DIMS).astype(np.float32)
    unit: np.ndarray = drawn / np.linalg.norm(drawn)
    return unit


def likeness(genes: Sequence[str], task: Task) -> Likeness:
    """Facets alone, of which nothing is known for output genes."""
    rows = np.stack([code_of(gene) * gene.startswith("PERT") for gene in genes])
    return Likeness(tuple(genes), {FACETS_NAME: (rows.astype(np.float32),)})


def condition(label: str) -> Condition:
    return Condition(Perturbation(label, tuple(label.split("+"))), "K562")


def screen(
    *, noise: float, kind: EffectKind = "values", signal: float = 1.0
) -> tuple[Task, np.ndarray]:
    """A perturbation moves all genes alike, as its first dimension says; half is not measured."""
    rng = np.random.default_rng(3)
    labels = [f"PERT{number}" for number in range(N_PERTURBED)]
    moved = np.array([code_of(label)[0] for label in labels])[:, None]
    truth = np.repeat(signal * moved, N_GENES, axis=1)
    seen = truth + noise * rng.standard_normal(truth.shape)
    if kind == "labels":
        seen = (seen > 0).astype(np.float64)
    n_known = 48
    is_observed = rng.random((n_known, N_GENES)) < 0.5
    values = np.where(is_observed, seen[:n_known], 0.0)
    means = values.sum(axis=0) / (is_observed.sum(axis=0) + 2.0)
    effects = KnownEffects(kind, is_observed, None, means[None])
    known = tuple(condition(label) for label in labels)
    task = Task(
        dataset="toy",
        is_simulated=False,
        gene_ids=tuple(f"OUT{number}" for number in range(N_GENES)),
        gene_symbols=tuple(f"OUT{number}" for number in range(N_GENES)),
        target_genes=tuple(labels),
        cell_types=("K562",),
        control_means=np.zeros((1, N_GENES)),
        train=known[:n_known],
        val=(),
        means=np.where(is_observed, seen[:n_known], means),
        n_cells=is_observed.sum(axis=1).astype(np.int32),
        de_indices=np.full((n_known, 20), -1, dtype=np.int32),
        effects=effects,
    )
    return task, truth[n_known:]


Maker = Callable[..., TableModel]


def held_out() -> list[Condition]:
    return [condition(f"PERT{number}") for number in range(48, N_PERTURBED)]
