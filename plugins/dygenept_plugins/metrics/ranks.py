"""How well a prediction finds its own perturbation among all held-out ones of the cell type.

The candidates are the perturbations of the cell type that any fold holds out, whichever fold is
scored, so a value does not depend on the number of folds.

``centroid_accuracy``: share of the other candidates whose truth is farther from ŷ than the right
one's, by Euclidean distance; 0.5 is chance. A tie counts half. Systema (Viñas Torné et al. 2025).
``perturbation_discrimination``: 1 - rank / N, by L1 distance of deltas, rank from 0 among the N
candidates; the target genes of the perturbation are left out of its distances. Best 1, worst
1 / N, chance (N + 1) / 2N, and a tie shares the middle rank (cell-eval leaves ties to the order of
an unstable sort). cell-eval, ``discrimination_score_l1``; the PDS of the Virtual Cell Challenge.
``perturbation_discrimination_l2``, ``perturbation_discrimination_cosine``: the same by Euclidean
and by cosine distance of deltas, since the choice decides who leads (arXiv 2511.16954). cell-eval,
``discrimination_score_l2`` and ``discrimination_score_cosine``.
``perturbench_rank_rmse``, ``perturbench_rank_cosine``: the other way round, the share of the
predictions of the same fold and cell type that are nearer to the truth than the right one, by
Euclidean distance, or by cosine distance of deltas; 0 is best, chance (n - 1) / 2n. They depend on
the number of folds: only predictions of one fitted model can be ranked. PerturBench (Wu et al.
2024).
One candidate in a cell type has no rank: undefined, and left out of means. Loads scipy (L1
distances).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from dygenept.evaluation.candidate_ranks import TIE, Rivals, are_alike, of_rivals, places, rivals
from dygenept.evaluation.rows import predicted_change
from dygenept.machine.tables import filled, squared_lengths
from dygenept.plugin import MetricSpec, hookimpl
from dygenept.types import DoubleArray, MetricInputs, MetricValues
from dygenept.types.gene_sets import target_columns
from dygenept_plugins.metrics._declared import metric_spec
from dygenept_plugins.metrics._rank_distances import (
    candidate_squares,
    change_products,
    cosines,
    of_targets,
    squared_distances,
)

CELL_EVAL = "cell-eval (Arc Institute), discrimination_score_"
# The target genes of some predictions, by place.
Targets = Mapping[int, list[int]]
Columns = npt.NDArray[np.intp]


def centroid_accuracy(inputs: MetricInputs) -> MetricValues:
    """Return the share of the other held-out truths that are farther from ŷ, (n,).

    Example:
        One gene, truths 0, 1 and 3. From 0.9, one of two others is farther than the right one.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[0.9], [1.0], [0.0]], [[0.0], [1.0], [3.0]])
        >>> centroid_accuracy(inputs).values
        array([0.5, 1. , 0. ])
    """

    def distances(among: Rivals) -> DoubleArray:
        squared = squared_distances(inputs, among)
        return filled(squared, squared.shape, lambda part: np.sqrt(squared[part]))

    found = places(inputs, distances)
    return MetricValues(found.farther / np.maximum(found.others, 1.0), found.reasons)


def perturbation_discrimination(inputs: MetricInputs) -> MetricValues:
    """Return 1 - rank / N of the right perturbation by L1 distance, (n,).

    Example:
        One gene, true deltas 0, 1 and 3. From 0.9, the right one is the second of three.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[0.9], [1.0], [0.0]], [[0.0], [1.0], [3.0]])
        >>> perturbation_discrimination(inputs).values.round(3)
        array([0.667, 1.   , 0.333])
    """

    def distances(among: Rivals, predicted: DoubleArray, targets: Targets) -> DoubleArray:
        manhattan = among.truths.manhattan
        # Both sides of a distance have the same control, which cancels.
        are_one = are_alike(predicted)
        if are_one or manhattan.are_few(predicted):
            found = among.truths.distances("manhattan exact", predicted, manhattan.exact)
        else:
            rough = manhattan.rough
            found = among.truths.distances("manhattan", predicted, rough, either_way=rough)
        of_targets_alone: dict[int, DoubleArray] = {}
        for place, genes in targets.items():
            difference = of_targets(inputs, among, genes) - predicted[place, genes]
            of_targets_alone[place] = np.abs(difference).sum(axis=1)
            found[place] -= of_targets_alone[place]

        def exact(place: int, columns: Columns, whole: DoubleArray) -> DoubleArray:
            if place in of_targets_alone:
                whole -= of_targets_alone[place][columns]
            return whole

        if not are_one:
            manhattan.settle(found, predicted, among.own, tie=TIE, exact=exact)
        return found

    return _discrimination(inputs, distances)


def perturbation_discrimination_l2(inputs: MetricInputs) -> MetricValues:
    """Return 1 - rank / N of the right perturbation by Euclidean distance, (n,).

    Example:
        From (0, 0), (3, 3) is farther than (4, 1) by Euclid, though not by L1 less its gene.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[0.0, 0.0], [4.0, 1.0]], [[3.0, 3.0], [4.0, 1.0]])
        >>> perturbation_discrimination_l2(inputs).values
        array([0.5, 1. ])
    """

    def distances(among: Rivals, predicted: DoubleArray, targets: Targets) -> DoubleArray:
        squared = squared_distances(inputs, among)
        found = filled(squared, squared.shape, lambda part: squared[part])
        for place, genes in targets.items():
            difference = of_targets(inputs, among, genes) - predicted[place, genes]
            found[place] -= (difference**2).sum(axis=1)
        np.maximum(found, 0.0, out=found)
        return np.sqrt(found, out=found)

    return _discrimination(inputs, distances)


def perturbation_discrimination_cosine(inputs: MetricInputs) -> MetricValues:
    """Return 1 - rank / N of the right perturbation by cosine distance of deltas, (n,).

    Example:
        The direction of (1, 2) is that of (2, 4), however far.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[1.0, 2.0], [1.0, 2.0]], [[2.0, 4.0], [1.0, 1.0]])
        >>> perturbation_discrimination_cosine(inputs).values
        array([1. , 0.5])
    """

    def distances(among: Rivals, predicted: DoubleArray, targets: Targets) -> DoubleArray:
        truth_squares = candidate_squares(inputs, among)
        guess = of_rivals(predicted_change(inputs), among)
        whole, control = change_products(inputs, among), inputs.control[among.rows[0]]
        squares = squared_lengths(guess)

        def compute(part: slice) -> DoubleArray:
            found, own = whole[part].copy(), squares[part, None].copy()
            others = np.repeat(truth_squares[None], len(found), axis=0)
            for row, place in enumerate(range(part.start, part.stop)):
                if genes := targets.get(place):
                    changes = of_targets(inputs, among, genes) - control[genes]
                    found[row] -= changes @ guess[place, genes]
                    own[row] -= (guess[place, genes] ** 2).sum()
                    others[row] -= (changes**2).sum(axis=1)
            return 1.0 - cosines(found, own, others)

        return filled(whole, whole.shape, compute)

    return _discrimination(inputs, distances)


def perturbench_rank_rmse(inputs: MetricInputs) -> MetricValues:
    """Return the share of the fold's predictions nearer to the truth than the right one, (n,).

    Example:
        One gene, truths 0, 1 and 3. To 0, two of three predictions are nearer than 0.9.

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[0.9], [0.5], [0.0]], [[0.0], [1.0], [3.0]])
        >>> perturbench_rank_rmse(inputs).values.round(3)
        array([0.667, 0.333, 0.667])
    """

    def distances(among: Rivals) -> DoubleArray:
        squared = squared_distances(inputs, among)
        return filled(squared, squared.shape, lambda part: np.sqrt(squared[part]))

    return _rank_of_prediction(inputs, distances)


def perturbench_rank_cosine(inputs: MetricInputs) -> MetricValues:
    """Return the same by cosine distance of deltas, (n,).

    Example:
        To the direction (1, 0), the other prediction is nearer than (1, 1).

        >>> from dygenept.testing import small_metric_inputs
        >>> inputs = small_metric_inputs([[1.0, 1.0], [2.0, 0.0]], [[1.0, 0.0], [2.0, 0.1]])
        >>> perturbench_rank_cosine(inputs).values
        array([0.5, 0. ])
    """

    def distances(among: Rivals) -> DoubleArray:
        truth_squares = candidate_squares(inputs, among)
        guess_squares = squared_lengths(of_rivals(predicted_change(inputs), among))[:, None]
        whole = change_products(inputs, among)
        return filled(
            whole,
            whole.shape,
            lambda part: 1.0 - cosines(whole[part], guess_squares[part], truth_squares),
        )

    return _rank_of_prediction(inputs, distances)


def _discrimination(
    inputs: MetricInputs, distances: Callable[[Rivals, DoubleArray, Targets], DoubleArray]
) -> MetricValues:
    columns = inputs.once(
        "ranks.target_columns", lambda: target_columns(inputs.conditions, inputs.gene_symbols)
    )

    def without_targets(among: Rivals) -> DoubleArray:
        rows = among.rows.tolist()
        targets = {place: list(columns[row]) for place, row in enumerate(rows) if columns[row]}
        return distances(among, of_rivals(inputs.predicted, among), targets)

    found = places(inputs, without_targets)
    n_candidates = found.others + 1.0
    return MetricValues(
        1.0 - (found.others - found.farther) / n_candidates,
        found.reasons,
        chance=(n_candidates + 1.0) / (2.0 * n_candidates),
    )


def _rank_of_prediction(
    inputs: MetricInputs, distances: Callable[[Rivals], DoubleArray]
) -> MetricValues:
    """Rank the right prediction among those of its fold by their distance to the truth.

    Args:
        inputs: Predictions; only those of the fold are candidates.
        distances: Distance of each prediction (row) to each candidate (column) of one cell type,
            (n, m), candidates of other folds among them.
    """
    in_all = {int(among.rows[0]): among for among in rivals(inputs)}

    def of_truths(among: Rivals) -> DoubleArray:
        whole = in_all[int(among.rows[0])]
        return distances(whole)[:, whole.own].T  # (n, n): truths by predictions

    fold = inputs
    if inputs.candidates is not None:
        fold = inputs.once("ranks.fold", lambda: replace(inputs, candidates=None))
    found = places(fold, of_truths)
    n_predictions = found.others + 1.0
    return MetricValues(
        (found.others - found.farther) / n_predictions,
        found.reasons,
        chance=found.others / (2.0 * n_predictions),
    )


@hookimpl
def dygenept_metrics() -> list[MetricSpec]:
    """Return the ranks."""
    spec = partial(
        metric_spec,
        higher_is_better=True,
        lower=0.0,
        upper=1.0,
        undefined="it is the only held-out perturbation of its cell type; left out of means",
        concurrent=True,
    )
    return [
        spec(
            centroid_accuracy,
            formula="share of the other held-out y farther from ŷ than its own (Euclidean)",
            misleads=(
                "Depends on how alike the held-out perturbations are; some candidates were in "
                "train."
            ),
            use="To ask whether predictions tell perturbations apart (Systema).",
            summary="Share of other held-out perturbations farther from the prediction.",
            source="Viñas Torné et al. 2025 (Systema), doi:10.1038/s41587-025-02777-8",
            chance=0.5,
        ),
        spec(
            perturbation_discrimination,
            formula=(
                "1 − rank / N of its own Δ among N held-out by L1 distance to Δ̂, target genes "
                "left out"
            ),
            misleads=(
                "Depends on the scale of the prediction: shrinking or stretching it may change the "
                "rank; chance is (N + 1) / 2N."
            ),
            use="For the Virtual Cell Challenge; read it beside the L2 and the cosine form.",
            guess="(N + 1) / 2N",
            summary="Rank of the right perturbation among the held-out ones (PDS, L1).",
            source=f"{CELL_EVAL}l1; Wu et al. 2024",
        ),
        spec(
            perturbation_discrimination_l2,
            formula="the same by Euclidean distance",
            misleads="As the L1 form; large changes weigh more.",
            use="Beside the L1 form, to see whether the distance decides.",
            guess="(N + 1) / 2N",
            summary="The same by Euclidean distance.",
            source=f"{CELL_EVAL}l2",
        ),
        spec(
            perturbation_discrimination_cosine,
            formula="the same by cosine distance of Δ",
            misleads="Blind to size; a prediction without change has no direction.",
            use="Beside the L1 form, to see whether scale decides.",
            guess="(N + 1) / 2N",
            summary="The same by cosine distance of deltas.",
            source=f"{CELL_EVAL}cosine",
        ),
        spec(
            perturbench_rank_rmse,
            formula="share of the fold's ŷ nearer to y (Euclidean) than its own",
            misleads=(
                "Depends on the number of folds, since only one fold's predictions are ranked."
            ),
            use="To compare with PerturBench.",
            guess="(n − 1) / 2n among n predictions of the fold",
            summary="Share of the fold's predictions nearer to the truth than the right one.",
            source="Wu et al. 2024 (PerturBench), arXiv:2408.10609",
            higher_is_better=False,
            boards="named",
        ),
        spec(
            perturbench_rank_cosine,
            formula="the same by cosine distance of Δ",
            misleads="As the other; blind to size.",
            use="To compare with PerturBench.",
            guess="(n − 1) / 2n among n predictions of the fold",
            summary="The same by cosine distance of deltas.",
            source="Wu et al. 2024 (PerturBench), arXiv:2408.10609",
            higher_is_better=False,
            boards="named",
        ),
    ]
