"""Fits the members of a DyGenePT model on a task, one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from dygenept.errors import ConfigError, DataError
from dygenept.machine.threads import one_thread, suited_threads
from dygenept.model.choices import StepsEffect, member_choices
from dygenept.model.conditions import IndexArray, condition_set
from dygenept.model.contributions import cell_contributions
from dygenept.model.control_pool import ControlCells, control_cells
from dygenept.model.facet_contribution import facet_contribution
from dygenept.model.fitted_state import FittedState
from dygenept.model.judged_steps import LEVEL, judge_steps
from dygenept.model.network import DyGenePT, Parts
from dygenept.model.seeds import (
    measured_rng,
    member_seed,
    prediction_cells_rng,
    seeded_torch,
    start_rng,
)
from dygenept.model.shared_start import by_writer
from dygenept.model.start.beyond_chance import are_gains
from dygenept.model.start.closed_form import ClosedFormStart, keep_measured_of, start_in_closed_form
from dygenept.model.start.features import StartData
from dygenept.model.training.batches import BatchSource, perturbed_cells
from dygenept.model.training.checkpoint import Checkpoint, changing_tensors
from dygenept.model.training.loop import History, Trainer
from dygenept.model.training.options import TrainingOptions
from dygenept.model.training.precision import autocast
from dygenept.model.type_readout import saved_type_readout
from dygenept.plugin.code_identity import project_code
from dygenept.plugin.interfaces import CellEncoderContext, GeneEncoderContext
from dygenept.plugin.interfaces.offers import Chosen
from dygenept.types import (
    BoolArray,
    Condition,
    DoubleArray,
    GeneKnowledge,
    Progress,
    Runtime,
    Task,
)


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
    positions = controls.sample(options.n_prediction_cells, prediction_cells_rng(task.runtime.seed))
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
        chosen=(),
        weights=(),
    )
    networks: list[DyGenePT] = []
    histories: list[History] = []
    chosen: list[Chosen] = []
    variances: list[DoubleArray] = []
    for number in range(options.n_members):
        member = Member(number, task, parts, state, controls, positions)
        fitted = member.fitted() if options.warm_start != "auto" else member.best_of_both_starts()
        networks.append(fitted.network)
        histories.append(fitted.history)
        chosen.append(fitted.chosen)
        if fitted.start is not None:
            variances.append(fitted.start.readout.left_out_squares)
    return (
        replace(
            state,
            histories=tuple(histories),
            chosen=tuple(chosen),
            residual_variance=np.mean(variances, axis=0) if variances else None,
        ),
        networks,
    )


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


def restored_network(
    directory: Path, parts: Parts, state: FittedState, member: int, runtime: Runtime
) -> DyGenePT:
    """Build a member's network and give it the weights that were kept in a folder.

    Raises:
        ConfigError: If the parts do not fit the weights.
    """
    weights = state.weights[member]
    network = build_network(parts, state, member_seed(state.seed, member), runtime)
    network.by_type = saved_type_readout(weights)
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise ConfigError(
            f"the weights in {directory} are of other parts or sizes than those asked for: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error
    return network


@dataclass(frozen=True, slots=True)
class FittedMember:
    """What fitting a member gives.

    Attributes:
        network: The trained network.
        history: How training went.
        chosen: What it settled on.
        start: Its closed-form start; None without one.
        scores: pearson_delta_top20 of each validation condition that did not stop the training,
            (n,); empty where it is not asked.
    """

    network: DyGenePT
    history: History
    chosen: Chosen
    start: ClosedFormStart | None
    scores: DoubleArray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, slots=True)
class Member:
    """One network of an ensemble, to be started and trained.

    Attributes:
        number: Its position in the ensemble, from 0.
        task: What to learn from.
        parts: Factories of the four parts.
        state: What all members share.
        controls: All control cells of the task, which training draws from.
        positions: Those of them that predictions average over.
        variant: Ends the name of its checkpoint where a member is trained more than once; half of
            the validation perturbations then stop it, and the others score it.
    """

    number: int
    task: Task
    parts: Parts
    state: FittedState
    controls: ControlCells
    positions: IndexArray
    variant: str | None = None

    @property
    def seed(self) -> int:
        """Decides first weights, batches and dropout."""
        return member_seed(self.state.seed, self.number)

    @property
    def device(self) -> torch.device:
        """Where the network is trained."""
        return torch.device(self.task.runtime.device)

    def best_of_both_starts(self) -> FittedMember:
        """Train with the closed-form start and without it; keep what validates better.

        The closed form stays unless validation perturbations gain beyond chance without it: of few
        of them, the better mean is often that of the worse model. They have no part in the choice
        of epochs: the best of many epochs looks better than it is to those that chose it.
        """
        state, suffix = self.state, ("", "-random-start")
        tried = [
            replace(
                self,
                state=replace(state, options=replace(state.options, warm_start=warm)),
                variant=of,
            ).fitted()
            for warm, of in zip((True, False), suffix, strict=True)
        ]
        closed, other = tried
        if not len(closed.scores):
            return closed
        judges = np.flatnonzero(~_stops(self.task.val))
        gains = by_perturbation(
            [self.task.val[row] for row in judges], other.scores - closed.scores
        )
        best = other if are_gains(gains[:, None], level=LEVEL)[0] else closed
        scores = {
            "score_closed_form_start": float(closed.scores.mean()),
            "score_random_start": float(other.scores.mean()),
        }
        return replace(best, chosen={**best.chosen, **scores})

    def fitted(self) -> FittedMember:
        """Build, start and train the network; it ends in evaluation mode."""
        task = self.task
        network = build_network(self.parts, self.state, self.seed, task.runtime)
        network.to(self.device)
        symbols = task.gene_symbols
        with suited_threads(network, self.device):
            with autocast(self.state.options, self.device):
                network.prepare(self.controls.pool(symbols))
            trainer = judge = self._trainer(network)
            if self.variant is not None and trainer.validation is not None:
                trainer, judge = (
                    replace(trainer, validation=trainer.validation.take(np.flatnonzero(of)))
                    for of in (_stops(task.val), ~_stops(task.val))
                )
            data = StartData(trainer.source.conditions, self.controls, self.device)
            start = judged = None
            if self.state.options.warm_start:
                start = by_writer(
                    network, lambda: start_in_closed_form(network, data, start_rng(self.seed))
                )
            if start is not None and self._judges_steps:
                judged = judge_steps(network, trainer, data, start)
                if not judged.are_kept:
                    options = replace(trainer.options, epochs=0)
                    # A checkpoint of steps, kept by another machine's rounding, is not read.
                    trainer = replace(trainer, options=options, checkpoint=None)
            # The start is computed again on a resume, so this is the same before any step.
            effect = StepsEffect.before(network, self._known(), self.positions)
            history = trainer.train(network)
            network.eval()
            changed_share = effect.after(network, history)
            if start is not None:
                settled, is_trained = start, history.best_epoch > 0
                by_writer(
                    network,
                    lambda: keep_measured_of(
                        network, data, measured_rng(self.seed), settled, is_trained=is_trained
                    ),
                )
            scores = np.empty(0)
            if self.variant is not None:
                scores = judge.validation_scores(network).cpu().double().numpy()
            given = (network, effect.data, effect.positions)
            moved = {**facet_contribution(*given), **cell_contributions(*given)}
            choices = member_choices(start, history, changed_share, moved)
            if judged is not None:
                choices = {**choices, **judged.chosen}
            # The full pool's cache is freed, and a saved model finds the same cells.
            network.prepare(self.state.controls.pool(symbols))
        return FittedMember(network, history, choices, start, scores)

    @property
    def _judges_steps(self) -> bool:
        options = self.state.options
        return options.keep_steps == "if_better" and options.epochs > 0

    def _known(self) -> StartData:
        """Return train and validation conditions."""
        known = condition_set(self.task, slice(None), self.state.target_genes)
        return StartData(known, self.controls, self.device)

    def _trainer(self, network: DyGenePT) -> Trainer:
        task, options, genes = self.task, self.state.options, self.state.target_genes
        n_fit = len(task.known) if options.fit_on_validation else len(task.train)
        held = slice(n_fit, None)
        return Trainer(
            source=BatchSource(
                conditions=condition_set(task, slice(0, n_fit), genes),
                controls=self.controls,
                cells=perturbed_cells(task, n_fit) if options.target == "cell" else None,
                options=options,
            ),
            validation=condition_set(task, held, genes) if task.known[held] else None,
            positions=self.positions,
            options=options,
            seed=self.seed,
            device=self.device,
            report=self._reporter(),
            checkpoint=self._checkpoint(network),
            resume=task.runtime.resume,
        )

    def _reporter(self) -> Callable[[int, str], None]:
        options, runtime = self.state.options, self.task.runtime
        total = options.epochs * options.n_members

        def report(epoch: int, message: str) -> None:
            done = self.number * options.epochs + epoch
            runtime.report(Progress("epoch", done, total, message))

        return report

    def _checkpoint(self, network: DyGenePT) -> Checkpoint | None:
        """Name the checkpoint of a training by all that determines it."""
        task, state = self.task, self.state
        directory = task.runtime.checkpoint_dir
        if directory is None:
            return None
        digest = hashlib.sha256()
        shapes = {name: tuple(value.shape) for name, value in changing_tensors(network).items()}
        # What changes only memory and time may differ between a run and its resumption.
        plan = replace(
            state.options,
            checkpoint_seconds=0.0,
            accumulation_steps=1,
            gradient_checkpointing=False,
            compile=False,
            prefetch=0,
        )
        # Steps of other code are not gone on from: what they lead to would be of neither.
        code = project_code().sha256
        for item in (
            plan,
            state.seed,
            task.train,
            task.val,
            task.target_genes,
            task.gene_ids,
            code,
        ):
            digest.update(repr(item).encode())
        known = (state.knowledge.sha256, sorted(shapes.items()), self.parts.description)
        digest.update(repr(known).encode())
        if self.variant is not None:
            digest.update(repr(_stops(task.val).tolist()).encode())
        # Frozen weights come from elsewhere: another file under the same name is another training.
        for parameter in network.parameters():
            if not parameter.requires_grad:
                frozen = parameter.detach().cpu().contiguous().flatten()
                digest.update(frozen.view(torch.uint8).numpy().data)
        batch_codes = None if task.cells is None else task.cells.batch_codes
        for array in (task.means, task.control_means, task.de_indices, batch_codes):
            if array is not None:
                digest.update(np.ascontiguousarray(array).tobytes())
        return Checkpoint(
            directory / f"member-{self.number}{self.variant or ''}.safetensors", digest.hexdigest()
        )


def by_perturbation(conditions: Sequence[Condition], values: DoubleArray) -> DoubleArray:
    """Average the values of conditions, (n,), over the cell types of each perturbation."""
    _, groups = np.unique([item.label for item in conditions], return_inverse=True)
    means: DoubleArray = np.bincount(groups, values) / np.bincount(groups)
    return means


def _stops(conditions: Sequence[Condition]) -> BoolArray:
    """Tell which validation conditions stop a training whose start others are to judge, (n,).

    Every other perturbation in the order of their names, with all of its cell types.
    """
    _, groups = np.unique([item.label for item in conditions], return_inverse=True)
    stops: BoolArray = groups % 2 == 0
    return stops
