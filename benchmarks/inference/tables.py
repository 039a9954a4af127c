"""How often do the two-way intervals of tables of effects hold? A simulation, seeded.

    python benchmarks/inference/tables.py FOLDER [TABLES]

writes ``tables.json``: coverage of 95 % intervals of the mean area under the ROC curve per gene,
and of the difference of two models, over ``TABLES`` simulated tables (100). Labels depend on latent
factors of perturbations, which all genes share, and of genes; predictions see these factors through
noise, part of which is a perturbation's own and so shared by all genes. The truth is the mean over
tables so large that it varies little. Beside the two-way bootstrap: resamples of genes alone.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dygenept.evaluation.effect_scoring import interval
from dygenept.types import GroupedPairs
from dygenept.types.grouped import auroc

Array = npt.NDArray[np.float64]
Row = dict[str, str | int | float]

N_FACTORS = 3
N_RESAMPLES = 200
MIN_PAIRS = 5
MEASURED = 0.5
LARGE = (800, 800)
SIZES = ((15, 60), (40, 60), (40, 300), (150, 60))


@dataclass(frozen=True, slots=True)
class Model:
    """How a model sees the factors.

    Attributes:
        signal: How much of the truth it sees.
        shared: Size of noise in the perturbations' factors, alike for all genes.
    """

    signal: float
    shared: float


MODELS = {"weak": Model(0.5, 1.0), "strong": Model(1.0, 0.5)}


def main(folder: Path, n_tables: int = 100) -> None:
    """Simulate and write."""
    rows: list[Row] = []
    truth = _truth()
    for n_perturbations, n_genes in SIZES:
        hits: dict[tuple[str, str], list[bool]] = {}
        for number in range(n_tables):
            rng = np.random.default_rng([n_perturbations, n_genes, number])
            for (what, how), (low, high) in _intervals(rng, n_perturbations, n_genes).items():
                hits.setdefault((what, how), []).append(low <= truth[what] <= high)
        rows += [
            {
                "perturbations": n_perturbations,
                "genes": n_genes,
                "value": what,
                "resamples": how,
                "coverage": round(float(np.mean(found)), 3),
            }
            for (what, how), found in hits.items()
        ]
    document = {"tables": n_tables, "truth": truth, "coverage": rows}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables.json").write_text(json.dumps(document, indent=1) + "\n")


def _simulated(
    rng: np.random.Generator, n_perturbations: int, n_genes: int
) -> tuple[Array, dict[str, Array], Array]:
    """Return labels (n, G), predictions of each model (n, G), and which pairs are measured."""
    own = rng.standard_normal((n_perturbations, N_FACTORS))
    genes = rng.standard_normal((n_genes, N_FACTORS))
    signal = own @ genes.T / N_FACTORS**0.5
    bias = rng.normal(0.0, 0.5, n_genes)
    labels = (signal + bias + rng.standard_normal(signal.shape) > 0).astype(np.float64)
    predictions = {}
    for name, model in MODELS.items():
        seen = model.signal * own + model.shared * rng.standard_normal(own.shape)
        noise = 0.5 * rng.standard_normal(signal.shape)
        predictions[name] = seen @ genes.T / N_FACTORS**0.5 + noise
    measured = (rng.random(signal.shape) < MEASURED).astype(np.float64)
    return labels, predictions, measured


def _pairs(labels: Array, scores: Array, measured: Array, counts: Array) -> GroupedPairs:
    genes, rows = np.nonzero(measured.T)
    return GroupedPairs(
        kind="labels",
        groups=genes.astype(np.int32),
        n_groups=labels.shape[1],
        truth=labels[rows, genes],
        predicted=scores[rows, genes],
        counts=counts[:, rows],
    )


def _areas(labels: Array, scores: Array, measured: Array, counts: Array) -> Array:
    """Return the area of each gene in each resample, (B, G); NaN where it has few pairs."""
    pairs = _pairs(labels, scores, measured, counts)
    areas = auroc(pairs, labels=pairs.truth > 0.5, scores=pairs.predicted)
    few = np.bincount(pairs.groups, minlength=pairs.n_groups) < MIN_PAIRS
    areas[:, few] = np.nan
    return areas


def _mean(areas: Array, weights: Array) -> Array:
    """Return the mean over genes in each resample, (B,)."""
    weights = np.where(np.isnan(areas), 0.0, weights)
    total: Array = (weights * np.nan_to_num(areas)).sum(axis=1) / weights.sum(axis=1)
    return total


def _intervals(
    rng: np.random.Generator, n_perturbations: int, n_genes: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """Return 95 % intervals of each model's mean and of their difference, by kind of resample."""
    labels, predictions, measured = _simulated(rng, n_perturbations, n_genes)
    once = np.ones((1, n_perturbations))
    whole = {name: _areas(labels, scores, measured, once) for name, scores in predictions.items()}
    defined = ~np.isnan(whole["weak"])
    of_genes = rng.multinomial(n_genes, np.full(n_genes, 1 / n_genes), N_RESAMPLES) * defined
    drawn = rng.multinomial(
        n_perturbations, np.full(n_perturbations, 1 / n_perturbations), N_RESAMPLES
    ).astype(np.float64)
    found = {}
    means = {name: float(_mean(areas, defined * 1.0)[0]) for name, areas in whole.items()}
    draws = {
        "two-way": {
            name: _mean(_areas(labels, scores, measured, drawn), of_genes)
            for name, scores in predictions.items()
        },
        "genes alone": {name: _mean(areas, of_genes) for name, areas in whole.items()},
    }
    for how, of_models in draws.items():
        for name, values in of_models.items():
            found[name, how] = interval(means[name], values)
        gain = means["strong"] - means["weak"]
        found["difference", how] = interval(gain, of_models["strong"] - of_models["weak"])
    return found


def _truth() -> dict[str, float]:
    """Return each model's mean over tables so large that it varies little."""
    sums = dict.fromkeys(MODELS, 0.0)
    n_tables = 5
    for number in range(n_tables):
        labels, predictions, measured = _simulated(np.random.default_rng([7, number]), *LARGE)
        for name, scores in predictions.items():
            areas = _areas(labels, scores, measured, np.ones((1, LARGE[0])))
            sums[name] += float(np.nanmean(areas)) / n_tables
    return {**sums, "difference": sums["strong"] - sums["weak"]}


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
