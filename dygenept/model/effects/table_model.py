"""DyGenePT on a table of effects: the closed-form start, and what gradient steps add to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dygenept.errors import ConfigError, DataError
from dygenept.knowledge.likeness import Likeness
from dygenept.machine.threads import suited_threads
from dygenept.model.conditions import gene_positions
from dygenept.model.control_pool import ControlCells
from dygenept.model.effects.fitted_table import FittedTable, NetworkPlan
from dygenept.model.effects.gradients import ConditionTensors, Judged, Steps, added_to, train_folds
from dygenept.model.effects.kept_table import read_table, write_table
from dygenept.model.effects.pair_network import PairNetwork
from dygenept.model.effects.pairs import Pairs
from dygenept.model.effects.smoother import EffectSmoother, LikenessReader
from dygenept.model.effects.starts import (
    NOT_JUDGED,
    TableStart,
    TrainedFrom,
    best_of,
    starts_of,
)
from dygenept.model.network import Parts
from dygenept.model.seeds import member_seed, prediction_cells_rng
from dygenept.model.training.options import TableOptions
from dygenept.plugin.interfaces.offers import Chosen, notes_of
from dygenept.types import (
    BoolArray,
    Condition,
    DoubleArray,
    EffectControls,
    FloatArray,
    KnownEffects,
    Predictions,
    Progress,
    Runtime,
    Task,
)

logger = logging.getLogger(__name__)

# Output genes over which attention is averaged, at most.
MOST_EXPLAINED = 256

LikenessOfMore = Callable[[Likeness, Sequence[str], Runtime], Likeness]


@dataclass(frozen=True, slots=True)
class TableParts:
    """What a model of a table is made of.

    Attributes:
        parts: Factories of the network's four parts.
        likeness: How alike genes are.
        options: How the network is trained.
        more: Gives the likeness of genes that are met after training; None where such genes are
            like nothing.
    """

    parts: Parts
    likeness: LikenessReader
    options: TableOptions
    more: LikenessOfMore | None = None


class TableModel:
    """Fitted to the task of a table, or read from a folder."""

    def __init__(self, made_of: TableParts) -> None:
        """Keep what it is made of."""
        self._of = made_of
        self.start = EffectSmoother(made_of.likeness)
        self.steps = Steps()
        self._runtime = Runtime()
        self._fitted: FittedTable | None = None
        # Built when it is first needed, over these genes.
        self._network: PairNetwork | None = None
        self._network_genes: tuple[str, ...] = ()

    @property
    def fitted(self) -> FittedTable:
        """What it predicts from.

        Raises:
            DataError: If it is not trained yet.
        """
        if self._fitted is None:
            raise DataError("the model is not trained yet; call fit or load first")
        return self._fitted

    @property
    def chosen(self) -> Chosen:
        """What was chosen, and what steps changed, for records."""
        return self.fitted.chosen

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of genes and cells."""
        return self.fitted.notes

    def fit(self, task: Task) -> None:
        """Fit the start, then train from it and keep what validation perturbations gain by.

        Raises:
            DataError: If the task is not that of a table.
        """
        self.start.fit(task)
        assert task.effects is not None
        self._runtime = task.runtime
        self.steps = Steps()
        likeness = self.start.fitted.likeness
        options, seed = self._of.options, member_seed(task.runtime.seed, 0)
        plan = network_plan(task, len(likeness.genes), options, seed)
        trained = [
            self._trained_from(start, task, plan) for start in starts_of(self.start, options)
        ]
        best, judged = best_of(trained)
        self.steps, self._network = best.steps, best.network
        cells, pairs = task.effects.controls, best.start.pairs
        self._fitted = FittedTable(
            kind=task.effects.kind,
            gene_ids=task.gene_ids,
            target_genes=task.target_genes,
            start=best.start.fitted,
            plan=plan,
            units=pairs.units,
            share=self.steps.share,
            weights=self.steps.weights,
            chosen={},
            notes=(
                *self.start.notes,
                *((NOT_JUDGED,) if not (best.start.is_closed_form or self.steps.weights) else ()),
                *(notes_of(best.network.network.cell_encoder) if best.network is not None else ()),
            ),
        )
        self._fitted = replace(
            self._fitted,
            chosen={
                **best.start.chosen,
                **self.steps.chosen(),
                **judged,
                **self._changed(pairs),
                "control_cells": 0 if cells is None else cells.expression.shape[0],
            },
        )

    def _trained_from(self, start: TableStart, task: Task, plan: NetworkPlan) -> TrainedFrom:
        options, pairs = start.options, start.pairs
        if not options.epochs:
            return TrainedFrom(start, Steps(), None)
        network = self._built(plan, start.fitted.likeness)
        with suited_threads(network, network.control.device):
            steps = train_folds(
                network,
                Judged(
                    self._tensors(task.known, task.cell_types),
                    pairs,
                    self._held_out(pairs, plan.seed),
                ),
                options,
                seed=plan.seed,
                report=lambda epoch, message: task.runtime.report(
                    Progress("epoch", epoch, options.epochs, message)
                ),
            )
        return TrainedFrom(start, steps, network.eval())

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Predict every gene of each condition.

        Raises:
            DataError: If it is not fitted, or a cell type is not the table's.
        """
        self.meet([gene for item in conditions for gene in item.genes])
        fitted = self.fitted
        self._check_types(conditions)
        start = fitted.start.of(conditions)
        if not fitted.share:
            return Predictions(tuple(conditions), start.prediction)
        network = self._ready()
        device = network.control.device
        of = self._tensors(conditions, fitted.start.cell_types)
        added = np.zeros(start.means.shape)
        with suited_threads(network, device):
            for weights in fitted.weights:
                network.load_state_dict(dict(weights))
                found = network.every_output(of.gene_indices.to(device), of.cell_types.to(device))
                added += found.cpu().double().numpy() / len(fitted.weights)
        sums = fitted.units.start(start) + fitted.share * added
        return Predictions(tuple(conditions), fitted.units.prediction(sums))

    def attention(self, conditions: Sequence[Condition]) -> tuple[tuple[str, ...], FloatArray]:
        """Return the attention over facets that steps led to.

        Returns:
            The K facets' names, and weights, (n, P, K): the mean over heads, networks and at most
            256 output genes; zeros past a condition's last gene and for a gene without a known
            facet. No facet where nothing of the networks is added to the start.

        Raises:
            DataError: As ``predict``.
        """
        self.meet([gene for item in conditions for gene in item.genes])
        self._check_types(conditions)
        fitted = self.fitted
        n_genes = max((len(item.genes) for item in conditions), default=0)
        if not fitted.share:
            return (), np.zeros((len(conditions), n_genes, 0), dtype=np.float32)
        network = self._ready()
        device = network.control.device
        of = self._tensors(conditions, fitted.start.cell_types)
        likeness, n_outputs = fitted.start.likeness, len(fitted.start.gene_symbols)
        outputs = np.unique(np.linspace(0, n_outputs - 1, min(n_outputs, MOST_EXPLAINED)).round())
        columns = torch.from_numpy(outputs.astype(np.int64)).to(device)
        total = np.zeros((*of.gene_indices.shape, len(likeness.facet_names)), dtype=np.float32)
        with suited_threads(network, device):
            for weights in fitted.weights:
                network.load_state_dict(dict(weights))
                found = network.attention_for(
                    of.gene_indices.to(device), of.cell_types.to(device), columns
                )
                total += found.cpu().numpy() / np.float32(len(fitted.weights))
        return likeness.facet_names, total

    def meet(self, genes: Sequence[str]) -> None:
        """Read what is known of genes that training had not met."""
        fitted = self.fitted
        likeness = fitted.start.likeness
        new = tuple(sorted(set(genes) - set(likeness.genes)))
        if not new or self._of.more is None:
            return
        more = self._of.more(likeness, new, self._runtime)
        self._fitted = fitted.with_likeness(likeness.followed_by(more))
        self._network = None

    def known_genes(self, genes: Sequence[str]) -> tuple[str, ...]:
        """Return those of which anything is known."""
        self.meet(genes)
        known = self.fitted.start.likeness.known_genes()
        return tuple(gene for gene in genes if gene in known)

    def save(self, directory: Path) -> None:
        """Write it into a folder, without genes that it met later."""
        write_table(self.fitted, directory)

    @classmethod
    def load(cls, directory: Path, made_of: TableParts, runtime: Runtime) -> TableModel:
        """Read a folder that ``save`` wrote.

        Raises:
            DataError: If it is damaged.
            ConfigError: If the parts do not fit the saved weights.
        """
        model = cls(made_of)
        model._runtime = runtime
        model._fitted = read_table(directory)
        if model._fitted.share:
            try:
                network = model._ready()
                for weights in model._fitted.weights:
                    network.load_state_dict(dict(weights))
            except RuntimeError as error:
                raise ConfigError(
                    f"the weights in {directory} are of other parts or sizes than those asked "
                    f"for: {' '.join(str(error).split())[:300]}"
                ) from error
        return model

    def _changed(self, pairs: Pairs) -> Chosen:
        """Return what steps changed of the predictions of measured pairs, for records."""
        fitted = self.fitted
        if not fitted.share:
            return {"share_changed_by_steps": 0.0, "share_reordered_by_steps": 0.0}
        network = self._ready()
        known = self._tensors(fitted.start.known, fitted.start.cell_types)
        added = np.zeros(len(pairs.rows))
        with suited_threads(network, network.control.device):
            for weights in fitted.weights:
                network.load_state_dict(dict(weights))
                added += fitted.share * added_to(network, known, pairs) / len(fitted.weights)
        before = pairs.units.prediction(pairs.start)
        after = pairs.units.prediction(pairs.start + added)
        variance = float(after.var())
        changed = float((after - before).var()) / variance if variance > 0 else 0.0
        return {
            "share_changed_by_steps": changed,
            "share_reordered_by_steps": pairs.share_reordered(added),
        }

    def _tensors(
        self, conditions: Sequence[Condition], cell_types: Sequence[str]
    ) -> ConditionTensors:
        types = [cell_types.index(item.cell_type) for item in conditions]
        return ConditionTensors(
            gene_positions(conditions, self._network_genes),
            torch.tensor(types, dtype=torch.int64),
        )

    def _held_out(self, pairs: Pairs, seed: int) -> list[BoolArray]:
        """Return the pairs of the perturbations that each network is judged by."""
        n_groups = int(self.start.measured.groups.max()) + 1
        n_folds = min(self._of.options.n_folds, n_groups)
        fold_of = np.random.default_rng(seed).permutation(n_groups) % n_folds
        return [fold_of[pairs.groups] == fold for fold in range(n_folds)]

    def _ready(self) -> PairNetwork:
        """Return the network over all genes that are known of, with any weights."""
        if self._network is None:
            fitted = self.fitted
            network = self._built(fitted.plan, fitted.start.likeness)
            try:
                network.load_state_dict(dict(fitted.weights[0]))
            except RuntimeError:
                if len(fitted.start.likeness.genes) == fitted.plan.n_fitted:
                    raise
                # An encoder with weights of its own per gene has none for a new one.
                logger.warning(
                    "the gene encoder has no weights for genes that it was not fitted with; the "
                    "network takes them as genes of which nothing is known"
                )
                likeness = fitted.start.likeness.first(fitted.plan.n_fitted)
                network = self._built(fitted.plan, likeness)
            self._network = network.eval()
        return self._network

    def _built(self, plan: NetworkPlan, likeness: Likeness) -> PairNetwork:
        self._network_genes = likeness.genes
        network = plan.build(self._of.parts, likeness, self._runtime)
        plan.prepare(network)
        return network.to(torch.device(self._runtime.device))

    def _check_types(self, conditions: Sequence[Condition]) -> None:
        known = self.fitted.start.cell_types
        for item in conditions:
            if item.cell_type not in known:
                raise DataError(
                    f"cell type {item.cell_type!r} was not in the table, which has "
                    f"{', '.join(known)}"
                )


def network_plan(task: Task, n_genes: int, options: TableOptions, seed: int) -> NetworkPlan:
    """Return what the network of a task is built over.

    Args:
        task: The task of a table.
        n_genes: Genes of its likeness.
        options: How it is trained.
        seed: Seed of its first weights.
    """
    assert task.effects is not None
    controls = task.effects.controls
    if controls is not None:
        cells = ControlCells(controls.expression, controls.cell_type_codes, len(task.cell_types))
        few = cells.take(cells.sample(options.n_cells, prediction_cells_rng(task.runtime.seed)))
        controls = EffectControls(few.expression, controls.gene_symbols, few.cell_type_codes)
    return NetworkPlan(
        output_genes=task.gene_symbols,
        targets=tuple(sorted({gene for item in task.known for gene in item.genes})),
        control_means=control_means(task),
        cells=controls,
        n_fitted=n_genes,
        width=options.width,
        seed=seed,
    )


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
