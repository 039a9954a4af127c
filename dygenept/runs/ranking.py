"""Which perturbations bring cells closest to a wanted state, by a kept model's predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.errors import ConfigError, DataError, nearest
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.runs.sweep import Sweep
from dygenept.runs.wanted_state import PlacedState, WantedState, place_state
from dygenept.types import Condition, DoubleArray, Progress, no_report

if TYPE_CHECKING:
    import polars as pl

    from dygenept.model.estimator import DyGenePTModel

CLOSENESS = ("correlation", "euclidean")
# Draws of the model's error behind an uncertainty: a share of one half is known to 0.03.
N_DRAWS = 256
FEWEST_TO_CORRELATE = 3


@dataclass(frozen=True, slots=True)
class Ranking:
    """Perturbations by closeness to a wanted state, the closest first.

    Attributes:
        table: ``rank``, ``perturbation``, ``cell_type``, ``correlation`` of predicted and wanted
            change, ``distance`` (Euclidean, of predicted and wanted expression), their standard
            deviations ``correlation_sd`` and ``distance_sd`` under the model's own uncertainty,
            and ``share_first``: how often a perturbation is the closest of those shown. The last
            three are null where the model states no uncertainty.
        n_candidates: Conditions that were compared.
        n_genes: Genes that closeness was measured on.
        notes: What the user should know, one sentence each.
    """

    table: pl.DataFrame
    n_candidates: int
    n_genes: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRequest:
    """How perturbations are ranked.

    Attributes:
        by: ``correlation`` of predicted and wanted change, or ``euclidean`` distance of predicted
            and wanted expression.
        top: How many are returned.
        seed: Seed of the draws behind uncertainties.
    """

    by: str = "correlation"
    top: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            ConfigError: If one is not allowed.
        """
        if self.by not in CLOSENESS:
            raise ConfigError(f"unknown closeness {self.by!r}; {nearest(self.by, CLOSENESS)}")
        if self.top < 1:
            raise ConfigError(f"top must be 1 or more, not {self.top}")


def rank_perturbations(
    model: DyGenePTModel,
    wanted: WantedState,
    sweep: Sweep,
    request: RankRequest,
    report: Callable[[Progress], None] = no_report,
) -> Ranking:
    """Predict every candidate in blocks and keep the closest.

    Args:
        model: A fitted model.
        wanted: The wanted state.
        sweep: Candidates, in one cell type.
        request: How to rank.
        report: Callback for progress.

    Raises:
        DataError: If the candidates are of several cell types, the wanted state does not fit, or
            it has too few genes for a correlation.
    """
    state = model.state
    if len(sweep.cell_types) != 1:
        raise DataError(
            f"name one cell type, since control differs between {', '.join(sweep.cell_types)}"
        )
    control = np.asarray(state.control_means)[state.cell_types.index(sweep.cell_types[0])]
    names = GeneNames(state.gene_symbols, state.gene_ids)
    placed = place_state(wanted, names, (state.gene_symbols, state.gene_ids), control)
    if request.by == "correlation" and len(placed.columns) < FEWEST_TO_CORRELATE:
        raise DataError(
            "a correlation over two genes is always 1 or −1; name three genes of the model or more "
            "in the wanted state, or rank by euclidean distance: --by euclidean"
        )
    base = control[placed.columns]
    predict = model.sweeping(sweep.genes, placed.columns)
    kept: list[tuple[float, int, Condition, DoubleArray]] = []
    n_done, n_undefined = 0, 0
    for block in sweep.blocks(len(state.gene_ids)):
        predicted = predict(block).expression.astype(np.float64)  # (n, m)
        scores = _closeness(predicted, placed, base, request.by)
        best = np.argsort(-scores, kind="stable")[: request.top]
        kept += [
            (float(-scores[row]), n_done + int(row), block[row], predicted[row])
            for row in best.tolist()
            if np.isfinite(scores[row])
        ]
        # Ties keep the order of the candidates.
        kept = sorted(kept, key=lambda item: item[:2])[: request.top]
        n_done += len(block)
        n_undefined += int((~np.isfinite(scores)).sum())
        report(Progress("predict", n_done, len(sweep)))
    if not kept:
        raise DataError(
            "no candidate has a defined closeness: predicted or wanted changes are the same for "
            "every gene; rank by euclidean"
        )
    conditions = [item[2] for item in kept]
    predicted = np.array([item[3] for item in kept])
    table, notes = _table(model, conditions, predicted, (placed, base), request)
    if n_undefined:
        said = (
            f"{n_undefined:,} of {n_done:,} candidates are predicted to change all of these genes "
            "alike, or not at all, so that they have no correlation and are not ranked."
        )
        notes = (said, *notes)
    return Ranking(table, n_done, len(placed.columns), (*sweep.notes, *placed.notes, *notes))


