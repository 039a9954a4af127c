"""DyGenePT on a table of effects: the closed-form start, and what gradient steps add to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from dygenept.machine.threads import suited_threads
from dygenept.model.conditions import gene_positions
from dygenept.model.control_pool import ControlCells
from dygenept.model.effects.gradients import ConditionTensors, Judged, Steps, added_to, train_folds
from dygenept.model.effects.options import TableOptions
from dygenept.model.effects.pair_network import NoCells, PairNetwork
from dygenept.model.effects.pairs import Pairs
from dygenept.model.effects.smoother import EffectSmoother, LikenessReader
from dygenept.model.network import DyGenePT, Parts
from dygenept.model.seeds import member_seed, prediction_cells_rng, seeded_torch
from dygenept.plugin.interfaces import CellEncoderContext, GeneEncoderContext
from dygenept.plugin.interfaces.offers import notes_of
from dygenept.types import (
    BoolArray,
    Condition,
    DoubleArray,
    KnownEffects,
    Predictions,
    Progress,
    Task,
)

# Width of the facets that graphs become; wider ones of texts stay.
FACET_WIDTH = 384


@dataclass(frozen=True, slots=True)
class TableParts:
    """What a model of a table is made of.

    Attributes:
        parts: Factories of the network's four parts.
        likeness: How alike genes are.
        options: How the network is trained.
    """

    parts: Parts
    likeness: LikenessReader
    options: TableOptions


class TableModel:
    """Fitted to the task of a table."""

    def __init__(self, made_of: TableParts) -> None:
        """Keep what it is made of."""
        self._of = made_of
        self.start = EffectSmoother(made_of.likeness)
        self.steps = Steps()
        self._network: PairNetwork | None = None
        self._chosen: dict[str, float | int | str] = {}
        self._task: Task | None = None
        self._pairs: Pairs | None = None

    @property
    def chosen(self) -> dict[str, float | int | str]:
        """What was chosen, and what steps changed, for records."""
        return {**self.start.chosen, **self._chosen}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of genes and cells."""
        network = self._network
        return (
            *self.start.notes,
            *(notes_of(network.network.cell_encoder) if network is not None else ()),
        )

    def fit(self, task: Task) -> None:
        """Fit the start, then train from it and keep what validation perturbations gain by.

        Raises:
            DataError: If the task is not that of a table.
        """
        self.start.fit(task)
        self._task = task
        options, seed = self._of.options, member_seed(task.runtime.seed, 0)
        self._network, self.steps = None, Steps()
        if options.epochs:
            self._pairs = pairs = Pairs.of(self.start.measured, self.start.left_out)
            network = self._built(task, seed)
            device = torch.device(task.runtime.device)
            network.to(device)
            with suited_threads(network, device):
                self.steps = train_folds(
                    network,
                    Judged(self._conditions(task.known), pairs, self._held_out(pairs, seed)),
                    options,
                    seed=seed,
                    report=lambda epoch, message: task.runtime.report(
                        Progress("epoch", epoch, options.epochs, message)
                    ),
                )
            network.eval()
            self._network = network
        self._chosen = {**self.steps.chosen(), "share_changed_by_steps": self._changed()}
        self._chosen["control_cells"] = 0
        if task.effects is not None and task.effects.controls is not None:
            self._chosen["control_cells"] = task.effects.controls.expression.shape[0]

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Predict every gene of each condition.

        Raises:
            DataError: If it is not fitted.
        """
        start = self.start.start_of(conditions)
        network, pairs = self._network, self._pairs
        if network is None or pairs is None or not self.steps.share:
            return Predictions(tuple(conditions), start.prediction)
        device = network.control.device
        of = self._conditions(conditions)
        added = np.zeros(start.means.shape)
        with suited_threads(network, device):
            for weights in self.steps.weights:
                network.load_state_dict(weights)
                found = network.every_output(of.gene_indices.to(device), of.cell_types.to(device))
                added += found.cpu().double().numpy() / len(self.steps.weights)
        sums = pairs.units.start(start) + self.steps.share * added
        return Predictions(tuple(conditions), pairs.units.prediction(sums))

    def _changed(self) -> float:
        """Return the share of the variance of measured pairs' predictions that steps changed."""
        network, pairs, task = self._network, self._pairs, self._task
        if network is None or pairs is None or task is None or not self.steps.share:
            return 0.0
        added = np.zeros(len(pairs.rows))
        with suited_threads(network, network.control.device):
            for weights in self.steps.weights:
                network.load_state_dict(weights)
                found = added_to(network, self._conditions(task.known), pairs)
                added += found / len(self.steps.weights)
        before = pairs.units.prediction(pairs.start)
        after = pairs.units.prediction(pairs.start + self.steps.share * added)
        variance = float(after.var())
        return float((after - before).var()) / variance if variance > 0 else 0.0

    def _conditions(self, conditions: Sequence[Condition]) -> ConditionTensors:
        assert self._task is not None
        types = [self._task.cell_types.index(item.cell_type) for item in conditions]
        return ConditionTensors(
            gene_positions(conditions, self.start.likeness.genes),
            torch.tensor(types, dtype=torch.int64),
        )

    def _held_out(self, pairs: Pairs, seed: int) -> list[BoolArray]:
        """Return the pairs of the perturbations that each network is judged by."""
        n_groups = int(self.start.measured.groups.max()) + 1
        n_folds = min(self._of.options.n_folds, n_groups)
        fold_of = np.random.default_rng(seed).permutation(n_groups) % n_folds
        return [fold_of[pairs.groups] == fold for fold in range(n_folds)]

    def _built(self, task: Task, seed: int) -> PairNetwork:
        """Build the untrained network over what the start knows of genes."""
        assert task.effects is not None
        likeness, width = self.start.likeness, self._of.options.width
        knowledge, tells_of_outputs = likeness.as_facets(FACET_WIDTH)
        place = {gene: row for row, gene in enumerate(likeness.genes)}
        outputs = torch.tensor([place[gene] for gene in task.gene_symbols], dtype=torch.int64)
        controls = task.effects.controls
        parts = self._of.parts
        if controls is None:
            parts = replace(parts, cell_encoder=lambda context: NoCells(context.width))
        symbols = () if controls is None else controls.gene_symbols
        targets = tuple(sorted({gene for item in task.known for gene in item.genes}))
        with seeded_torch(seed, torch.device("cpu")):
            network = DyGenePT(
                parts,
                genes=GeneEncoderContext(knowledge, likeness.genes, width),
                cells=CellEncoderContext(symbols, targets, width, seed, task.runtime),
                n_genes=1,
            )
            pairs = PairNetwork(
                network,
                output_genes=outputs,
                tells_of_outputs=torch.from_numpy(tells_of_outputs),
                control=torch.from_numpy(control_means(task).astype(np.float32)),
                width=width,
            )
        if controls is not None:
            cells = ControlCells(
                controls.expression, controls.cell_type_codes, len(task.cell_types)
            )
            rng = prediction_cells_rng(task.runtime.seed)
            few = cells.take(cells.sample(self._of.options.n_cells, rng))
            pairs.prepare(few, controls.gene_symbols)
        return pairs


def control_means(task: Task) -> DoubleArray:
    """Return the mean expression of each output gene in control cells, (n_types, G).

    Zeros without cells, and for a gene that they do not have.
    """
    effects: KnownEffects | None = task.effects
    means = np.zeros((len(task.cell_types), len(task.gene_symbols)))
    if effects is None or effects.controls is None:
        return means
    controls = effects.controls
    place = {gene: column for column, gene in reversed(list(enumerate(controls.gene_symbols)))}
    here = [row for row, gene in enumerate(task.gene_symbols) if gene in place]
    columns = [place[task.gene_symbols[row]] for row in here]
    for code in range(len(task.cell_types)):
        own = controls.expression[controls.cell_type_codes == code]
        means[code, here] = np.asarray(own.mean(axis=0)).ravel()[columns]
    return means
