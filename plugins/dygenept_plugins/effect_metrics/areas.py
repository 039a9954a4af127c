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

from dygenept.plugin import EffectMetricSpec, MetricGuide, hookimpl
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
    # Pairs of one score count as found together, at the precision of the last of them.
    of_precision = partial(
        area,
        factory=lambda config: precision_recall_area,
        chance=base_rate,
        lowers_ties=True,
    )
    return [
        of_ranks(
            name="auroc_gene_n5",
            guide=MetricGuide(
                formula=(
                    "area under the ROC curve of a gene's measured held-out pairs; genes with "
                    "5 pairs or more"
                ),
                misleads=(
                    "The mean is over genes with both labels only; which those are depends on "
                    "the split."
                ),
                use="As the headline for labels: a gene's own rate gives 0.5.",
                chance="0.5",
            ),
            leads=True,
            summary="Area under ROC per gene with at least 5 measured held-out pairs.",
            unit="gene",
            min_pairs=5,
            undefined=f"fewer than 5 pairs were measured, or {ONE_LABEL}",
        ),
        of_ranks(
            name="auroc_gene",
            guide=MetricGuide(
                formula="the same for any number of pairs",
                misleads="Genes with two or three pairs give 0, 0.5 or 1.",
                use="To compare with PerturbQA.",
                chance="0.5",
            ),
            summary="Area under ROC per gene, over its measured held-out pairs.",
            unit="gene",
        ),
        of_precision(
            name="auprc_gene",
            guide=MetricGuide(
                formula="average precision of a gene's measured held-out pairs",
                misleads="Chance is the gene's share of positives, which differs between genes.",
                use="Where positives are rare.",
                chance="share of positives of the gene",
            ),
            summary="Average precision per gene, over its measured held-out pairs.",
            unit="gene",
        ),
        of_ranks(
            name="auroc_perturbation",
            guide=MetricGuide(
                formula="area under the ROC curve over a perturbation's measured genes",
                misleads="A gene's own rate of change alone gives up to 0.96.",
                use="Only beside gene_mean.",
                chance="0.5",
            ),
            summary="Area under ROC per held-out perturbation, over its measured genes.",
            unit="perturbation",
        ),
        of_precision(
            name="auprc_perturbation",
            guide=MetricGuide(
                formula="average precision over a perturbation's measured genes",
                misleads="As the ROC form; chance is the share of positives.",
                use="Only beside gene_mean.",
                chance="share of positives of the perturbation",
            ),
            summary="Average precision per held-out perturbation, over its measured genes.",
            unit="perturbation",
        ),
    ]
