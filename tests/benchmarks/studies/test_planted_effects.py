"""On effects that follow GO texts a model that reads gene knowledge must win, and must stop winning
when the knowledge is dealt to the wrong genes.

In the stand-ins that ship only a fifth of the effects follows texts, as far as real screens tell;
here nearly all of it does, in the screen that the simulator's second version drew, so that what is
tested is whether the model reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted_subsets import strengths_of_version_2

from dygenept.data.simulated import effects
from dygenept.data.simulated.truth import PlantedTruth, read_truth
from dygenept.leaderboard.metric_table import metric_tables
from dygenept.leaderboard.score_grid import ScoreGrid
from dygenept.model.overrides import Overrides
from dygenept.plugin.environment import Environment
from dygenept.results.records import RunRecord
from dygenept.runs.explain import explain_from_checkpoint
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.runs.saved_model import read_saved_model
from dygenept.runs.train import evaluate_model, train_model
from dygenept.types import no_report

DATASET = "sim:k562@0.03"
BASELINES = ("control_mean", "perturbed_mean", "matching_mean", "additive", "random_train")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch, strengths_of_version_2():
        shares = {"common": 0.1, "go_text": 0.85, "string_graph": 0.0, "hidden": 0.0, "own": 0.05}
        patch.setattr(effects, "SOURCE_SHARES", shares)
        patch.setattr(effects, "NULL_SHARE", 0.0)
        yield tmp_path_factory.mktemp("planted")


@pytest.fixture(scope="module")
def environment(folder: Path, computed: Path) -> Environment:
    return Environment.load(data_dir=folder / "data", cache_dir=computed, device="cpu")


def request(folder: Path, *models: str, facets: str | None = None) -> BenchRequest:
    return BenchRequest(
        dataset=DATASET,
        models=models,
        overrides=Overrides(parts={}, facets=facets),
        n_folds=2,
        metrics=("pearson_delta_top20", "mse_top20"),
        results=folder / (facets or "known"),
    )


@pytest.fixture(scope="module")
def records(folder: Path, environment: Environment) -> list[RunRecord]:
    """The records of both folds, of baselines and of two models, those of the first fold kept."""
    benched = run_bench(request(folder, *BASELINES, "linear_loo"), environment)
    assert not benched.failures
    found = list(benched.records)
    for facets in (None, "shuffled"):
        asked = request(folder, "dygenept_small", facets=facets)
        for fold in (0, 1):
            kept = asked.results if fold == 0 else folder / f"{asked.results.name}-second"
            of_fold = replace(asked, results=kept)
            train_model(of_fold, environment, fold=fold, report=no_report)
            given = {"checkpoint": kept, "keep": False, "report": no_report}
            found.append(evaluate_model(of_fold, environment, **given))
    return found


def grids(records: list[RunRecord]) -> dict[str, ScoreGrid]:
    return {table.metric: ScoreGrid.of(table) for table in metric_tables(records)}


def test_dygenept_small_beats_every_baseline_on_held_out_singles(
    records: list[RunRecord],
) -> None:
    correlation, error = (grids(records)[name] for name in ("pearson_delta_top20", "mse_top20"))
    for baseline in BASELINES:
        ahead = correlation.compare(["dygenept_small"], baseline)["dygenept_small"]
        assert ahead.ci_low is not None
        assert ahead.ci_low > 0
        assert error.compare(["dygenept_small"], baseline)["dygenept_small"].difference < 0


def test_with_facets_shuffled_between_genes_the_gain_disappears(
    records: list[RunRecord],
) -> None:
    correlation = grids(records)["pearson_delta_top20"]
    wrong = "dygenept_small[facets=shuffled]"
    ahead = correlation.compare(["dygenept_small"], wrong)["dygenept_small"]
    assert ahead.ci_low is not None
    assert ahead.ci_low > 0
    # What is left is the linear model that knows nothing of genes.
    assert abs(correlation.compare([wrong], "linear_loo")[wrong].difference) < 0.02
    over_mean = correlation.compare([wrong], "perturbed_mean")[wrong]
    assert over_mean.ci_low is not None
    assert over_mean.ci_low < 0


def test_facets_are_read_in_both_folds_and_beat_the_linear_model(
    records: list[RunRecord],
) -> None:
    chosen = {record.fold: record.chosen for record in records if record.model == "dygenept_small"}
    for fold in (0, 1):
        assert float(chosen[fold]["facet_tuning_steps"]) > 0
        assert float(chosen[fold]["knowledge_share"]) > 0.1
        of_fold = grids([record for record in records if record.fold == fold])
        ahead = of_fold["pearson_delta_top20"].compare(["dygenept_small"], "linear_loo")
        assert ahead["dygenept_small"].ci_low is not None
        assert ahead["dygenept_small"].ci_low > 0


def test_texts_of_other_genes_are_not_read(
    records: list[RunRecord],
) -> None:
    chosen = {(record.model, record.fold): record.chosen for record in records}
    for fold in (0, 1):
        wrong = chosen["dygenept_small[facets=shuffled]", fold]
        assert (wrong["identity_share"], wrong["facet_tuning_steps"]) == (1.0, 0)
        assert float(wrong["knowledge_share"]) < 1e-3


def test_attention_finds_the_planted_facet_more_often_than_chance(
    records: list[RunRecord], folder: Path, environment: Environment
) -> None:
    (path,) = (folder / "data").rglob("perturb_processed.h5ad")
    truth = read_truth(path)
    (first, _) = read_saved_model(folder / "known").split.folds
    explained = explain_from_checkpoint(
        folder / "known", first.test, environment, cell_type=None, runtime=environment.runtime()
    )
    hits, chances = [], []
    for found in explained.genes:
        n_known = sum(facet.confidence > 0 for facet in found.facets)
        if n_known > 1:
            strongest = int(np.argmax([facet.weight for facet in found.facets]))
            hits.append(strongest == responsible_facet(truth, found.gene))
            chances.append(1 / n_known)
    n, p = len(hits), float(np.mean(chances))
    # Three standard errors above what guessing among each gene's known facets would give.
    assert np.mean(hits) > p + 3 * np.sqrt(p * (1 - p) / n), (np.mean(hits), p, n)


def responsible_facet(truth: PlantedTruth, gene: str) -> int:
    return int(truth.responsible[list(truth.target_genes).index(gene)])
