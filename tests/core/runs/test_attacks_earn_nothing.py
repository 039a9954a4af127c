"""What plays the rules is handed in for scoring, under every metric, and earns no mark."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from dygenept.data.pseudobulk import pseudobulk
from dygenept.leaderboard.notes import board_notes
from dygenept.leaderboard.rows import LeaderboardRow, leaderboard_rows
from dygenept.plugin.environment import Environment
from dygenept.results.store import ResultsStore
from dygenept.runs.runner import BenchRequest, run_bench
from dygenept.runs.score import SubmissionRequest, score_submission
from dygenept.testing import ToyShape, toy_data, write_toy_h5ad
from dygenept.types import no_report

SHAPE = ToyShape()
TRIVIAL = ("control_mean", "perturbed_mean")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[LeaderboardRow, ...]:
    """A board with references, ceilings and a model, and what is handed in beside them."""
    folder = tmp_path_factory.mktemp("attacks")
    environment = Environment.load(data_dir=folder, cache_dir=folder)
    data, results = toy_data(SHAPE), folder / "results"
    request = BenchRequest(
        dataset=str(write_toy_h5ad(folder / "toy.h5ad", SHAPE)),
        models=(*TRIVIAL, "additive", "technical_duplicate", "truth"),
        n_folds=4,
        results=results,
    )
    assert not run_bench(request, environment).failures
    store = ResultsStore(results)
    kept = {"additive": [], "perturbed_mean": []}
    for record in store.records():
        if record.model in kept:
            kept[record.model].append(pl.read_parquet(results / str(record.predictions)))
    tables = {name: pl.concat(of).sort("perturbation") for name, of in kept.items()}
    labels = tables["additive"]["perturbation"].to_list()
    genes = list(data.gene_ids)
    model, mean = (tables[name].select(genes).to_numpy() for name in ("additive", "perturbed_mean"))
    means = pseudobulk(data)
    control = np.broadcast_to(means.control_means[0], mean.shape)
    places = {condition.label: place for place, condition in enumerate(data.conditions)}
    truth = means.means[[places[label] for label in labels]]
    handed_in = {
        "epsilon": mean + 0.001 * (model - mean),
        "epsilon of the truth": mean + 0.001 * (truth - mean),
        "epsilon of control": control + 0.001 * (truth - control),
        "scaled up": control + 3.0 * (mean - control),
        "scaled down": control + 0.3 * (mean - control),
        "counts": np.expm1(mean),
        "logged twice": np.log1p(mean),
        "changes": mean - control,
        "constant": np.full(mean.shape, float(control.mean())),
        "zeros": np.zeros(mean.shape),
        "negative": -mean,
        "all alike": np.broadcast_to(mean.mean(axis=0), mean.shape),
        "stolen": truth,
    }
    for name, values in handed_in.items():
        path = folder / f"{name}.parquet"
        table = {"perturbation": labels} | dict(zip(genes, values.T, strict=True))
        pl.DataFrame(table).write_parquet(path)
        submission = SubmissionRequest(path=path, name=name)
        score_submission(submission, request, environment, report=no_report)
    return leaderboard_rows(list(store.records()))


def test_nothing_that_plays_the_rules_is_marked(rows: tuple[LeaderboardRow, ...]) -> None:
    handed_in = [row for row in rows if row.role == "submitted"]
    assert len({row.model for row in handed_in}) == 13
    assert len({row.metric for row in handed_in}) > 10
    for row in handed_in:
        judged = row.judgement
        assert not judged.is_best, (row.model, row.metric)
        assert judged.beats_reference is not True, (row.model, row.metric)


def test_what_is_trivial_is_never_the_best(rows: tuple[LeaderboardRow, ...]) -> None:
    for row in rows:
        if row.model in TRIVIAL:
            assert not row.judgement.is_best
            assert row.judgement.beats_reference is None


def test_the_board_names_what_is_wrong(rows: tuple[LeaderboardRow, ...]) -> None:
    notes = " | ".join(board_notes(rows))
    assert "stolen (submitted) is above the ceiling" in notes
    assert "epsilon, " in notes or "epsilon " in notes
    for name, said in (
        ("counts", "numpy.log1p(values)"),
        ("logged twice", "numpy.expm1(values)"),
        ("changes", "pass --delta"),
        ("constant", "one value"),
        ("zeros", "one value, 0,"),
        ("negative", "values go down to"),
        ("all alike", "have the same prediction"),
    ):
        (found,) = [of for of in notes.split(" | ") if of.startswith(f"{name} (submitted):")][:1]
        assert said in found or said in notes, name
