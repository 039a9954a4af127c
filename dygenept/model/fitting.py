"""Fits the members of a DyGenePT model on a task."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from dygenept.errors import DataError
from dygenept.machine.threads import one_thread, suited_threads
from dygenept.model.assembly import DyGenePT, Parts
from dygenept.model.control_pool import ControlCells, control_cells
from dygenept.model.fitted import FittedState
from dygenept.model.start.warm_start import warm_start
from dygenept.model.training.batches import BatchSource, condition_set, perturbed_cells
from dygenept.model.training.checkpoint import Checkpoint, changing_tensors
from dygenept.model.training.loop import History, Trainer, seeded_torch
from dygenept.model.training.options import TrainingOptions
from dygenept.plugin.interfaces import CellEncoderContext, GeneEncoderContext
from dygenept.types import GeneKnowledge, Progress, Runtime, Task


def fit_members(
    task: Task,
    *,
    parts: Parts,
    knowledge: GeneKnowledge,
    width: int,
    options: TrainingOptions,
) -> tuple[FittedState, list[DyGenePT]]:
    """Train every member of a model.

    Args:
        task: What to learn from.
        parts: Factories of the four parts.
        knowledge: Facets of the task's target genes.
        width: Embedding width D.
        options: How to train.

    Returns:
        What prediction needs, and the trained networks, prepared with the control cells that
        predictions average over.

    Raises:
        DataError: If the task carries no cells, no control cells or no train condition.
        DygeneptError: If training diverges.
    """
    if task.cells is None:
        raise DataError("DyGenePT reads single cells; the task carries none")
    if not task.train:
        raise DataError("the task has no train perturbation to learn from")
    controls = control_cells(task.cells, n_cell_types=len(task.cell_types))
    positions = controls.sample(
        options.n_prediction_cells, np.random.default_rng([task.runtime.seed, 1])
    )
    state = FittedState(
        gene_ids=task.gene_ids,
        gene_symbols=task.gene_symbols,
        target_genes=task.target_genes,
        cell_types=task.cell_types,
        control_means=task.control_means,
        controls=controls.take(positions),
        knowledge=knowledge,
        width=width,
        seed=task.runtime.seed,
        options=options,
        histories=(),
        weights=(),
    )
    networks: list[DyGenePT] = []
    histories: list[History] = []
    for member in range(options.n_members):
        network = build_network(parts, state, member_seed(state.seed, member), task.runtime)
        network.to(torch.device(task.runtime.device))
        with suited_threads(network, torch.device(task.runtime.device)):
            network.prepare(controls.pool(task.gene_symbols))
            histories.append(
                _trained(task, network, parts, state, controls, positions=positions, member=member)
            )
            # The full pool's cache is freed, and a saved model finds the same cells.
            network.prepare(state.controls.pool(task.gene_symbols))
        networks.append(network)
    return replace(state, histories=tuple(histories)), networks


def _trained(
    task: Task,
    network: DyGenePT,
    parts: Parts,
    state: FittedState,
    controls: ControlCells,
    *,
    positions: npt.NDArray[np.int64],
    member: int,
) -> History:
    """Start a network in closed form where asked, then train it; it ends in evaluation mode."""
    trainer = _trainer(
        task,
        network,
        state,
        controls,
        positions=positions,
        member=member,
        checkpoint=_checkpoint(task, network, parts, state, member),
    )
    if state.options.warm_start:
        warm_start(
            network,
            gene_indices=trainer.source.conditions.gene_indices,
            cell_types=trainer.source.conditions.cell_types,
            deltas=trainer.source.conditions.deltas,
            controls=controls,
            rng=np.random.default_rng([trainer.seed, 3]),
            device=trainer.device,
        )
    history = trainer.train(network)
    network.eval()
    return history


def build_network(
    parts: Parts, state: FittedState, seed: int, runtime: Runtime | None = None
) -> DyGenePT:
    """Build an untrained network on the CPU; the same seed gives the same weights."""
    with one_thread(), seeded_torch(seed, torch.device("cpu")):
        return DyGenePT(
            parts,
            genes=GeneEncoderContext(state.knowledge, state.target_genes, state.width),
            cells=CellEncoderContext(
                gene_symbols=state.gene_symbols,
                target_genes=state.target_genes,
                width=state.width,
                seed=seed,
                runtime=runtime,
            ),
            n_genes=len(state.gene_ids),
        )


def _trainer(
    task: Task,
    network: DyGenePT,
    state: FittedState,
    controls: ControlCells,
    *,
    positions: npt.NDArray[np.int64],
    member: int,
    checkpoint: Checkpoint | None,
) -> Trainer:
    options = state.options
    n_fit = len(task.known) if options.fit_on_validation else len(task.train)
    held = slice(n_fit, None)
    return Trainer(
        source=BatchSource(
            conditions=condition_set(task, slice(0, n_fit), state.target_genes),
            controls=controls,
            cells=perturbed_cells(task, n_fit) if options.target == "cell" else None,
            options=options,
        ),
        validation=condition_set(task, held, state.target_genes) if task.known[held] else None,
        positions=positions,
        options=options,
        seed=member_seed(state.seed, member),
        device=torch.device(task.runtime.device),
        report=_reporter(task.runtime, member, options),
        checkpoint=checkpoint,
        resume=task.runtime.resume,
    )


def member_seed(seed: int, member: int) -> int:
    """Derive a member's seed."""
    return int(np.random.SeedSequence([seed, 2, member]).generate_state(1)[0])


def _reporter(
    runtime: Runtime, member: int, options: TrainingOptions
) -> Callable[[int, str], None]:
    total = options.epochs * options.n_members

    def report(epoch: int, message: str) -> None:
        runtime.report(Progress("epoch", member * options.epochs + epoch, total, message))

    return report


def _checkpoint(
    task: Task,
    network: DyGenePT,
    parts: Parts,
    state: FittedState,
    member: int,
) -> Checkpoint | None:
    """Name the checkpoint of a training by all that determines it."""
    directory = task.runtime.checkpoint_dir
    if directory is None:
        return None
    digest = hashlib.sha256()
    shapes = {name: tuple(value.shape) for name, value in changing_tensors(network).items()}
    # What changes memory and time alone may differ between a run and its resumption.
    plan = replace(
        state.options,
        checkpoint_seconds=0.0,
        accumulation_steps=1,
        gradient_checkpointing=False,
        compile=False,
        prefetch=0,
    )
    for part in (plan, task.runtime.seed, task.train, task.val, task.target_genes, task.gene_ids):
        digest.update(repr(part).encode())
    known = (state.knowledge.sha256, sorted(shapes.items()), parts.description)
    digest.update(repr(known).encode())
    # Frozen weights come from elsewhere: another file under the same name is another training.
    for parameter in network.parameters():
        if not parameter.requires_grad:
            frozen = parameter.detach().cpu().contiguous().flatten()
            digest.update(frozen.view(torch.uint8).numpy().data)
    for array in (task.means, task.control_means, task.de_indices):
        digest.update(np.ascontiguousarray(array).tobytes())
    return Checkpoint(directory / f"member-{member}.safetensors", digest.hexdigest())
