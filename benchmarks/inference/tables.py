"""How often do the two-way intervals of tables of effects hold? A simulation, seeded.

    python benchmarks/inference/tables.py FOLDER [TABLES]

writes ``tables.json``: coverage of 95 % intervals of the mean area under the ROC curve per gene
(per perturbation, where folds are of one or two of them) and of the difference of two models, and
how often two equally good models are told apart at 5 %, over ``TABLES`` simulated tables (400).
They are scored as any table is. Labels depend on latent factors of perturbations, which all genes
share, and of genes; predictions see these factors through noise, part of which is a perturbation's
own and so shared by all genes. The truth is the mean over tables so large that it varies little.
Beside the two-way intervals: those of genes alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from dygenept.evaluation.effect_scoring import score_effects
from dygenept.evaluation.two_way import Fold, TwoWay, joined
from dygenept.plugin import EffectMetricSpec
from dygenept.plugin.interfaces import EffectMetric
from dygenept.types import Condition, EffectTable, Perturbation, PerturbationData, Predictions
from dygenept_plugins.effect_metrics import areas

Array = npt.NDArray[np.float64]
Row = dict[str, str | int | float]

N_FACTORS = 3
LARGE = (800, 800)
N_LARGE = 12
TYPE = "cell"


@dataclass(frozen=True, slots=True)
class Size:
    """A table: perturbations, genes, the share of pairs that is measured, folds, and the metric."""

    perturbations: int
    genes: int
    measured: float
    folds: int = 1
    metric: str = "auroc_gene_n5"


SIZES = (
    Size(15, 60, 0.5),
    Size(40, 60, 0.5),
    Size(40, 300, 0.5),
    Size(150, 60, 0.5),
    Size(60, 200, 0.15),
    Size(150, 300, 0.05),
    Size(100, 60, 0.5, folds=5),
    # Folds of one perturbation each, which are not resampled within, and of two.
    Size(20, 60, 0.5, folds=20, metric="auroc_perturbation"),
    Size(40, 60, 0.5, folds=40, metric="auroc_perturbation"),
    Size(40, 60, 0.5, folds=20, metric="auroc_perturbation"),
)


@dataclass(frozen=True, slots=True)
class Model:
    """How a model sees the factors.

    Attributes:
        signal: How much of the truth it sees.
        shared: Size of noise in the perturbations' factors, alike for all genes.
    """

    signal: float
    shared: float


MODELS = {"weak": Model(0.5, 1.0), "strong": Model(1.0, 0.5), "as strong": Model(1.0, 0.5)}
PAIRS = {"difference": ("strong", "weak"), "no difference": ("strong", "as strong")}


def main(folder: Path, n_tables: int = 400) -> None:
    """Simulate and write."""
    truth = {metric: _truth(metric) for metric in dict.fromkeys(size.metric for size in SIZES)}
    rows: list[Row] = []
    for size in SIZES:
        hits: dict[tuple[str, str], list[bool]] = {}
        for number in range(n_tables):
            for key, hit in _hits(size, number, truth[size.metric]).items():
                hits.setdefault(key, []).append(hit)
        rows += [
            {
                "perturbations": size.perturbations,
                "genes": size.genes,
                "measured": size.measured,
                "folds": size.folds,
                "metric": size.metric,
                "value": what,
                "spread": how,
                "coverage": round(float(np.mean(found)), 4),
            }
            for (what, how), found in hits.items()
        ]
    document = {"tables": n_tables, "truth": truth, "coverage": rows}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables.json").write_text(json.dumps(document, indent=1) + "\n")


def _hits(size: Size, number: int, truth: Mapping[str, float]) -> dict[tuple[str, str], bool]:
    """Return whether each interval of a simulated table holds, by value and kind of spread."""
    depends_on = (size.perturbations, size.genes, round(100 * size.measured), number)
    simulated = _simulated(np.random.default_rng(depends_on), size)
    means, spreads = _scored(simulated, size, name="-".join(map(str, depends_on)))
    for pair, (first, second) in PAIRS.items():
        means[pair] = means[first] - means[second]
        spreads[pair] = spreads[first].minus(spreads[second])
    found = {}
    for what, mean in means.items():
        for how, spread in (
            ("two-way", spreads[what]),
            ("genes alone", _of_genes_alone(spreads[what])),
        ):
            low, high = spread.interval(mean) or (-np.inf, np.inf)
            found[what, how] = bool(low <= truth[what] <= high)
    return found


def _of_genes_alone(spread: TwoWay) -> TwoWay:
    nothing = np.zeros_like(spread.genes)
    return replace(spread, perturbations=nothing, pairs=nothing, n_perturbations=spread.n_genes)


@dataclass(frozen=True, slots=True)
class Simulated:
    """Labels, NaN where not measured, and each model's predictions, (n, G)."""

    labels: Array
    predictions: Mapping[str, Array]


