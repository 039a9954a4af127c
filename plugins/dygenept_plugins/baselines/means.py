"""Means, sums and a random draw of what is in train: the bars that a model must clear.

``control_mean`` predicts that nothing happens: the mean of the cell type's control cells, the usual
null model.
``perturbed_mean`` predicts the same for every perturbation: the mean of the train perturbations,
each of which counts once, whatever its number of cells. LangPert (Märtens et al. 2025); Systema
(Viñas Torné et al. 2025).
``matching_mean`` averages the train perturbations that share a target gene. Systema.
``additive`` adds up the deltas of the single perturbations, with the mean delta for singles unseen.
Ahlmann-Eltze et al. 2025 (the additive model).
``random_train`` predicts the delta of a train perturbation picked at random; the pick depends only
on the run's seed and the condition, not on what else is asked for. This project; the usual random
model.
On tables of effects, ``gene_mean`` predicts each gene's own mean over its measured train pairs,
shrunk to the mean of all genes as if two more pairs had it: .85 to .98 of AUROC pooled over pairs,
.5 per gene. ``majority`` predicts the label that most train pairs have (the mean of values). Wu et
al. 2025 (PerturbQA); arXiv:2606.08816.
They load nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from dygenept.evaluation.closed_form import ClosedFormModel
from dygenept.evaluation.reference import TrainView
from dygenept.machine.tables import filled_by_columns, rows_of
from dygenept.plugin import BaselineSpec, PluginConfig, hookimpl
from dygenept.types import Condition, DoubleArray, FitSize, FitWork
from dygenept.types.gene_sets import gene_membership, numbered_targets

PERTURBQA = "Wu et al. 2025 (PerturbQA), arXiv:2502.21290"
SYSTEMA = "Viñas Torné et al. 2025 (Systema), doi:10.1038/s41587-025-02777-8"


class ControlMean(ClosedFormModel):
    """ŷ = c."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Return the control mean, (G,)."""
        return view.control


class PerturbedMean(ClosedFormModel):
    """ŷ = unweighted mean of y over the train perturbations of the cell type."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Return the mean, (G,)."""
        return view.mean


class MatchingMean(ClosedFormModel):
    """ŷ = mean over target genes of the mean of the train perturbations with that gene."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type, (n, G).

        A target gene that no train perturbation has is left out; where all are, the prediction
        is the mean of the train perturbations.
        """
        genes = numbered_targets(view.conditions)
        trained = gene_membership(view.conditions, genes)  # (n_train, n_genes)
        # Every gene here occurs in a train perturbation, so no count is zero.
        counts = np.asarray(trained.sum(axis=0)).ravel()
        asked = gene_membership(conditions, genes)  # (n, n_genes)
        n_matched = np.asarray(asked.sum(axis=1)).ravel()
        is_matched, mean = (n_matched > 0)[:, None], view.mean

        def predict(columns: slice) -> DoubleArray:
            by_gene = (trained.T @ view.means[:, columns]) / counts[:, None]
            totals = asked @ by_gene  # (n, n_columns)
            return np.where(is_matched, totals / np.maximum(n_matched, 1.0)[:, None], mean[columns])

        shape = len(conditions), len(view.control)
        return filled_by_columns(view.means, shape, predict, n_read=len(view.conditions))


class Additive(ClosedFormModel):
    """ŷ = c + sum over target genes of the delta of the single."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type, (n, G).

        A single that is not in train has the delta of the mean of the train perturbations.
        """
        rows = [row for row, item in enumerate(view.conditions) if len(item.genes) == 1]
        singles = [view.conditions[row] for row in rows]
        genes = numbered_targets(singles)
        trained = gene_membership(singles, genes)  # (n_singles, n_genes)
        counts = np.asarray(trained.sum(axis=0)).ravel()
        asked = gene_membership(conditions, genes)  # (n, n_genes)
        n_known = np.asarray(asked.sum(axis=1)).ravel()
        n_targets = np.array([len(item.genes) for item in conditions], dtype=np.float64)
        n_unseen, typical = (n_targets - n_known)[:, None], view.mean - view.control

        def predict(columns: slice) -> DoubleArray:
            control = view.control[columns]
            deltas = view.means[rows, columns] - control
            by_gene = (trained.T @ deltas) / counts[:, None]  # (n_genes, n_columns)
            predicted: DoubleArray = control + asked @ by_gene + n_unseen * typical[columns]
            return predicted

        shape = len(conditions), len(view.control)
        return filled_by_columns(view.means, shape, predict, n_read=len(view.conditions))


