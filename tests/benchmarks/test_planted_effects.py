"""On planted facet effects a model that reads gene knowledge must win, and must stop winning
when the knowledge is dealt to the wrong genes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dygenept.data.simulated.truth import PlantedTruth, read_truth
from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.model.overrides import Overrides
from dygenept.model.resolve import resolve_model
from dygenept.plugin.environment import Environment
from dygenept.results.records import RunRecord
from dygenept.runs.jobs import fold_job
from dygenept.runs.run_context import cut_split, open_run
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.types import no_report

DATASET = "sim:k562@0.03"
BASELINES = ("control_mean", "perturbed_mean", "matching_mean", "additive", "random_train")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("planted")


def request(folder: Path, models: Sequence[str], facets: str | None = None) -> BenchRequest:
    return BenchRequest(
        dataset=DATASET,
        models=tuple(models),
        overrides=Overrides(parts={}, facets=facets),
        n_folds=2,
        metrics=("pearson_delta_top20", "mse_top20"),
        results=folder / "results",
    )


def environment_in(folder: Path) -> Environment:
    return Environment.load(data_dir=folder / "data", cache_dir=folder / "cache", device="cpu")


@pytest.fixture(scope="module")
def records(folder: Path) -> tuple[RunRecord, ...]:
    environment = environment_in(folder)
    known = run_bench(request(folder, (*BASELINES, "dygenept_small")), environment)
    wrong = run_bench(request(folder, ("dygenept_small",), facets="shuffled"), environment)
    assert not known.failures
    assert not wrong.failures
    return known.records + wrong.records


def test_dygenept_small_beats_every_baseline_on_held_out_singles(
    records: tuple[RunRecord, ...],
) -> None:
    rows = {(row.model, row.metric): row for row in leaderboard_rows(records)}
    small = rows["dygenept_small", "pearson_delta_top20"]
    for baseline in BASELINES:
        assert small.total.ci_low > rows[baseline, "pearson_delta_top20"].total.pooled
        assert small.total.mean > rows[baseline, "pearson_delta_top20"].total.mean
        assert (
            rows["dygenept_small", "mse_top20"].total.pooled
            < rows[baseline, "mse_top20"].total.pooled
        )


def test_with_facets_shuffled_between_genes_the_gain_disappears(
    records: tuple[RunRecord, ...],
) -> None:
    rows = {
        row.model: row for row in leaderboard_rows(records) if row.metric == "pearson_delta_top20"
    }
    small, wrong = rows["dygenept_small"], rows["dygenept_small[facets=shuffled]"]
    assert wrong.total.pooled < small.total.ci_low
    assert wrong.total.pooled < rows["perturbed_mean"].total.ci_high


def test_attention_finds_the_planted_facet_more_often_than_chance(folder: Path) -> None:
    environment = environment_in(folder)
    asked = request(folder, ("dygenept_small",))
    split_of = partial(cut_split, asked, environment)
    context = open_run(asked, environment, no_report, device="cpu", split_of=split_of)
    resolved = resolve_model("dygenept_small", environment)
    (path,) = (folder / "data").rglob("perturb_processed.h5ad")
    truth = read_truth(path)
    job, task = fold_job(context, resolved, 0, no_report)
    model = resolved.build()
    model.fit(task)
    weights = model.explain(job.conditions).weights
    knowledge = model.state.knowledge
    known = dict(zip(knowledge.genes, knowledge.confidence > 0, strict=True))
    hits, chances = [], []
    for row, condition in enumerate(job.conditions):
        (gene,) = condition.genes
        n_known = int(known[gene].sum())
        if n_known > 1:
            hits.append(int(weights[row, 0].argmax()) == responsible_facet(truth, gene))
            chances.append(1 / n_known)
    n, p = len(hits), float(np.mean(chances))
    # Three standard errors above what guessing among each gene's known facets would give.
    assert np.mean(hits) > p + 3 * np.sqrt(p * (1 - p) / n), (np.mean(hits), p, n)


def responsible_facet(truth: PlantedTruth, gene: str) -> int:
    return int(truth.responsible[list(truth.target_genes).index(gene)])
