"""DyGenePT behind the model protocol: fit on a task, predict and explain conditions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dygenept.errors import DataError
from dygenept.machine import collectives, processes
from dygenept.machine.threads import suited_threads
from dygenept.model.choices import joined_choices
from dygenept.model.combinations import CombinationPredictor, Swept, Wanted, can_combine, one_by_one
from dygenept.model.conditions import IndexArray, gene_positions
from dygenept.model.effects.kept_table import is_kept_table
from dygenept.model.effects.table_model import TableModel, TableParts
from dygenept.model.fitted_state import FittedState, read_fitted, write_fitted
from dygenept.model.fitting import fit_members, restored_network
from dygenept.model.knowledge import joined_knowledge, unknown_genes
from dygenept.model.network import DyGenePT, Parts, as_module
from dygenept.model.prediction import Explanation, MeanPrediction, ModelOutputs, predict_means
from dygenept.model.seeds import seeded_torch
from dygenept.model.training.loop import History
from dygenept.model.training.options import TrainingOptions
from dygenept.plugin.interfaces import GeneEncoderContext
from dygenept.plugin.interfaces.offers import Chosen, notes_of
from dygenept.types import Condition, DoubleArray, FacetSetReader, Predictions, Runtime, Task

logger = logging.getLogger(__name__)


class DyGenePTModel:
    """An assembly of four parts, trained as one or as an ensemble of several."""

    def __init__(
        self,
        *,
        parts: Parts,
        knowledge: FacetSetReader,
        width: int,
        options: TrainingOptions,
        of_table: TableParts | None = None,
    ) -> None:
        """Keep what is needed to build the networks; ``fit`` builds them.

        Args:
            parts: Factories of the four parts.
            knowledge: Reads the facets of genes.
            width: Embedding width D.
            options: How to train and predict.
            of_table: What it is made of on tables of effects.
        """
        self._table_parts = of_table
        self._of_table: TableModel | None = None
        self._parts = parts
        self._read_knowledge = knowledge
        self._width = width
        self._options = options
        self._runtime = Runtime()
        self._state: FittedState | None = None
        # As it was before any gene was met.
        self._fitted: FittedState | None = None
        self._networks: list[DyGenePT] = []

    @property
    def histories(self) -> tuple[History, ...]:
        """How each member's training went."""
        return self.state.histories

    @property
    def networks(self) -> tuple[DyGenePT, ...]:
        """The trained networks, one per member."""
        return tuple(self._networks)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know: what parts say of themselves, and genes without knowledge."""
        if self._of_table is not None:
            return self._of_table.notes
        parts = [part for network in self._networks[:1] for part in network.children()]
        said = [note for part in parts for note in notes_of(part)]
        return (*said, *self.state.knowledge.notes, *unknown_genes(self.state.knowledge))

    @property
    def chosen(self) -> Chosen:
        """What the members settled on themselves; see ``member_choices`` for the names."""
        if self._of_table is not None:
            return self._of_table.chosen
        return joined_choices(self.state.chosen)

    @property
    def state(self) -> FittedState:
        """Genes, cell types, controls and options of the fitted model.

        Raises:
            DataError: If it is not trained yet, or was fitted to a table of effects.
        """
        if self._of_table is not None:
            raise DataError("this model was fitted to a table of effects, and this needs cells")
        if self._state is None:
            raise DataError("the model is not trained yet; call fit or load first")
        return self._state

    @property
    def of_table(self) -> TableModel | None:
        """What was fitted to a table of effects; None for a model of cells."""
        return self._of_table

    @property
    def outputs(self) -> ModelOutputs:
        """What it predicts, of cells or of a table.

        Raises:
            DataError: If it is not trained yet.
        """
        if self._of_table is not None:
            fitted = self._of_table.fitted
            start = fitted.start
            return ModelOutputs(
                gene_ids=fitted.gene_ids,
                gene_symbols=start.gene_symbols,
                target_genes=fitted.target_genes,
                cell_types=start.cell_types,
                reference=start.gene_means,
                kind=fitted.kind,
            )
        state = self.state
        return ModelOutputs(
            gene_ids=state.gene_ids,
            gene_symbols=state.gene_symbols,
            target_genes=state.target_genes,
            cell_types=state.cell_types,
            reference=state.control_means,
        )

    def known_genes(self, genes: Sequence[str]) -> tuple[str, ...]:
        """Return those genes of which anything is known, whether or not the model has met them."""
        with processes.writer_first():
            if self._of_table is not None:
                return self._of_table.known_genes(genes)
            found = self._read_knowledge(tuple(genes), self._runtime)
        rows = zip(found.genes, found.confidence, strict=True)
        return tuple(gene for gene, row in rows if row.any())

    def fit(self, task: Task) -> None:
        """Train on the task's train conditions; validation conditions only stop the training.

        Raises:
            DataError: If the task carries no cells, no control cells or no train condition.
            DygeneptError: If training diverges.
        """
        if task.effects is not None and self._table_parts is not None:
            self._of_table = TableModel(self._table_parts)
            self._of_table.fit(task)
            return
        with processes.writer_first():
            knowledge = self._read_knowledge(task.target_genes, task.runtime)
        self._state, self._networks = fit_members(
            task,
            parts=self._parts,
            knowledge=knowledge,
            width=self._width,
            options=self._options,
        )
        self._fitted = self._state
        self._runtime = task.runtime

    def meet(self, genes: Sequence[str]) -> None:
        """Read the facets of genes that training had not met, all at once, before many predictions.

        Predictions are the same without it; reading genes block by block takes longer.
        """
        with processes.writer_first():
            if self._of_table is not None:
                self._of_table.meet(genes)
            else:
                self._add_genes(genes)

    def sweeping(
        self,
        genes: Sequence[str],
        columns: IndexArray | None = None,
        *,
        with_spread: bool = False,
    ) -> Callable[[Sequence[Condition]], Swept]:
        """Prepare for many predictions of combinations of the same genes.

        Args:
            genes: All their genes, each once.
            columns: Output genes that are wanted, (m,) int64; None for all.
            with_spread: Say how far off predictions may be.

        Returns:
            From conditions, n, to what ``predict`` and ``spread`` say of them, (n, m), but for
            rounding: what a gene gives by itself is computed once where the decoder allows it.
        """
        self.meet(genes)
        wanted = Wanted(tuple(genes), columns, with_spread=with_spread)
        if self._networks and can_combine(self._networks) and processes.current().size == 1:
            device = torch.device(self._runtime.device)
            return CombinationPredictor(self._networks, self.state, wanted, device=device)
        return one_by_one(self, wanted)

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        """Predict pseudobulks: the real control mean plus the mean predicted change.

        A gene without knowledge is represented by the learned null gene.

        Raises:
            DataError: If a condition's cell type was not among the task's, or nothing was fitted.
        """
        if self._of_table is not None:
            return self._of_table.predict(conditions)
        state = self.state
        mean = self._mean_prediction(conditions)
        codes = self._cell_type_codes(conditions)
        expression = state.control_means[codes] + mean.deltas.double().numpy()
        if state.options.clamp_min_zero:
            expression = np.maximum(expression, 0.0)
        return Predictions(conditions=tuple(conditions), expression=expression)

    def spread(self, conditions: Sequence[Condition]) -> DoubleArray | None:
        """Return the standard deviation of the error of each predicted mean, (n, G).

        Its square is the variance between members, where there are several, plus what the
        closed-form start leaves of a gene in perturbations that are left out of it.

        Returns:
            None for a single member without a closed-form start, which has neither, and for a
            model of a table of effects.
        """
        if self._of_table is not None:
            return None
        state = self.state
        members = self._member_predictions(conditions)
        if state.residual_variance is None and len(members) < 2:
            return None
        variance = np.zeros((len(conditions), len(state.gene_ids)))
        if len(members) > 1:
            deltas = torch.stack([p.deltas for p in members]).double()  # (members, n, G)
            variance += deltas.var(dim=0).numpy()
        if state.residual_variance is not None:
            variance += state.residual_variance
        return np.sqrt(variance)

    def explain(self, conditions: Sequence[Condition]) -> Explanation:
        """Return how much weight each facet of each target gene had."""
        mean = self._mean_prediction(conditions)
        return Explanation(
            conditions=tuple(conditions),
            facet_names=self.state.knowledge.facet_names,
            weights=mean.weights.numpy(),
        )

    def save(self, directory: Path) -> None:
        """Write the trained model into a folder, without pickle and without genes met later."""
        if self._of_table is not None:
            self._of_table.save(directory)
            return
        weights = tuple(network.state_dict() for network in self._networks)
        write_fitted(replace(self._fitted or self.state, weights=weights), directory)

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        parts: Parts,
        knowledge: FacetSetReader,
        runtime: Runtime | None = None,
        of_table: TableParts | None = None,
    ) -> DyGenePTModel:
        """Read a model that ``save`` wrote.

        Args:
            directory: The folder.
            parts: Factories of the same parts with the same options as when it was trained.
            knowledge: Reads the facets of genes that were not in the training task.
            runtime: Device and cache; the CPU where it is None.
            of_table: What it is made of, if it was fitted to a table of effects.

        Raises:
            DataUnavailableError: If the folder has no model.
            DataError: If it is damaged.
            ConfigError: If the parts do not fit the saved weights.
        """
        if of_table is not None and is_kept_table(directory):
            options = TrainingOptions()
            width = of_table.options.width
            model = cls(parts=parts, knowledge=knowledge, width=width, options=options)
            model._of_table = TableModel.load(directory, of_table, runtime or Runtime())
            return model
        state = read_fitted(directory)
        model = cls(parts=parts, knowledge=knowledge, width=state.width, options=state.options)
        model._runtime = runtime or Runtime()
        device = torch.device(model._runtime.device)
        for member in range(len(state.weights)):
            network = restored_network(directory, parts, state, member, model._runtime)
            network.to(device).eval()
            network.prepare(state.controls.pool(state.gene_symbols))
            model._networks.append(network)
        model._state = model._fitted = replace(state, weights=())
        return model

    def _mean_prediction(self, conditions: Sequence[Condition]) -> MeanPrediction:
        """Average the members' predictions."""
        members = self._member_predictions(conditions)
        return MeanPrediction(
            deltas=torch.stack([p.deltas for p in members]).mean(dim=0),  # (members, n, G)
            weights=torch.stack([p.weights for p in members]).mean(dim=0),  # (members, n, P, K)
        )

    def _member_predictions(self, conditions: Sequence[Condition]) -> list[MeanPrediction]:
        """Predict; under torchrun each process takes a share and all get the whole."""
        with processes.writer_first():
            self._add_genes([gene for of in conditions for gene in of.genes])
        state = self.state
        indices = gene_positions(conditions, state.target_genes)
        codes = self._cell_type_codes(conditions)
        mine = collectives.share_of(len(conditions))
        # A process without a condition predicts one all the same: it must know the shapes.
        rows = mine if mine.stop > mine.start else slice(0, 1)
        device = torch.device(self._runtime.device)
        predictions = []
        for network in self._networks:
            with suited_threads(network, device):
                mean = predict_means(
                    network,
                    gene_indices=indices[rows],
                    cell_types=codes[rows],
                    controls=state.controls,
                    positions=np.arange(len(state.controls.cell_type_codes)),
                    device=device,
                )
            gathered = (
                collectives.gathered(part, mine, len(conditions))
                for part in (mean.deltas, mean.weights)
            )
            predictions.append(MeanPrediction(*gathered))
        return predictions

    def _cell_type_codes(self, conditions: Sequence[Condition]) -> IndexArray:
        known = self.state.cell_types
        unknown = {c.cell_type for c in conditions} - set(known)
        if unknown:
            raise DataError(
                f"cell type {sorted(unknown)[0]!r} was not in the training data, which has "
                f"{', '.join(known)}"
            )
        return np.array([known.index(c.cell_type) for c in conditions], dtype=np.int64)

    def _add_genes(self, genes: Sequence[str]) -> None:
        """Give the gene encoders the facets of genes that they were not built for."""
        state = self.state
        known = set(state.target_genes)
        new = tuple(sorted(set(genes) - known))
        if not new:
            return
        knowledge = joined_knowledge(state.knowledge, self._read_knowledge(new, self._runtime))
        every = state.target_genes + new
        n_fitted = len((self._fitted or state).target_genes)
        for network in self._networks:
            context = GeneEncoderContext(knowledge, every, state.width, n_fitted)
            with seeded_torch(state.seed, torch.device("cpu")):
                encoder = as_module("gene_encoder", self._parts.gene_encoder(context))
            try:
                encoder.load_state_dict(network.gene_encoder.state_dict())
            except RuntimeError:
                # An encoder with weights of its own per gene has none for a new one.
                logger.warning(
                    "the gene encoder has no weights for %s, which are predicted as genes of which "
                    "nothing is known",
                    ", ".join(new),
                )
                return
            network.gene_encoder = encoder.to(self._runtime.device).eval()
        self._state = replace(state, knowledge=knowledge, target_genes=every)
