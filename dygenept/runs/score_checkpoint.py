"""Scores a model that was trained on cells on the pairs of a table of effects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.data.splits import save_split
from dygenept.errors import ConfigError, DataError, nearest
from dygenept.knowledge.genes.matching import rows_of
from dygenept.machine.checksums import file_sha256
from dygenept.machine.places import check_can_write
from dygenept.model.effects.of_cells import ChangesOnTable
from dygenept.model.resolve import ResolvedModel
from dygenept.plugin.environment import Environment
from dygenept.runs.run_context import RunRequest, check_request, cut_split, open_run
from dygenept.runs.runner import BenchOutcome
from dygenept.runs.saved_model import FILE_NAME, SavedModel, load_model, resolved_model
from dygenept.runs.score import score_folds
from dygenept.types import Condition, DoubleArray, PerturbationData, Progress, Split

if TYPE_CHECKING:
    from dygenept.model.estimator import DyGenePTModel

CONTROL = "ctrl"


def score_checkpoint(
    checkpoint: Path,
    request: RunRequest,
    environment: Environment,
    *,
    report: Callable[[Progress], None],
    allow_seen: bool = False,
) -> BenchOutcome:
    """Score a trained model on the held-out perturbations of a table, and keep the records.

    Args:
        checkpoint: Folder written by ``dygenept train``.
        request: The table, its split, metrics and results folder.
        environment: Registry, plugins and folders.
        report: Callback for progress.
        allow_seen: Score perturbations, too, that the model was trained on; its name then says so.

    Raises:
        ConfigError: If the data set is not a table, or no cell type of the model fits.
        DataError: If the model was trained on perturbations that the table holds out.
        DygeneptError: If the folder contains no model.
    """
    check_can_write(request.results)
    check_request(request, environment)
    model, manifest = load_model(checkpoint, environment, environment.runtime(report))
    if model.of_table is not None:
        raise ConfigError(
            f"the model in {checkpoint} was trained on a table of effects, and `score` takes one "
            f"of cells; score it with `dygenept evaluate --checkpoint {checkpoint}`"
        )
    context = open_run(
        request,
        environment,
        report,
        device="cpu",
        split_of=partial(cut_split, request, environment),
    )
    data, split = context.data, context.split
    if data.effects is None:
        raise ConfigError(
            f"{data.name!r} has cells, and a checkpoint is scored on a table of effects; score it "
            f"on its own cells with `dygenept evaluate --checkpoint {checkpoint}`"
        )
    seen = _seen(manifest, split)
    if seen and not allow_seen:
        shown = ", ".join(seen[:3]) + (", …" if len(seen) > 3 else "")
        raise DataError(
            f"the model was trained on {len(seen)} of the perturbations that the table holds out "
            f"({shown}), so a score would not be of unseen ones; train on a split that holds them "
            "out, or pass --allow-seen"
        )
    resolved = _resolved(checkpoint, (model, manifest), data, environment, n_seen=len(seen))
    save_split(split, request.results)
    return score_folds(context, [resolved] * len(split.folds), report)


@dataclass(frozen=True, slots=True)
class _Changes:
    """Predicted changes of a table's conditions, in the model's own cell types."""

    model: DyGenePTModel
    cell_types: dict[str, str]

    def __call__(self, conditions: Sequence[Condition]) -> DoubleArray:
        state = self.model.state
        asked = [
            Condition(item.perturbation, self.cell_types[item.cell_type]) for item in conditions
        ]
        rows = [state.cell_types.index(item.cell_type) for item in asked]
        predicted = self.model.predict(asked).expression
        return predicted - np.asarray(state.control_means)[rows]


def _resolved(
    checkpoint: Path,
    opened: tuple[DyGenePTModel, SavedModel],
    data: PerturbationData,
    environment: Environment,
    *,
    n_seen: int,
) -> ResolvedModel:
    model, manifest = opened
    state = model.state
    columns = rows_of(data.gene_symbols, state.gene_symbols)
    types = {name: _cell_type(name, state.cell_types) for name in data.cell_types}
    trained = resolved_model(manifest, environment)
    seen = f", {n_seen} seen" if n_seen else ""
    return replace(
        trained,
        name=f"{trained.name} (cells of {manifest.dataset.name}{seen})",
        needs_cells=False,
        config={
            **trained.config,
            "trained_on": manifest.dataset.sha256,
            "checkpoint_sha256": {
                path.name: file_sha256(path)
                for path in sorted(checkpoint.iterdir())
                if path.is_file() and path.name != FILE_NAME
            },
            "n_seen": n_seen,
        },
        build=partial(ChangesOnTable, _Changes(model, types), columns),
        assembly=None,  # it is fitted already, so nothing of an assembly is needed to build it
        uses_device=False,
        learns_from=("effects",),
    )


def _cell_type(name: str, known: Sequence[str]) -> str:
    """Return the model's cell type that a table's is predicted by.

    Raises:
        ConfigError: If the model has several, and none of this name.
    """
    if len(known) == 1:
        return known[0]
    found = [other for other in known if other.casefold() == name.casefold()]
    if not found:
        raise ConfigError(
            f"the model has no cell type {name!r}, but {', '.join(known)}; "
            f"{nearest(name, known)}; name the table's cell type so"
        )
    return found[0]


def _seen(manifest: SavedModel, split: Split) -> list[str]:
    """Name the held-out perturbations that a model was trained on."""
    fold = manifest.split.folds[manifest.fold]
    trained = {_genes(label) for label in (*fold.train, *fold.val)}
    held_out = {label for item in split.folds for label in item.test}
    return sorted(label for label in held_out if _genes(label) in trained)


def _genes(label: str) -> frozenset[str]:
    return frozenset(part for part in label.split("+") if part != CONTROL)
