"""When do gradient steps add to the closed form? Learning curves over the number of perturbations.

    python benchmarks/learning_curves/study.py OUTPUT.json --dataset sim:k562 --seeds 42 43
    python benchmarks/learning_curves/study.py OUTPUT.json --dataset k562-dir.csv.gz
    python benchmarks/learning_curves/study.py OUTPUT.json --dataset sim:k562 --effects go40
    python benchmarks/learning_curves/study.py OUTPUT.json --dataset sim:k562 --perturbations 1900
    python benchmarks/learning_curves/study.py OUTPUT.json --dataset sim:k562@0.1 --group full

holds out a fixed part of the single perturbations and trains on nested random subsets of the
others; every seed is another split, and the table has the mean over seeds ± its standard error.
``compared.py`` has the models: ``steps`` asks what gradient steps add to the closed form of
``dygenept_small``, ``full`` how the training of ``dygenept`` and ``dygenept_large`` fares. A fit
that the output file has already is not measured again, so that a study can be stopped, continued,
and given further sizes, seeds and models. ``docs/benchmarks.md`` shows the result; ``figures.py``
draws it.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import numpy as np
import torch
from compared import Compared, models_of
from planted_subsets import EFFECTS, planted

import dygenept as dg
from dygenept.data.simulated import profiles
from dygenept.data.simulated.profiles import SIMULATION_VERSION, profile_named
from dygenept.plugin.environment import Environment
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.types import PerturbationData
from dygenept_plugins.datasets import simulated

METRIC = "pearson_delta_top20"
METRIC_OF_TABLES = "auroc_gene_n5"
SIZES = (20, 60, 200, 500, 1000, 1500)
TEST_SHARE = 0.2
SHOWN = (
    "typical_exponent",
    "identity_share",
    "knowledge_share",
    "epochs_trained",
    "epochs_kept",
    "share_of_steps_added",
    "share_changed_by_steps",
    "share_reordered_by_steps",
    "score_closed_form_start",
    "score_random_start",
    "held_out_score_of_start",
    "held_out_score_with_steps",
    "validation_error_of_start",
    "validation_error_with_steps",
    "validation_error_from_means",
    "standard_error_of_gain",
)
# What tells a fit from others.
Key = tuple[int, int, str]


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


@contextmanager
def other_sizes(name: str, n_singles: int | None, n_genes: int | None) -> Iterator[None]:
    """Let the full-size data set of a profile have other numbers meanwhile.

    Each perturbation has as many cells as before, so that effects and noise are those of the
    profile.

    Args:
        name: Of a simulated data set, such as ``sim:k562``.
        n_singles: Single perturbations; None leaves them.
        n_genes: Output genes; None leaves them.
    """
    shape = profile_named(name.removeprefix("sim:").partition("@")[0])
    n_singles, n_genes = n_singles or shape.n_singles, n_genes or shape.n_genes
    n_more = n_singles - shape.n_singles
    n_cells = shape.n_cells + round(shape.cells_per_perturbation * n_more)
    more = replace(shape, n_singles=n_singles, n_genes=n_genes, n_cells=n_cells)
    changed = MappingProxyType({**profiles.PROFILES, shape.name: more})
    with (
        mock.patch.object(profiles, "PROFILES", changed),
        mock.patch.object(simulated, "PROFILES", changed),
    ):
        yield


@contextmanager
def opened(given: argparse.Namespace) -> Iterator[tuple[PerturbationData, Environment]]:
    """Open the data set; simulated ones of other effects or sizes have a folder of their own."""
    scale = {} if given.scale is None else {"scale": given.scale}
    with ExitStack() as stack:
        environment = Environment.load()
        changed = (given.effects, given.perturbations, given.genes)
        if any(changed):
            folder = given.screens or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            own = folder / "-".join(str(each or "shipped") for each in changed)
            environment = Environment.load(data_dir=own)
            stack.enter_context(other_sizes(given.dataset, *changed[1:]))
        if given.effects:
            stack.enter_context(planted(EFFECTS[given.effects]))
        yield dg.load_dataset(given.dataset, environment=environment, **scale), environment


def measured(
    data: PerturbationData,
    environment: Environment,
    manifest: Path,
    compared: Compared,
    *,
    seed: int,
    steps: int,
) -> dict[str, object]:
    """Fit and score one model on one fold.

    Raises:
        SystemExit: If the model refuses it.
    """
    of_score = metric_of(data)
    started = time.process_time()
    request = BenchRequest(
        dataset=data.name,
        opened=data,
        split="manifest",
        split_options={"path": str(manifest)},
        seed=seed,
        results=manifest.parent / "results",
        models=(compared.model,),
        metrics=(of_score,),
        overrides=compared.overrides(steps),
    )
    outcome = run_bench(request, environment)
    if outcome.failures:
        raise SystemExit("; ".join(f"{job}: {why}" for job, why in outcome.failures.items()))
    (record,) = outcome.records
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
    """Measure every model at every size; the file is written anew after each fit.

    Raises:
        SystemExit: If the file is of another study.
    """
    described: dict[str, object] = {
        "schema_version": 2,
        "dataset": given.dataset,
        "scale": given.scale,
        "effects": given.effects,
        "perturbations": given.perturbations,
        "genes": given.genes,
        "simulated": str(given.dataset).startswith("sim:"),
        "simulation_version": SIMULATION_VERSION,
        "group": given.group,
        "steps": given.steps,
    }
    rows = rows_before(given.output, described)
    with opened(given) as (data, environment), tempfile.TemporaryDirectory() as folder:
        document: dict[str, object] = {
            **described,
            "metric": metric_of(data),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
            "rows": rows,
        }
        models = models_of(data, given.group)
        wanted = given.models or list(models)
        if unknown := [name for name in wanted if name not in models]:
            raise SystemExit(f"no model {unknown[0]!r}; there are {', '.join(models)}")
        for seed, size, name, manifest in _fits(data, given, wanted, Path(folder)):
            if (seed, size, name) in {key_of(row) for row in rows}:
                continue
            row = {"n": size, "n_test": len(parts(data, seed)[1]), "seed": seed, "model": name}
            fitted = models[name]
            found = measured(data, environment, manifest, fitted, seed=seed, steps=given.steps)
            rows.append({**row, **found})
            sys.stderr.write(f"{rows[-1]}\n")
            given.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return document


def _fits(
    data: PerturbationData, given: argparse.Namespace, names: Sequence[str], folder: Path
) -> Iterator[tuple[int, int, str, Path]]:
    """Yield seed, size, model and the fold's file of all that is to be measured."""
    for seed in given.seeds:
        known, test = parts(data, seed)
        for size in sorted({min(n, len(known)) for n in given.sizes}):
            for name in names:
                with tempfile.TemporaryDirectory(dir=folder) as own:
                    manifest = Path(own) / "fold.json"
                    manifest.write_text(json.dumps(fold(known[:size], test)), encoding="utf-8")
                    yield seed, size, name, manifest


