"""Writes a results folder of many records, as many benches on many data sets leave it.

    python benchmarks/speed/many_records.py FOLDER [N]

Half of the records share one metric's values with another model, so that ties occur.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from dygenept.results.provenance import DatasetRecord, SplitRecord
from dygenept.results.records import MetricRecord, RunRecord, TimingRecord, ValueRecord
from dygenept.results.store import key_of

METRICS = ("pearson_delta_top20", "mse_top20", "pearson_delta", "mse", "mae", "de_overlap")
N_MODELS, N_FOLDS, N_HELD_OUT = 10, 5, 20


def record(number: int) -> RunRecord:
    """Return one record; fifty of them, ten models on five folds, are one leaderboard."""
    board, job = divmod(number, N_MODELS * N_FOLDS)
    model, fold = divmod(job, N_FOLDS)
    name = "perturbed_mean" if model == 0 else f"model_{model}"
    labels = [f"G{fold * N_HELD_OUT + place}+ctrl" for place in range(N_HELD_OUT)]
    rng = np.random.default_rng([board, model // 2, fold])
    return RunRecord(
        key=key_of({"number": number}),
        model=name,
        base_model=name,
        role="baseline" if model < 5 else "model",
        suite="custom",
        dataset=DatasetRecord(
            name=f"screen_{board}",
            sha256=key_of({"board": board}),
            n_cells=10_000,
            n_genes=5_000,
            n_perturbations=N_FOLDS * N_HELD_OUT,
            simulated=False,
        ),
        split=SplitRecord(
            name="kfold", version=1, seed=42, n_folds=N_FOLDS, sha256=key_of({"split": board})
        ),
        fold=fold,
        seed=42,
        config={},
        de_list="top_non_dropout_de_20",
        de_origin="file",
        subgroups={"unseen_single": tuple(labels)},
        effects={"K562": dict(zip(labels, rng.random(N_HELD_OUT).tolist(), strict=True))},
        metrics=tuple(
            MetricRecord(
                name=metric,
                higher_is_better=not metric.startswith("m"),
                neutral=0.0 if metric.startswith("pearson") else None,
                de_list=None,
                values=tuple(
                    ValueRecord(
                        perturbation=label,
                        cell_type="K562",
                        value=value if value > 0.02 else None,
                        reason=None if value > 0.02 else "constant prediction",
                    )
                    for label, value in zip(labels, rng.random(N_HELD_OUT).tolist(), strict=True)
                ),
            )
            for metric in METRICS
        ),
        timings=TimingRecord(fit_s=1.0, predict_s=0.1, score_s=0.1),
        peak_memory_bytes=1 << 30,
        device="cpu",
        versions={"python": "3.11.0", "dygenept": "0.1.0"},
        plugins=(),
        predictions=None,
        created="2026-01-01T00:00:00+00:00",
    )


def write_records(folder: Path, n_records: int) -> None:
    """Write so many records into ``runs/`` of a folder."""
    runs = folder / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for number in range(n_records):
        made = record(number)
        (runs / f"{made.key}.json").write_text(made.model_dump_json(indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="results folder to write to")
    parser.add_argument("n_records", type=int, nargs="?", default=20_000, metavar="N")
    asked = parser.parse_args()
    write_records(asked.folder, asked.n_records)