class RandomTrain(ClosedFormModel):
    """ŷ = c + Δ of a random train perturbation of the cell type."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Predict conditions of one cell type, (n, G)."""
        seed = self.task.runtime.seed
        rows = [pick(item, n_choices=len(view.conditions), seed=seed) for item in conditions]
        return rows_of(view.means, rows)


def pick(condition: Condition, *, n_choices: int, seed: int) -> int:
    """Draw a position below ``n_choices`` from (seed, condition)."""
    digest = hashlib.sha256(f"{condition.cell_type}\0{condition.label}".encode()).digest()
    rng = np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
    return int(rng.integers(n_choices))


class GeneMean(ClosedFormModel):
    """ŷ = the gene's mean over measured train pairs."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Return the means, (G,)."""
        effects = self.task.effects
        if effects is None:
            return view.mean
        own: DoubleArray = effects.gene_means[self.task.cell_types.index(conditions[0].cell_type)]
        return own


class Majority(ClosedFormModel):
    """ŷ = the commonest label of measured train pairs, the same for every pair."""

    def predict_within(self, view: TrainView, conditions: Sequence[Condition]) -> DoubleArray:
        """Return it for every gene, (G,)."""
        effects = self.task.effects
        known = view.means.ravel() if effects is None else self.task.means[effects.is_observed]
        if effects is None or effects.kind == "values":
            return np.full(view.means.shape[1], known.mean())
        labels, counts = np.unique(np.rint(known), return_counts=True)
        return np.full(view.means.shape[1], labels[counts.argmax()])


def mean_work(config: PluginConfig, size: FitSize) -> FitWork:
    """Steps of a mean that is the same for all."""
    passes = (size.n_known + size.n_held_out) * size.n_genes
    return FitWork(passes=passes, are_alike=True)


def sum_work(config: PluginConfig, size: FitSize) -> FitWork:
    """Steps of means by gene; genes that no train perturbation has are predicted the same."""
    n, m = size.n_known, size.n_held_out
    passes = (5 * n + 5 * m) * size.n_genes
    return FitWork(passes=passes, are_alike=size.n_targets >= n + m)


def drawn_work(config: PluginConfig, size: FitSize) -> FitWork:
    """Steps of copying what is drawn."""
    return FitWork(passes=2 * size.n_held_out * size.n_genes)


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the means, the sum and the draw."""
    return [
        BaselineSpec(
            name="control_mean",
            summary="Mean of the control cells.",
            source="this project; the usual null model",
            factory=lambda config: ControlMean(),
            fit_work=mean_work,
        ),
        BaselineSpec(
            name="perturbed_mean",
            summary="Unweighted mean of the train perturbations.",
            source=SYSTEMA,
            factory=lambda config: PerturbedMean(),
            fit_work=mean_work,
        ),
        BaselineSpec(
            name="matching_mean",
            summary="Mean of the train perturbations that share a target gene.",
            source=SYSTEMA,
            factory=lambda config: MatchingMean(),
            fit_work=sum_work,
        ),
        BaselineSpec(
            name="additive",
            summary="Control plus the sum of the single perturbations' deltas.",
            source="Ahlmann-Eltze et al. 2025, doi:10.1038/s41592-025-02772-6",
            factory=lambda config: Additive(),
            fit_work=sum_work,
        ),
        BaselineSpec(
            name="random_train",
            summary="Delta of a random train perturbation.",
            source="this project",
            factory=lambda config: RandomTrain(),
            fit_work=drawn_work,
        ),
        BaselineSpec(
            name="gene_mean",
            summary="Each gene's mean over its measured train pairs.",
            source=PERTURBQA,
            factory=lambda config: GeneMean(),
            learns_from=("effects",),
        ),
        BaselineSpec(
            name="majority",
            summary="The label that most train pairs have.",
            source=PERTURBQA,
            factory=lambda config: Majority(),
            learns_from=("effects",),
        ),
    ]
