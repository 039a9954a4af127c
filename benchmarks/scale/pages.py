"""Processor time and size of pages and sites at full scale, from made-up results.

Writes a results folder of made-up scores and predictions, then builds from it::

    python benchmarks/scale/pages.py FOLDER                 # a page: 20 models, 1,092 perturbations
    python benchmarks/scale/pages.py FOLDER --boards 10 --models 10 --perturbations 200

With several boards a site is built, with one the page. A folder that is there is used as it is.
Prints seconds of processor time and sizes, and ends with 1 where a page misses its promise: 1.5 MB,
and 5 s (one board) or 30 s (a site of ten). SIMULATED.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from dygenept.results.provenance import DatasetRecord, SplitRecord
from dygenept.results.records import MetricRecord, RunRecord, TimingRecord, ValueRecord
from dygenept.results.store import ResultsStore, key_of
from dygenept.results.top_changes import keep_top_changes
from dygenept.results.truth import keep_truth
from dygenept.types import (
    Condition,
    DeGenes,
    Perturbation,
    PerturbationData,
    Predictions,
    Pseudobulk,
)

N_FOLDS, N_CELLS = 5, 40
METRICS = (
    "pearson_delta_top20 pearson_delta mse_top20 mse mae de_overlap direction cosine_delta "
    "perturbation_rank centroid_accuracy r2_delta spearman_delta auprc_de"
).split()
SMALLER = frozenset(("mse_top20", "mse", "mae"))
MOST_BYTES = 1_500_000
MOST_PAGE_S, MOST_SITE_S = 5.0, 30.0


def symbols(n: int) -> tuple[str, ...]:
    """Return real gene symbols."""
    from dygenept.knowledge.genes.tables import load_gene_tables

    return tuple(sorted(load_gene_tables().protein_coding)[:n])


def write_results(
    folder: Path, *, boards: int, models: int, perturbations: int, genes: int
) -> None:
    """Write records, predictions and truths of made-up boards."""
    store, names = ResultsStore(folder), symbols(genes)
    targets = symbols(perturbations)
    conditions = tuple(Condition(Perturbation(f"{of}+ctrl", (of,)), "K562") for of in targets)
    for board in range(boards):
        rng = np.random.default_rng(board)
        data = _data(f"made_up_{board}", names, conditions)
        delta = rng.normal(0.0, 0.3, (len(conditions), genes)) * (rng.random(genes) < 0.1)
        control = rng.gamma(1.0, 0.5, (1, genes)).astype(np.float64)
        top = np.argsort(-np.abs(delta), axis=1)[:, :20].astype(np.int32)
        means = Pseudobulk(
            means=control + delta,
            n_cells=np.full(len(conditions), N_CELLS, dtype=np.int32),
            control_means=control,
        )
        de = DeGenes("top_non_dropout_de_20", "file", top)
        keep_truth(store, data, means, de)
        for model in range(models):
            for fold in range(N_FOLDS):
                held_out = range(fold, len(conditions), N_FOLDS)
                own = [conditions[place] for place in held_out]
                noise = rng.normal(0.0, 0.1 + 0.02 * model, (len(own), genes))
                expression = (control + 0.7 * delta[list(held_out)] + noise).astype(np.float32)
                record = _record(data, own, model, fold, rng)
                predictions = Predictions(tuple(own), expression.astype(np.float64))
                kept = store.write_predictions(record.key, predictions, names)
                keep_top_changes(store, kept, predictions, data, (means, de))
                store.write(record.model_copy(update={"predictions": kept}))


def _data(name: str, genes: tuple[str, ...], conditions: tuple[Condition, ...]) -> PerturbationData:
    from scipy import sparse

    n = len(conditions)
    labels = tuple(of.label for of in conditions)
    return PerturbationData(
        name=name,
        source="made up",
        sha256=key_of({"name": name}),
        is_simulated=True,
        expression=sparse.csr_matrix((n + 1, len(genes)), dtype=np.float32),
        gene_ids=genes,
        gene_symbols=genes,
        cell_ids=np.asarray([f"c{place}" for place in range(n + 1)], dtype=object),
        conditions=conditions,
        condition_codes=np.arange(-1, n, dtype=np.int32),
        cell_types=("K562",),
        cell_type_codes=np.zeros(n + 1, dtype=np.int32),
        raw_labels=labels,
        raw_to_label=dict(zip(labels, labels, strict=True)),
    )


def _record(
    data: PerturbationData,
    held_out: list[Condition],
    model: int,
    fold: int,
    rng: np.random.Generator,
) -> RunRecord:
    name = (
        ("perturbed_mean", "control_mean", "technical_duplicate")[model]
        if model < 3
        else (f"model_{model}[attention=softmax,decoder=bilinear]")
    )
    labels = [of.label for of in held_out]
    level = 0.2 + 0.03 * model
    return RunRecord(
        key=key_of({"data": data.name, "model": model, "fold": fold}),
        model=name,
        base_model=name.partition("[")[0],
        role="ceiling" if model == 2 else "baseline" if model < 8 else "model",
        suite="custom",
        dataset=DatasetRecord.of(data),
        split=SplitRecord(
            name="kfold", version=1, seed=42, n_folds=N_FOLDS, sha256=key_of({"split": data.name})
        ),
        fold=fold,
        seed=42,
        config={"alpha": 1.0},
        de_list="top_non_dropout_de_20",
        de_origin="file",
        subgroups={"unseen_single": tuple(labels)},
        effects={
            "K562": {
                label: float(size)
                for label, size in zip(labels, rng.gamma(1.0, 1.0, len(labels)), strict=True)
            }
        },
        metrics=tuple(
            MetricRecord(
                name=metric,
                higher_is_better=metric not in SMALLER,
                neutral=0.0 if metric.startswith("pearson") else None,
                de_list=None,
                values=tuple(
                    ValueRecord(perturbation=label, cell_type="K562", value=value)
                    for label, value in zip(
                        labels,
                        (level + rng.normal(0.0, 0.2, len(labels))).tolist(),
                        strict=True,
                    )
                ),
            )
            for metric in METRICS
        ),
        timings=TimingRecord(fit_s=1.0 + model, predict_s=0.1, score_s=0.1),
        peak_memory_bytes=1 << 30,
        device="cpu",
        versions={},
        plugins=(),
        predictions=None,
        created=f"2026-01-{fold + 1:02d}T00:00:00+00:00",
    )


def _build(folder: Path, output: Path) -> tuple[float, list[Path]]:
    """Run the command in this process, and return its processor time and what it wrote."""
    from dygenept_cli.main import app

    start = time.process_time()
    arguments = (
        ["leaderboard", "--results", str(folder), "--format", "html", "--output", str(output)]
        if output.suffix
        else ["site", "build", str(folder), "--output", str(output)]
    )
    app(arguments, standalone_mode=False)
    return time.process_time() - start, [output] if output.suffix else [*output.rglob("*.html")]


def main() -> None:
    """Write results where there are none, build, print and judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    for flag, default in (("boards", 1), ("models", 20), ("perturbations", 1092), ("genes", 5000)):
        parser.add_argument(f"--{flag}", type=int, default=default)
    asked = parser.parse_args()
    if not asked.folder.exists():
        write_results(
            asked.folder,
            **{
                name: getattr(asked, name)
                for name in ("boards", "models", "perturbations", "genes")
            },
        )
    output = asked.folder.with_name(
        f"{asked.folder.name}.html" if asked.boards == 1 else f"{asked.folder.name}-site"
    )
    seconds, pages = _build(asked.folder, output)
    largest = max(page.stat().st_size for page in pages)
    found = {"cpu_s": round(seconds, 2), "pages": len(pages), "largest_page_bytes": largest}
    sys.stdout.write(json.dumps(found) + "\n")
    limit = MOST_PAGE_S if asked.boards == 1 else MOST_SITE_S
    if seconds > limit or largest > MOST_BYTES:
        sys.exit(f"missed: {limit:g} s and {MOST_BYTES:,} bytes are promised")


if __name__ == "__main__":
    main()
