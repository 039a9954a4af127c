"""Areas under ROC and precision-recall curves, per gene and per perturbation, over measured pairs.

``auroc_gene``, ``auroc_gene_n5``, ``auprc_gene``, ``auroc_perturbation`` and
``auprc_perturbation``. Of labels the positive ones are to be found by the highest predictions; of
signs the non-zero ones by the largest predictions of either sign. Per gene, the mean of the gene's
own labels is worth 0.5: only what a model knows of the perturbation counts. Pooled over genes, or
per perturbation, that mean alone reaches 0.85 to 0.98 on real screens.
Source: PerturbQA (Wu et al. 2025, arXiv:2502.21290), whose figure is ``auroc_gene``; areas as in
scikit-learn (``roc_auc_score``, ``average_precision_score``). Loads nothing.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from dygenept.plugin import EffectMetricSpec, hookimpl
from dygenept.types import BoolArray, DoubleArray, GroupedPairs
from dygenept.types.grouped import auroc, average_precision, prevalence

SOURCE = "Wu et al. 2025 (PerturbQA), arXiv:2502.21290"
ONE_LABEL = "the labels of its measured pairs are all the same"


def _labels(pairs: GroupedPairs) -> tuple[BoolArray, DoubleArray]:
    if pairs.kind == "signs":
        return pairs.truth != 0.0, np.abs(pairs.predicted)
    return pairs.truth > 0.5, pairs.predicted


def roc_area(pairs: GroupedPairs) -> DoubleArray:
    """Return the area under the ROC curve, (B, n_groups)."""
    labels, scores = _labels(pairs)
    return auroc(pairs, labels=labels, scores=scores)


def precision_recall_area(pairs: GroupedPairs) -> DoubleArray:
    """Return the average precision, (B, n_groups)."""
    labels, scores = _labels(pairs)
    return average_precision(pairs, labels=labels, scores=scores)


def half(pairs: GroupedPairs) -> DoubleArray:
    """Return what a guess is worth under the ROC curve."""
    return np.full((1, pairs.n_groups), 0.5)


def base_rate(pairs: GroupedPairs) -> DoubleArray:
    """Return what a guess is worth under the precision-recall curve."""
    return prevalence(pairs, labels=_labels(pairs)[0])


@hookimpl
def dygenept_effect_metrics() -> list[EffectMetricSpec]:
    """Return the areas; the first is the lead figure."""
    area = partial(
        EffectMetricSpec,
        source=SOURCE,
        values=("labels", "signs"),
        higher_is_better=True,
        lower=0.0,
        upper=1.0,
        undefined=ONE_LABEL,
    )
    of_ranks = partial(area, factory=lambda config: roc_area, chance=half)
    of_precision = partial(area, factory=lambda config: precision_recall_area, chance=base_rate)
    return [
        of_ranks(
            name="auroc_gene_n5",
            leads=True,
            summary="Area under ROC per gene with at least 5 measured held-out pairs.",
            unit="gene",
            min_pairs=5,
            undefined=f"fewer than 5 pairs were measured, or {ONE_LABEL}",
        ),
        of_ranks(
            name="auroc_gene",
            summary="Area under ROC per gene, over its measured held-out pairs.",
            unit="gene",
        ),
        of_precision(
            name="auprc_gene",
            summary="Average precision per gene, over its measured held-out pairs.",
            unit="gene",
        ),
        of_ranks(
            name="auroc_perturbation",
            summary="Area under ROC per held-out perturbation, over its measured genes.",
            unit="perturbation",
        ),
        of_precision(
            name="auprc_perturbation",
            summary="Average precision per held-out perturbation, over its measured genes.",
            unit="perturbation",
        ),
    ]
