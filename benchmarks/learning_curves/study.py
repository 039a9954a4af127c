"""When do gradient steps add to the closed form? Learning curves over the number of perturbations.

    python benchmarks/learning_curves/study.py OUTPUT.json --dataset sim:k562 --scale 0.05
    python benchmarks/learning_curves/study.py OUTPUT.json --dataset k562-dir.csv.gz

holds out a fixed part of the single perturbations and trains on nested random subsets of the
others. On cells it compares the linear model, the closed-form start of ``dygenept_small`` by
itself, the registered model (20 steps where train perturbations that are held out of them gain),
the 20 steps in any case, many steps with early stopping, and steps from random first weights. On a
table of effects it compares ``ridge_go``, the start, the
registered model, which adds its steps only where held-out train perturbations gain by them, and
the same with steps added in any case. ``docs/benchmarks.md`` shows the result; ``figures.py``
draws it.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import dygenept as dg
from dygenept.model.overrides import Overrides
from dygenept.plugin.environment import Environment
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.types import PerturbationData

METRIC = "pearson_delta_top20"
METRIC_OF_TABLES = "auroc_gene_n5"
SIZES = (20, 50, 100, 200, 500, 1000, 1500)
TEST_SHARE = 0.2
SHOWN = (
    "epochs_kept",
    "share_of_steps_added",
    "share_changed_by_steps",
    "validation_error_of_start",
    "validation_error_with_steps",
    "standard_error_of_gain",
)
ALWAYS = "training.keep_steps=always"
LONG = (
    ALWAYS,
    "training.fit_on_validation=false",
    "training.patience=3",
    "training.steps_per_epoch=25",
    "training.lr=1e-4",
)
# From a shown name to the registered model and its settings.
MODELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "linear_loo": ("linear_loo", ()),
    "closed form": ("dygenept_small", ("training.epochs=0",)),
    "20 steps if better": ("dygenept_small", ()),
    "20 steps": ("dygenept_small", (ALWAYS,)),
    "up to N steps": ("dygenept_small", LONG),
    "random start, up to N steps": ("dygenept_small", (*LONG, "training.warm_start=false")),
}
MODELS_OF_TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ridge_go": ("ridge_go", ()),
    "closed form": ("dygenept_small", ("table.epochs=0",)),
    "closed form, steps if better": ("dygenept_small", ()),
    "closed form, steps in any case": ("dygenept_small", ("table.standard_errors=-1000",)),
}


def models_of(data: PerturbationData) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the compared models."""
    return MODELS if data.effects is None else MODELS_OF_TABLES


def metric_of(data: PerturbationData) -> str:
    """Return the metric that is shown."""
    return METRIC if data.effects is None else METRIC_OF_TABLES


def parts(data: PerturbationData, seed: int) -> tuple[list[str], list[str]]:
    """Return perturbations to learn from, in random order, and those that are held out."""
    labels = sorted(p.label for p in data.perturbations if len(p.genes) == 1)
    order = np.random.default_rng(seed).permutation(len(labels))
    mixed = [labels[place] for place in order]
    n_test = max(1, round(TEST_SHARE * len(mixed)))
    return mixed[n_test:], mixed[:n_test]


def fold(known: Sequence[str], test: Sequence[str]) -> dict[str, object]:
    """Return a fold; a tenth of what is known is for validation."""
    n_val = max(2, len(known) // 10)
    return {"train": list(known[n_val:]), "val": list(known[:n_val]), "test": list(test)}


def measured(
    data: PerturbationData, manifest: Path, name: str, given: argparse.Namespace
) -> dict[str, float | None]:
    """Fit and score one model on one fold."""
    model, sets = models_of(data)[name]
    of_score = metric_of(data)
    if "N steps" in name:
        sets = (*sets, f"training.epochs={max(1, given.steps // 25)}")
    started = time.process_time()
    request = BenchRequest(
        dataset=data.name,
        opened=data,
        split="manifest",
        split_options={"path": str(manifest)},
        seed=given.seed,
        results=manifest.parent / name,
        models=(model,),
        metrics=(of_score,),
        overrides=Overrides(parts={}, sets=sets),
    )
    (record,) = run_bench(request, Environment.load()).records
    (metric,) = (each for each in record.metrics if each.name == of_score)
    chosen = {
        name: float(value)
        for name in SHOWN
        if isinstance(value := record.chosen.get(name), int | float)
    }
    return {
        "score": float(np.mean([each.value for each in metric.values if each.value is not None])),
        "cpu_s": time.process_time() - started,
        **chosen,
    }


def study(given: argparse.Namespace) -> dict[str, object]:
    """Measure every model at every size; the file is written anew after each fit."""
    scale = {} if given.scale is None else {"scale": given.scale}
    data = dg.load_dataset(given.dataset, **scale)
    rows: list[dict[str, object]] = []
    document: dict[str, object] = {
        "schema_version": 1,
        "dataset": given.dataset,
        "scale": given.scale,
        "simulated": str(given.dataset).startswith("sim:"),
        "metric": metric_of(data),
        "steps": given.steps,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "rows": rows,
    }
    for repeat in range(given.repeats):
        known, test = parts(data, given.seed + repeat)
        for size in sorted({min(n, len(known)) for n in given.sizes}):
            with tempfile.TemporaryDirectory() as folder:
                manifest = Path(folder) / "fold.json"
                manifest.write_text(json.dumps(fold(known[:size], test)), encoding="utf-8")
                for name in models_of(data):
                    row = {"n": size, "n_test": len(test), "repeat": repeat, "model": name}
                    rows.append({**row, **measured(data, manifest, name, given)})
                    sys.stderr.write(f"{rows[-1]}\n")
                    text = json.dumps(document, indent=1)
                    given.output.write_text(text + "\n", encoding="utf-8")
    return document


def table(document: dict[str, object]) -> str:
    """Return the mean over repeats as a Markdown table: sizes down, models across."""
    rows = document["rows"]
    assert isinstance(rows, list)
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = [
        "| train perturbations | " + " | ".join(models) + " |",
        "|---" * (len(models) + 1) + "|",
    ]
    for size in sorted({row["n"] for row in rows}):
        cells = []
        for name in models:
            scores = [r["score"] for r in rows if (r["n"], r["model"]) == (size, name)]
            cells.append(f"{np.mean(scores):.3f}")
        lines.append(f"| {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, write JSON and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument("--dataset", default="sim:k562", help="a registered data set or a file")
    parser.add_argument("--scale", type=float, help="shrinks a simulated data set")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--steps", type=int, default=500, help="N, the most steps")
    parser.add_argument("--repeats", type=int, default=1, help="splits, from different seeds")
    parser.add_argument("--seed", type=int, default=42)
    given = parser.parse_args()
    sys.stdout.write(table(study(given)) + "\n")


if __name__ == "__main__":
    main()
