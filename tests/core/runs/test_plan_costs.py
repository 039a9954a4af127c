"""The cost model of a plan: near what was measured, and what it counts of models and metrics."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cost_fit import LARGE, LARGE_FOLD, LARGE_SIZE

from dygenept.data import memory
from dygenept.data.memory import CellsSize
from dygenept.data.reading.outline import outline_file
from dygenept.model import judged_steps
from dygenept.model.baselines import configured_baseline
from dygenept.model.start import facet_tuning
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import BaselineSpec
from dygenept.runs import plan_costs as costs
from dygenept.runs import plan_models
from dygenept.runs.plan import BenchPlan, plan_bench
from dygenept.runs.runner import BenchRequest
from dygenept.testing import ToyShape, toy_data, toy_task, write_toy_h5ad
from dygenept.types import FitSize, FitWork

SLATE = (
    "control_mean",
    "perturbed_mean",
    "matching_mean",
    "additive",
    "random_train",
    "shuffled",
    "technical_duplicate",
    "truth",
)
DEFAULTS = costs.Scored(n_rows=10, n_ranks=4, n_cells=1, uses_tests=True)
K562 = costs.DataSize(
    n_cells=162_751, n_genes=5_000, n_conditions=1_092, n_controls=10_691, n_values=73_846_797
)
K562_FOLD = costs.FoldSize(
    n_train=786, n_val=87, n_test=219, n_train_cells=110_000, n_candidates=1_092
)
FIFTH = costs.DataSize(
    n_cells=32_550, n_genes=1_756, n_conditions=327, n_controls=2_138, n_values=5_235_366
)
FIFTH_FOLD = costs.FoldSize(
    n_train=235, n_val=26, n_test=66, n_train_cells=22_000, n_candidates=327
)
NOISE = costs.DataSize(
    n_cells=100_000, n_genes=8_000, n_conditions=600, n_controls=4_998, n_values=64_000_000
)
NOISE_FOLD = costs.FoldSize(
    n_train=432, n_val=48, n_test=120, n_train_cells=68_000, n_candidates=600
)


def size_of(fold: costs.FoldSize, data: costs.DataSize) -> FitSize:
    return FitSize(
        n_known=fold.n_train + fold.n_val,
        n_held_out=fold.n_test,
        n_genes=data.n_genes,
        n_targets=data.n_conditions,
    )


def work_of(model: str, fold: costs.FoldSize, data: costs.DataSize) -> FitWork:
    found = configured_baseline(model, Environment.load()).fit_work(size_of(fold, data))
    assert found is not None
    return found


def seconds_of(model: str, fold: costs.FoldSize, data: costs.DataSize) -> float:
    work = work_of(model, fold, data)
    return sum(costs.job_seconds(fold, data, DEFAULTS, work).values())


def planned(toy: Path, results: Path, **changes: object) -> BenchPlan:
    request = BenchRequest(dataset=str(toy), results=results, models=("ridge",), n_folds=2)
    return plan_bench(replace(request, **changes), Environment.load())  # type: ignore[arg-type]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_toy_h5ad(tmp_path / "toy.h5ad", ToyShape())


def test_the_cost_model_is_near_points_that_were_measured() -> None:
    # docs/scale.md: eight closed-form models, five folds, default metrics; not fitted to.
    shared = sum(costs.shared_seconds(K562, DEFAULTS).values())
    shared += 5 * costs.distance_seconds(K562_FOLD, K562, DEFAULTS)
    jobs = 5 * sum(seconds_of(model, K562_FOLD, K562) for model in SLATE)
    assert shared + jobs == pytest.approx(47.1, rel=0.15)
    # A point that nothing was fitted to: dygenept_small on full-size sim:norman took 1.89 GB.
    norman = costs.DataSize(
        n_cells=91_205, n_genes=5_045, n_conditions=236, n_controls=7_353, n_values=42_857_901
    )
    seen = costs.FoldSize(n_train=189, n_val=0, n_test=47, n_train_cells=67_000, n_candidates=236)
    assert costs.process_bytes(norman, seen, has_torch=True) == pytest.approx(1.89e9, rel=0.25)


# Peak resident memory of the whole command, in GB (docs/scale.md).
@pytest.mark.parametrize(
    ("data", "fold", "model", "n_threads", "measured"),
    [
        (K562, K562_FOLD, "perturbed_mean", 1, 1.34),
        (K562, K562_FOLD, "perturbed_mean", 2, 1.42),
        (K562, K562_FOLD, "technical_duplicate", 1, 1.62),
        (K562, K562_FOLD, "technical_duplicate", 2, 1.78),
        (K562, K562_FOLD, "technical_duplicate", 2, 2.12),
        (FIFTH, FIFTH_FOLD, "technical_duplicate", 1, 0.393),
        (FIFTH, FIFTH_FOLD, "technical_duplicate", 2, 0.456),
        # A file that nothing was fitted to.
        (NOISE, NOISE_FOLD, "technical_duplicate", 1, 1.42),
        (NOISE, NOISE_FOLD, "technical_duplicate", 2, 1.83),
    ],
)
def test_memory_is_planned_near_what_was_measured(
    data: costs.DataSize,
    fold: costs.FoldSize,
    model: str,
    n_threads: int,
    measured: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (memory, costs):
        monkeypatch.setattr(module, "n_threads", lambda: n_threads)
    scoring = costs.scoring_bytes([fold] * 5, data, DEFAULTS, work_of(model, fold, data))
    planned_bytes = costs.process_bytes(data, None, scoring=scoring)
    assert 0.9 < planned_bytes / (measured * 1e9) < 1.3


def test_memory_of_scored_jobs_grows_with_halvings_ranks_and_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def planned_bytes(scored: costs.Scored, n_halvings: int, n_threads: int) -> int:
        monkeypatch.setattr(costs, "n_threads", lambda: n_threads)
        return costs.scoring_bytes([K562_FOLD], K562, scored, FitWork(halvings=n_halvings))

    table = K562_FOLD.n_test * K562.n_genes * 8
    shared = planned_bytes(DEFAULTS, 0, 2)
    assert shared == planned_bytes(DEFAULTS, 0, 1)
    without_ranks = replace(DEFAULTS, n_ranks=0)
    # Five predictions with a truth each; two more such jobs wait where there are threads.
    assert planned_bytes(without_ranks, 5, 1) - shared == pytest.approx(10 * table, abs=2)
    assert planned_bytes(without_ranks, 5, 2) - shared == pytest.approx(30 * table, abs=2)
    assert planned_bytes(DEFAULTS, 5, 1) > planned_bytes(without_ranks, 5, 1)
    of_two = costs.scoring_bytes([K562_FOLD] * 2, K562, DEFAULTS, None)
    assert of_two == pytest.approx(2 * shared, abs=2)


# Seconds of CPU, fit to keeping predictions, to which nothing was fitted (docs/scale.md).
@pytest.mark.parametrize(
    "model",
    [
        "perturbed_mean",
        "random_train",
        "technical_duplicate",
        "linear_loo",
        "knn",
        "kg_knn",
        "ridge",
        "linear",
    ],
)
def test_a_fold_of_millions_of_cells_is_planned_within_half_as_much_again(
    model: str,
) -> None:
    share = seconds_of(model, LARGE_FOLD, LARGE_SIZE) / LARGE[model]
    assert 1 / 1.5 < share < 1.5
    assert 1 / 1.5 < sum(costs.shared_seconds(LARGE_SIZE, DEFAULTS).values()) / 358 < 1.5


# Seconds of CPU of the whole command in five folds (docs/scale.md, docs/speed.md). On sim:norman
# four quarters of the train perturbations are held out in turn, on sim:k562 one.
@pytest.mark.parametrize(("dataset", "measured"), [("sim:norman", 148.0), ("sim:k562", 128.0)])
def test_the_default_model_is_planned_within_half_as_much_again(
    dataset: str, measured: float, tmp_path: Path
) -> None:
    request = BenchRequest(dataset=dataset, results=tmp_path, models=("dygenept_small",), n_folds=5)
    seconds = plan_bench(request, Environment.load(data_dir=tmp_path)).seconds
    assert seconds is not None
    assert measured / 1.5 < seconds < measured * 1.5


def test_few_perturbations_are_held_out_as_often_as_a_fit_does() -> None:
    assert plan_models.HELD_OUT_PARTS == facet_tuning.N_PARTS == judged_steps.N_PARTS


def test_steps_that_are_judged_are_taken_once_more_for_each_part() -> None:
    work = costs.Work(
        steps=20,
        epochs=2,
        batch_rows=64,
        prediction_cells=32,
        has_start=True,
        n_parts=1,
        judges_steps=False,
        encoder=None,
    )
    machine = costs.Machine(device="cpu", n_cores=1)

    def seconds(**changes: object) -> dict[str, float]:
        changed = replace(work, **changes)  # type: ignore[arg-type]
        return dict(costs.assembly_seconds(changed, K562_FOLD, K562, machine))

    plain, judged, few = seconds(), seconds(judges_steps=True), seconds(n_parts=4)
    assert judged["steps"] == pytest.approx(2 * plain["steps"])
    assert seconds(judges_steps=True, n_parts=4)["steps"] == pytest.approx(5 * plain["steps"])
    assert few["start"] == pytest.approx(4 * plain["start"])
    assert few["steps"] == plain["steps"]


def test_a_fit_of_all_pairs_grows_with_their_cube_and_a_mean_does_not() -> None:
    twice = replace(K562_FOLD, n_train=2 * 873, n_val=0)
    small, large = (work_of("ridge", fold, K562) for fold in (K562_FOLD, twice))
    assert large.decompositions == pytest.approx(8 * small.decompositions)
    few, many = (work_of("random_train", fold, K562) for fold in (K562_FOLD, twice))
    assert many.passes == few.passes
    assert seconds_of("ridge", K562_FOLD, K562) > seconds_of("perturbed_mean", K562_FOLD, K562)


def test_each_built_in_closed_form_model_says_what_its_fit_takes() -> None:
    environment = Environment.load()
    size = size_of(K562_FOLD, K562)
    for spec in environment.manager.specs(BaselineSpec):
        if spec.closed_form and "cells" in spec.learns_from:
            work = configured_baseline(spec.name, environment).fit_work(size)
            assert work is not None, spec.name
            assert min(work.products, work.decompositions, work.passes) >= 0


@pytest.mark.parametrize(
    "model", ["control_mean", "perturbed_mean", "additive", "knn", "linear_loo"]
)
def test_what_is_said_to_be_predicted_alike_is(model: str) -> None:
    data = toy_data(ToyShape(n_doubles=0, n_singles=10))
    environment = Environment.load()
    configured = configured_baseline(model, environment)
    spec = configured.spec
    task, held_out = toy_task(data, held_out=spec.role != "baseline", halves=spec.reads_halves)
    built = spec.factory(configured.options)
    built.fit(task)
    expression = built.predict(held_out).expression
    work = configured.fit_work(
        FitSize(
            n_known=len(task.known),
            n_held_out=len(held_out),
            n_genes=len(task.gene_ids),
            n_targets=len(task.target_genes),
        )
    )
    assert work is not None
    assert work.are_alike
    np.testing.assert_array_equal(expression, np.broadcast_to(expression[0], expression.shape))


def test_a_model_that_says_nothing_is_assumed_to_be_quick_or_not_known(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Environment.load()
    spec = environment.manager.get(BaselineSpec, "ridge")
    before = planned(toy, tmp_path).models[0].seconds
    object.__setattr__(spec, "fit_work", None)
    try:
        request = BenchRequest(dataset=str(toy), results=tmp_path, models=("ridge",), n_folds=2)
        quick = plan_bench(request, environment)
        object.__setattr__(spec, "closed_form", False)
        unknown = plan_bench(request, environment)
    finally:
        object.__setattr__(spec, "closed_form", True)
    assert before is not None
    assert quick.models[0].seconds is not None
    assert quick.models[0].seconds["fit"] < before["fit"]
    assert any("10 passes over the means are assumed" in doubt for doubt in quick.doubts)
    assert unknown.models[0].basis == "unknown"
    assert unknown.seconds is None
    assert unknown.least_seconds is None


def test_metrics_that_are_not_asked_for_cost_nothing(toy: Path, tmp_path: Path) -> None:
    whole, few = planned(toy, tmp_path), planned(toy, tmp_path, metrics=("mse",))
    assert few.scored == costs.Scored(n_rows=1, n_ranks=0, n_cells=0, uses_tests=False)
    assert whole.scored.n_metrics == DEFAULTS.n_metrics
    assert whole.scored == DEFAULTS
    assert whole.shared_seconds is not None
    assert few.shared_seconds is not None
    assert few.shared_seconds["tests"] == few.shared_seconds["distances"] == 0
    assert whole.shared_seconds["tests"] > 0
    assert whole.shared_seconds["distances"] > 0
    dropped = planned(toy, tmp_path, keep_predictions=False)
    assert dropped.shared_seconds is not None
    assert dropped.shared_seconds["truth"] == 0
    assert dropped.models[0].seconds is not None
    assert dropped.models[0].seconds["keep"] == 0


def test_what_a_limit_keeps_in_files_takes_longer(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = planned(toy, tmp_path)
    monkeypatch.setattr(memory, "READING_PEAK", 1e12)
    size = CellsSize.of(outline_file(toy))
    assert size is not None
    held = planned(toy, tmp_path, memory=1 << 40)
    assert free.size is not None
    assert held.size is not None
    assert (free.size.is_stored, held.size.is_stored) == (False, True)
    assert not held.size.is_filed
    slow, fast = (
        costs.shared_seconds(of, DEFAULTS)
        for of in (LARGE_SIZE, replace(LARGE_SIZE, is_stored=False))
    )
    assert slow["reading"] > fast["reading"]
    assert slow["tests"] > fast["tests"]


def test_seconds_are_of_one_processor_and_by_the_clock_at_least_their_share(
    toy: Path, tmp_path: Path
) -> None:
    plan = planned(toy, tmp_path)
    assert plan.seconds is not None
    assert plan.least_seconds is not None
    several = replace(plan, machine=replace(plan.machine, n_cores=4))
    assert several.seconds == plan.seconds
    assert several.least_seconds == pytest.approx(plan.seconds / 4)


def test_ranks_are_among_all_that_any_fold_holds_out(toy: Path, tmp_path: Path) -> None:
    plan = planned(toy, tmp_path)
    assert {fold.n_candidates for fold in plan.folds} == {sum(fold.n_test for fold in plan.folds)}
