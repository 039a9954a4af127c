"""What a child written in Python may use: it reads the task's files and writes the answer.

A copy lies beside every child's script as ``dygenept_child.py``; nobody has to import it. It needs
Python 3.10 and numpy, imports nothing from the harness, and runs in the working folder.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

CONTROL = "ctrl"
GENE_VECTORS = "gene_vectors.npz"


@dataclass(frozen=True)
class Asked:
    """A prediction that is asked for.

    Attributes:
        perturbation: Label, such as ``KLF1+MAPK1``.
        genes: Target genes.
        cell_type: Cell type.
    """

    perturbation: str
    genes: tuple[str, ...]
    cell_type: str


@dataclass(frozen=True)
class Order:
    """What ``task.json`` and ``split.json`` say; see ``docs/isolated.md``."""

    seed: int
    device: str
    options: Mapping[str, Any]
    cell_types: tuple[str, ...]
    gene_ids: tuple[str, ...]
    gene_symbols: tuple[str, ...]
    predict: tuple[Asked, ...]
    split: Mapping[str, list[str]]


def read_order() -> Order:
    """Read what is asked for."""
    task = json.loads(Path("task.json").read_text(encoding="utf-8"))
    return Order(
        seed=task["seed"],
        device=task["device"],
        options=task["options"],
        cell_types=tuple(task["cell_types"]),
        gene_ids=tuple(task["gene_ids"]),
        gene_symbols=tuple(task["gene_symbols"]),
        predict=tuple(
            Asked(item["perturbation"], tuple(item["genes"]), item["cell_type"])
            for item in task["predict"]
        ),
        split=json.loads(Path("split.json").read_text(encoding="utf-8")),
    )


def target_genes(label: str) -> tuple[str, ...]:
    """Return the target genes of a label: none for ``ctrl``."""
    return tuple(gene for gene in label.split("+") if gene != CONTROL)


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, numpy and, where it is installed, torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        import torch
    except ModuleNotFoundError:
        return
    torch.manual_seed(seed)


@dataclass(frozen=True)
class Profiles:
    """Mean log1p expression of the train and validation conditions, and of control cells.

    Attributes:
        labels: Perturbation of each condition, (n,).
        cell_types: Its cell type, (n,).
        parts: ``train`` or ``val``, (n,).
        means: Its mean expression, (n, G).
        controls: Mean expression of a cell type's control cells, (G,), by cell type.
    """

    labels: tuple[str, ...]
    cell_types: tuple[str, ...]
    parts: tuple[str, ...]
    means: np.ndarray
    controls: Mapping[str, np.ndarray]

    @property
    def deltas(self) -> np.ndarray:
        """Mean of each condition minus the control of its cell type, (n, G)."""
        basal = [self.controls[name] for name in self.cell_types]
        return np.asarray(self.means - np.asarray(basal).reshape(self.means.shape))

    def mean_perturbed(self, cell_type: str) -> np.ndarray:
        """Mean over a cell type's conditions, (G,): what stands in for a prediction.

        A cell type without any takes the others' mean change on its own control; without any
        condition at all, it is the control.
        """
        here = np.array([name == cell_type for name in self.cell_types], dtype=bool)
        if here.any():
            return np.asarray(self.means[here].mean(axis=0))
        if not len(here):
            return np.asarray(self.controls[cell_type])
        return np.asarray(self.controls[cell_type] + self.deltas.mean(axis=0))


def read_profiles() -> Profiles:
    """Read ``means.tsv`` and ``controls.tsv``."""
    known, means = _read_table(Path("means.tsv"), n_labels=4)
    types, controls = _read_table(Path("controls.tsv"), n_labels=1)
    columns = list(zip(*known, strict=True)) or [(), (), (), ()]
    return Profiles(
        labels=tuple(columns[0]),
        cell_types=tuple(columns[1]),
        parts=tuple(columns[2]),
        means=means,
        controls={row[0]: controls[number] for number, row in enumerate(types)},
    )


def profiles_of(cells: Any) -> Profiles:
    """Average the cells of ``train.h5ad`` in double precision.

    Where they have a column of batches, means are without batch effects, as those of the harness: a
    cell minus how far the control cells of its batch lie from all of its cell type.
    """
    columns = ("condition", "cell_type", "part")
    condition, cell_type, part = (cells.obs[name].astype(str).to_numpy() for name in columns)
    is_control = part == "control"
    controls = {
        name: _mean(cells.X, np.flatnonzero(is_control & (cell_type == name)))
        for name in sorted(set(cell_type[is_control]))
    }
    batch = cells.obs["batch"].to_numpy() if "batch" in cells.obs else np.full(len(part), -1)
    # A number of a batch is that of a cell type too.
    offsets = {}
    for number in sorted(set(batch[is_control]) - {-1}):
        own = np.flatnonzero(is_control & (batch == number))
        offsets[number] = _mean(cells.X, own) - controls[cell_type[own[0]]]
    found = sorted(set(zip(condition[~is_control], cell_type[~is_control], strict=True)))
    means, parts = [], []
    for label, name in found:
        rows = np.flatnonzero((condition == label) & (cell_type == name) & ~is_control)
        mean = _mean(cells.X, rows)
        for number, n_cells in zip(*np.unique(batch[rows], return_counts=True), strict=True):
            if number >= 0:
                mean -= n_cells / len(rows) * offsets[number]
        means.append(mean)
        parts.append(str(part[rows[0]]))
    return Profiles(
        labels=tuple(label for label, _ in found),
        cell_types=tuple(name for _, name in found),
        parts=tuple(parts),
        means=np.asarray(means).reshape(len(found), cells.n_vars),
        controls=controls,
    )


def read_gene_vectors() -> dict[str, np.ndarray]:
    """Read ``gene_vectors.npz``: a vector (D,) by gene; genes without one are absent."""
    with np.load(GENE_VECTORS, allow_pickle=False) as found:
        known = found["is_known"]
        vectors = found["vectors"].astype(np.float32)[known]
        return dict(zip(found["genes"][known].tolist(), vectors, strict=True))


@dataclass
class Answer:
    """Collects predictions and notes, and writes them as the harness reads them.

    Attributes:
        asked: What was predicted, in order.
        expression: Mean log1p expression of each, (G,).
        notes: Sentences for the record and the user.
    """

    asked: list[Asked] = field(default_factory=list)
    expression: list[np.ndarray] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, asked: Asked, expression: np.ndarray) -> None:
        """Add a prediction, (G,)."""
        self.asked.append(asked)
        self.expression.append(np.asarray(expression, dtype=np.float64).ravel())

    def add_mean(self, asked: Asked, profiles: Profiles, why: str) -> None:
        """Add the mean of the train perturbations where the model has no prediction, and say so."""
        self.notes.append(
            f"{asked.perturbation}: {why}; the mean of the train perturbations stands in"
        )
        self.add(asked, profiles.mean_perturbed(asked.cell_type))

    def write(self) -> None:
        """Write ``predictions.npz`` and ``notes.txt``."""
        np.savez(
            "predictions.npz",
            perturbation=np.array([asked.perturbation for asked in self.asked]),
            cell_type=np.array([asked.cell_type for asked in self.asked]),
            expression=np.asarray(self.expression, dtype=np.float64),
        )
        Path("notes.txt").write_text("\n".join(dict.fromkeys(self.notes)), encoding="utf-8")


def _mean(expression: Any, rows: np.ndarray) -> np.ndarray:
    return np.asarray(expression[rows].mean(axis=0, dtype=np.float64)).ravel()


def _read_table(path: Path, *, n_labels: int) -> tuple[list[Sequence[str]], np.ndarray]:
    """Split a table without quotes into its labels and its numbers, (n, G)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = [line.split("\t") for line in lines]
    width = len(cells[0]) - n_labels
    numbers = [np.array(row[n_labels:], dtype=np.float64) for row in cells[1:]]
    return [row[:n_labels] for row in cells[1:]], np.asarray(numbers).reshape(len(numbers), width)