def rows_before(output: Path, described: Mapping[str, object]) -> list[dict[str, Any]]:
    """Return what a file has of this study.

    Raises:
        SystemExit: If the file is of another study.
    """
    if not output.exists():
        return []
    before = json.loads(output.read_text(encoding="utf-8"))
    for name, value in described.items():
        if before.get(name) != value:
            raise SystemExit(f"{output} is of {name} {before.get(name)!r}, not {value!r}")
    found: list[dict[str, Any]] = before["rows"]
    return found


def key_of(row: Mapping[str, Any]) -> Key:
    """Return what tells a fit from others."""
    return row["seed"], row["n"], row["model"]


def table(document: Mapping[str, Any]) -> str:
    """Return the mean over seeds ± its standard error as Markdown: sizes down, models across."""
    rows = document["rows"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = [
        "| train perturbations | " + " | ".join(models) + " |",
        "|---" * (len(models) + 1) + "|",
    ]
    for size in sorted({row["n"] for row in rows}):
        scores = [[r["score"] for r in rows if key_of(r)[1:] == (size, name)] for name in models]
        lines.append(f"| {size:,} | " + " | ".join(shown(each) for each in scores) + " |")
    return "\n".join(lines)


def shown(scores: Sequence[float]) -> str:
    """Return the mean, with its standard error where there are several scores."""
    if not scores:
        return ""
    if len(scores) == 1:
        return f"{scores[0]:.3f}"
    return f"{np.mean(scores):.3f} ± {np.std(scores, ddof=1) / len(scores) ** 0.5:.3f}"


def differences(document: Mapping[str, Any], reference: str) -> str:
    """Return each model's difference from another on the same splits, as ``table``; "" of none."""
    scores = {key_of(row): row["score"] for row in document["rows"]}
    rows = [
        {**row, "score": row["score"] - scores[*key_of(row)[:2], reference]}
        for row in document["rows"]
        if row["model"] != reference and (*key_of(row)[:2], reference) in scores
    ]
    return table({"rows": rows}) if rows else ""


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    made.add_argument("output", type=Path, help="JSON file to write, or to add to")
    made.add_argument("--dataset", default="sim:k562", help="a registered data set or a file")
    made.add_argument("--scale", type=float, help="shrinks a simulated data set")
    made.add_argument("--effects", choices=sorted(EFFECTS), help="plants others in it")
    made.add_argument("--perturbations", type=int, help="single ones of a full-size one")
    made.add_argument("--genes", type=int, help="output genes of a full-size one")
    made.add_argument("--screens", type=Path, help="keeps data sets of the last three options")
    made.add_argument("--group", choices=("steps", "full"), default="steps")
    made.add_argument("--models", nargs="+", help="some of the group's; all without")
    made.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    made.add_argument("--steps", type=int, default=500, help="N, the most steps")
    made.add_argument("--seeds", type=int, nargs="+", default=[42], help="one split each")
    made.add_argument("--against", default="closed form", help="model to show differences from")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write JSON and print the tables."""
    command = parser()
    given = command.parse_args(arguments)
    changed = given.effects or given.perturbations or given.genes
    if changed and not given.dataset.startswith("sim:"):
        command.error("--effects, --perturbations and --genes are of simulated data sets")
    document = study(given)
    sys.stdout.write(f"{table(document)}\n")
    if less := differences(document, given.against):
        sys.stdout.write(f"\nless {given.against}:\n\n{less}\n")


if __name__ == "__main__":
    main()
