"""Pearson correlations of prediction and truth; an undefined value counts as 0.

``pearson_delta``: of the change from the real control, over all genes. GEARS (Roohani et al. 2024).
``pearson_delta_top20``: the same over the top-20 DE genes. GEARS; LangPert (Märtens et al. 2025).
``pearson_top20``: of mean expression, over the top-20 DE genes. GEARS.
``pearson_delta_perturbed_ref``: of the change from m, the mean of the train perturbations, over all
genes: what all perturbations share earns nothing. Systema (Viñas Torné et al. 2025), calibrated
reference.
They load nothing.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from dygenept.evaluation.rows import difference, gather_de, masked_pearson, row_scale
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import DoubleArray, MetricInputs, MetricValues
from dygenept_plugins.metrics._declared import metric_spec

GEARS = "Roohani et al. 2024 (GEARS), doi:10.1038/s41587-023-01905-6"


def pearson_delta(inputs: MetricInputs) -> MetricValues:
    """Return r(Δ predicted, Δ truth) over all G genes, (n,).

    Example:
        Deltas of 1, 2, 3 and 1, 3, 2 correlate at 0.5; control itself has no delta to correlate.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs(
        ...     predicted=[[2.0, 3.0, 4.0], [1.0, 1.0, 1.0]],
        ...     truth=[[2.0, 4.0, 3.0], [2.0, 4.0, 3.0]],
        ...     control=1.0,
        ... )
        >>> result = pearson_delta(inputs)
        >>> result.values.round(12)
        array([0.5, nan])
        >>> result.reasons
        {1: 'constant prediction'}
    """
    return _over_all_genes(inputs, inputs.control)


def pearson_delta_perturbed_ref(inputs: MetricInputs) -> MetricValues:
    """Return r(predicted - m, truth - m) over all G genes, (n,).

    Example:
        Changes from m of 1, 2, 3 and 1, 3, 2 correlate at 0.5; m itself has none.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs(
        ...     predicted=[[5.0, 6.0, 7.0], [4.0, 4.0, 4.0]],
        ...     truth=[[5.0, 7.0, 6.0], [5.0, 7.0, 6.0]],
        ...     perturbed_mean=4.0,
        ... )
        >>> pearson_delta_perturbed_ref(inputs).values.round(12)
        array([0.5, nan])
    """
    return _over_all_genes(inputs, inputs.perturbed_mean)


def pearson_delta_top20(inputs: MetricInputs) -> MetricValues:
    """Return r(Δ predicted, Δ truth) over the DE list, (n,).

    Example:
        Over the three DE genes, deltas of 1, 2, 3 and 1, 3, 2 correlate at 0.5.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs(
        ...     predicted=[[2.0, 3.0, 4.0, 9.0]],
        ...     truth=[[2.0, 4.0, 3.0, 1.0]],
        ...     control=1.0,
        ...     de_genes=[0, 1, 2],
        ... )
        >>> pearson_delta_top20(inputs).values.round(12)
        array([0.5])
    """
    predicted = gather_de(inputs.predicted, inputs.de_indices)
    truth = gather_de(inputs.truth, inputs.de_indices)
    control = gather_de(inputs.control, inputs.de_indices)
    return masked_pearson(
        predicted - control,
        truth - control,
        inputs.de_indices >= 0,
        predicted_scale=row_scale(predicted, control),
        truth_scale=row_scale(truth, control),
    )


def pearson_top20(inputs: MetricInputs) -> MetricValues:
    """Return r(predicted, truth) over the DE list, (n,).

    Example:
        Over the three DE genes, 2, 3, 4 and 2, 4, 3 correlate at 0.5, whatever control is.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs(
        ...     predicted=[[2.0, 3.0, 4.0, 9.0]], truth=[[2.0, 4.0, 3.0, 1.0]], de_genes=[0, 1, 2]
        ... )
        >>> pearson_top20(inputs).values.round(12)
        array([0.5])
    """
    predicted = gather_de(inputs.predicted, inputs.de_indices)
    truth = gather_de(inputs.truth, inputs.de_indices)
    return masked_pearson(
        predicted,
        truth,
        inputs.de_indices >= 0,
        predicted_scale=row_scale(predicted),
        truth_scale=row_scale(truth),
    )


def _over_all_genes(inputs: MetricInputs, reference: DoubleArray) -> MetricValues:
    """Correlate changes from a reference, (n, G)."""
    return masked_pearson(
        difference(inputs.predicted, reference),
        inputs.truth - reference,
        np.ones(inputs.truth.shape, dtype=np.bool_),
        predicted_scale=row_scale(inputs.predicted, reference),
        truth_scale=row_scale(inputs.truth, reference),
    )


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the correlations."""
    spec = partial(
        metric_spec,
        higher_is_better=True,
        lower=-1.0,
        upper=1.0,
        neutral=0.0,
        chance=0.0,
        is_correlation=True,
        by_row=True,
    )
    too_few = "either side is constant, or there are fewer than two"
    return [
        spec(
            pearson_top20,
            formula="r(ŷ, y) over T",
            misleads=(
                "Expression levels correlate whatever the perturbation does, so the control scores "
                "high."
            ),
            use="Only to compare with papers that print it.",
            summary="Pearson correlation of expression over the top-20 DE genes.",
            source=GEARS,
            undefined=f"{too_few} DE genes",
            uses_de_genes=True,
        ),
        spec(
            pearson_delta_top20,
            formula="r(ŷ − c, y − c) over T",
            misleads=(
                "A change shared by all perturbations (stress, say) is rewarded, so perturbed_mean "
                "is strong; blind to size; noise of few control cells is in both sides."
            ),
            use="As the usual headline, beside a metric that the mean cannot win.",
            summary="Pearson correlation of the delta over the top-20 DE genes.",
            source="Roohani et al. 2024 (GEARS); Märtens et al. 2025 (LangPert)",
            undefined=f"{too_few} DE genes",
            uses_de_genes=True,
        ),
        spec(
            pearson_delta,
            formula="r(ŷ − c, y − c) over all genes",
            misleads="As over the top 20, with more noise from genes that hardly change.",
            use="Where DE lists are doubtful, or few genes were measured.",
            summary="Pearson correlation of the delta over all genes.",
            source=GEARS,
            undefined=f"{too_few} genes",
        ),
        spec(
            pearson_delta_perturbed_ref,
            formula="r(ŷ − m, y − m) over all genes",
            misleads=(
                "Weak perturbations lie on the control's side of m, so control_mean scores above "
                "0; undefined for perturbed_mean."
            ),
            use=(
                "To see what a model knows beyond the change that all perturbations share "
                "(Systema)."
            ),
            summary="Pearson correlation of the change from the mean train perturbation.",
            source="Viñas Torné et al. 2025 (Systema), doi:10.1038/s41587-025-02777-8",
            undefined="either side is constant (such as perturbed_mean itself)",
        ),
    ]