def _closeness(
    predicted: DoubleArray, placed: PlacedState, base: DoubleArray, by: str
) -> DoubleArray:
    """Return how close predictions are, higher is closer, (n,); NaN where that is undefined."""
    if by == "euclidean":
        return -_distances(predicted, placed)
    return _correlations(predicted, base, placed.change)


def _distances(predicted: DoubleArray, placed: PlacedState) -> DoubleArray:
    found: DoubleArray = np.linalg.norm(predicted - placed.expression, axis=-1)
    return found


def _correlations(predicted: DoubleArray, base: DoubleArray, wanted: DoubleArray) -> DoubleArray:
    """Pearson correlation over genes of predicted and wanted change.

    Args:
        predicted: Predicted expression, (n, m).
        base: Expression in control, (m,).
        wanted: Wanted change, (m,).

    Returns:
        (n,); NaN where either change is the same in all genes, but for rounding in float32.
    """
    changes = predicted - base
    centred = changes - changes.mean(axis=-1, keepdims=True)
    aim = wanted - wanted.mean()
    size = np.linalg.norm(centred, axis=-1)
    rounding = np.finfo(np.float32).eps * np.linalg.norm(predicted, axis=-1)
    scale = np.where(size > rounding, size, 0.0) * np.linalg.norm(aim)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: DoubleArray = np.where(scale > 0, centred @ aim / scale, np.nan)
    return found


def _table(
    model: DyGenePTModel,
    conditions: list[Condition],
    predicted: DoubleArray,
    wanted: tuple[PlacedState, DoubleArray],
    request: RankRequest,
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    import polars as pl

    placed, base = wanted
    n = len(conditions)
    spread = model.spread(conditions)
    sds: dict[str, list[float] | list[None]] = dict.fromkeys(
        ("correlation_sd", "distance_sd", "share_first"), [None] * n
    )
    notes: tuple[str, ...] = ()
    if spread is None:
        notes = ("The model states no uncertainty: it is one network without a closed-form start.",)
    else:
        rng = np.random.default_rng(request.seed)
        correlations, distances = np.empty((N_DRAWS, n)), np.empty((N_DRAWS, n))
        for draw in range(N_DRAWS):
            errors = rng.standard_normal(predicted.shape) * spread[:, placed.columns]
            correlations[draw] = _correlations(predicted + errors, base, placed.change)
            distances[draw] = _distances(predicted + errors, placed)
        closeness = correlations if request.by == "correlation" else -distances
        first = np.bincount(np.nanargmax(closeness, axis=1), minlength=n) / N_DRAWS
        sds = {
            "correlation_sd": correlations.std(axis=0).tolist(),
            "distance_sd": distances.std(axis=0).tolist(),
            "share_first": first.tolist(),
        }
        notes = ("Uncertainties take the errors of genes as independent of each other.",)
    correlation = _correlations(predicted, base, placed.change)
    table = pl.DataFrame(
        {
            "rank": list(range(1, n + 1)),
            "perturbation": [condition.label for condition in conditions],
            "cell_type": [condition.cell_type for condition in conditions],
            "correlation": pl.Series(correlation, nan_to_null=True),
            "distance": _distances(predicted, placed),
            **sds,
        },
        schema_overrides=dict.fromkeys(sds, pl.Float64),
    )
    return table, notes
