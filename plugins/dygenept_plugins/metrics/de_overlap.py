"""Share of the significant DE genes that are among as many top genes of the prediction.

Significant: Mann-Whitney U test against control, FDR < 0.05, k genes. The prediction's genes are
ranked by absolute log fold change, which is the predicted delta (log1p scale); its first k count.
k = 0 is undefined and left out of means. A tie at the k-th place counts by share. Genes chosen at
random get k / G, the chance level.
Differs from cell-eval's overlap at N in that the prediction is a mean and is not tested, that
fold changes are of 1 + expression (a gene without control expression has no infinite one), and
that k = 0 is not 0.
Source: cell-eval, ``overlap_at_N``.
Loads nothing.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from dygenept.evaluation.rows import (
    count_true,
    is_one_row,
    none_defined,
    predicted_change,
    row_by_row,
    top_share,
)
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import MetricInputs, MetricValues
from dygenept_plugins.metrics._declared import metric_spec

NO_TESTS = "no DE tests were given"
NO_SIGNIFICANT = "no significant DE gene"
# Changes that agree to this many decimals are ties; rounding must not choose genes.
TIE_DECIMALS = 12


def de_overlap(inputs: MetricInputs) -> MetricValues:
    """Return |significant genes ∩ the prediction's top k| / k, (n,).

    Example:
        Genes 0 and 1 are significant; the largest two predicted changes are of genes 0 and 2.

        >>> from dataclasses import replace
        >>> from dygenept.testing import small_metric_inputs
        >>> from dygenept.types import DeTests
        >>> plain = small_metric_inputs([[3.0, 0.0, -2.0, 1.0]], [[2.0, 2.0, 0.0, 0.0]])
        >>> tests = DeTests(np.array([[True, True, False, False]]), np.zeros((1, 4)))
        >>> de_overlap(replace(plain, de_tests=tests)).values
        array([0.5])
    """
    if inputs.de_tests is None:
        return none_defined(inputs, NO_TESTS)
    is_significant = inputs.de_tests.is_significant
    n_significant = count_true(is_significant)
    size = row_by_row(lambda changes: np.abs(changes).round(TIE_DECIMALS), predicted_change(inputs))
    # One prediction for all is sorted once; else one value of each order is needed.
    ordered = row_by_row(partial(np.sort, axis=1), size) if is_one_row(size) else None
    shares = top_share(size, is_significant, ordered=ordered)
    values = np.where(n_significant > 0, shares, np.nan)
    undefined = np.flatnonzero(n_significant == 0).tolist()
    chance = n_significant / size.shape[1]
    return MetricValues(values, dict.fromkeys(undefined, NO_SIGNIFICANT), chance)


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the metric."""
    return [
        metric_spec(
            de_overlap,
            formula="share of the k significant genes among the k largest |Δ̂|",
            misleads=(
                "k differs between perturbations, and so does chance (k / G); truth itself stays "
                "below 1, since a large change need not be significant."
            ),
            use="Where the list of affected genes is what is wanted.",
            guess="k / G",
            summary="Share of significant DE genes among as many top predicted genes.",
            source="cell-eval (Arc Institute), overlap_at_N",
            higher_is_better=True,
            lower=0.0,
            upper=1.0,
            undefined="the perturbation has no significant DE gene; left out of means",
            uses_de_tests=True,
            by_row=True,
        )
    ]