def _simulated(rng: np.random.Generator, size: Size) -> Simulated:
    own = rng.standard_normal((size.perturbations, N_FACTORS))
    genes = rng.standard_normal((size.genes, N_FACTORS))
    signal = own @ genes.T / N_FACTORS**0.5
    bias = rng.normal(0.0, 0.5, size.genes)
    labels = (signal + bias + rng.standard_normal(signal.shape) > 0).astype(np.float64)
    predictions = {}
    for name, model in MODELS.items():
        seen = model.signal * own + model.shared * rng.standard_normal(own.shape)
        noise = 0.5 * rng.standard_normal(signal.shape)
        predictions[name] = seen @ genes.T / N_FACTORS**0.5 + noise
    measured = rng.random(signal.shape) < size.measured
    return Simulated(np.where(measured, labels, np.nan), predictions)


def _scored(
    simulated: Simulated, size: Size, *, name: str
) -> tuple[dict[str, float], dict[str, TwoWay]]:
    """Return each model's mean over genes and folds, and its resamples."""
    data = _data(simulated.labels, name)
    metrics = _metrics(size.metric)
    means, spreads = {}, {}
    for model, predicted in simulated.predictions.items():
        values, of_folds = [], []
        folds = np.array_split(np.arange(len(data.conditions)), size.folds)
        for number, fold in enumerate(folds):
            held_out = Predictions(tuple(data.conditions[row] for row in fold), predicted[fold])
            ((_, score),) = score_effects(metrics, held_out, data)
            defined = score.values[~np.isnan(score.values)]
            if len(defined):
                values.append(defined)
                mean = float(defined.mean())
                of_folds.append(Fold(score.resampled, len(defined), mean, number))
        means[model] = float(np.concatenate(values).mean())
        spreads[model] = joined(of_folds)
    return means, spreads


def _data(labels: Array, name: str) -> PerturbationData:
    n_perturbations, n_genes = labels.shape
    perturbed = [f"P{number:04}" for number in range(n_perturbations)]
    genes = tuple(f"G{number:04}" for number in range(n_genes))
    nobody = np.zeros(0, dtype=np.int32)
    written = {f"{gene}+ctrl": f"{gene}+ctrl" for gene in perturbed}
    return PerturbationData(
        name=name,
        source="simulated",
        sha256=name,
        is_simulated=True,
        expression=sparse.csr_matrix((0, n_genes), dtype=np.float32),
        gene_ids=genes,
        gene_symbols=genes,
        cell_ids=np.zeros(0, dtype=object),
        conditions=tuple(
            Condition(Perturbation(f"{gene}+ctrl", (gene,)), TYPE) for gene in perturbed
        ),
        condition_codes=nobody,
        cell_types=(TYPE,),
        cell_type_codes=nobody,
        raw_labels=tuple(written),
        raw_to_label=written,
        effects=EffectTable("labels", labels),
    )


def _metrics(name: str) -> list[tuple[EffectMetricSpec, EffectMetric]]:
    specs = [spec for spec in areas.dygenept_effect_metrics() if spec.name == name]
    return [(spec, spec.factory(spec.config())) for spec in specs]


def _truth(metric: str) -> dict[str, float]:
    """Return each model's mean over tables so large that it varies little."""
    found: dict[str, list[float]] = {}
    for number in range(N_LARGE):
        simulated = _simulated(np.random.default_rng([7, number]), Size(*LARGE, 0.5))
        for name, predicted in simulated.predictions.items():
            found.setdefault(name, []).append(_mean_area(metric, simulated.labels, predicted))
    means = {name: float(np.mean(values)) for name, values in found.items()}
    # The two are alike by construction.
    alike = (means["strong"] + means["as strong"]) / 2
    means |= {"strong": alike, "as strong": alike}
    return {**means, **{pair: means[one] - means[two] for pair, (one, two) in PAIRS.items()}}


def _mean_area(metric: str, labels: Array, predicted: Array) -> float:
    """Return the mean area per gene or per perturbation, without resamples."""
    data = _data(labels, "large")
    ((_, score),) = score_effects(
        _metrics(metric), Predictions(data.conditions, predicted), data, n_resamples=0
    )
    return float(np.nanmean(score.values))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
