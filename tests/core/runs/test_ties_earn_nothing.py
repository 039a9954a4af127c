"""Average precision counts a tie less than any order: putting ties in an order shows nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import dygenept as dg
from dygenept.leaderboard.boards import leaderboard_of
from dygenept.leaderboard.metric_table import metric_tables
from dygenept.leaderboard.score_grid import ScoreGrid
from dygenept.results.records import RunRecord
from dygenept.types import Condition, Predictions, Task
from dygenept_cli.views.boards import FORMATS, written

N_PERTURBATIONS, N_GENES = 40, 60
FOLDS = 2


class Noise:
    """Random numbers, which know of nothing."""

    def fit(self, task: Task) -> None:
        self.n_genes = len(task.gene_symbols)

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        rng = np.random.default_rng(len(conditions))
        return Predictions(tuple(conditions), rng.random((len(conditions), self.n_genes)))


class Informed(Noise):
    """Half of the truth, and noise: the labels of this module are a function of the names."""

    def fit(self, task: Task) -> None:
        super().fit(task)
        self.genes = task.gene_symbols

    def predict(self, conditions: Sequence[Condition]) -> Predictions:
        noise = super().predict(conditions).expression
        truth = [[label(int(of.genes[0][1:]), int(gene[1:])) for gene in self.genes]
                 for of in conditions]  # fmt: skip
        return Predictions(tuple(conditions), noise + 0.5 * np.array(truth))


def label(perturbation: int, gene: int) -> int:
    rng = np.random.default_rng([perturbation, gene])
    return int(rng.random() < 0.3)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dg.BenchResult:
    path = tmp_path_factory.mktemp("ties") / "noise.csv"
    rows = [
        f"g{perturbation},g{gene},{label(perturbation, gene)}"
        for perturbation in range(N_PERTURBATIONS)
        for gene in range(N_GENES)
    ]
    path.write_text("pert,gene,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    models = {"gene_mean": "gene_mean", "noise": Noise(), "informed": Informed()}
    return dg.bench(path, models, folds=FOLDS, progress=False)


def row_of(result: dg.BenchResult, metric: str, model: str) -> dict[str, object]:
    rows = result.leaderboard(metric).filter(pl.col("model") == model).to_dicts()
    return rows[0]


def test_noise_is_above_a_constant_and_earns_nothing(result: dg.BenchResult) -> None:
    noise, constant = (row_of(result, "auprc_gene", name) for name in ("noise", "gene_mean"))
    # Gene by gene the reference is constant: its value is the share of positives.
    assert float(str(noise["pooled"])) > float(str(constant["pooled"])) + 0.03
    for metric in ("auprc_gene", "auprc_perturbation", "auroc_gene"):
        found = row_of(result, metric, "noise")
        assert found["beats_reference"] is False
        assert found["is_best"] is False
    assert float(str(noise["p_value"])) > 0.05
    # As it stands, the difference is far beyond chance.
    (table,) = (of for of in metric_tables(result.records) if of.metric == "auprc_gene")
    plain = replace(ScoreGrid.of(table), untied={})
    assert plain.compare(["noise"], "gene_mean")["noise"].p_value < 1e-4


def test_what_knows_something_still_beats_the_constant(result: dg.BenchResult) -> None:
    for metric in ("auprc_gene", "auprc_perturbation", "auroc_gene"):
        assert row_of(result, metric, "informed")["beats_reference"] is True


def test_the_board_says_what_ties_are_worth(result: dg.BenchResult) -> None:
    (note,) = (of for of in leaderboard_of(result.records).notes if "any order" in of)
    assert note.startswith("gene_mean predicts many pairs alike")
    assert "on auprc_gene" in note
    assert "auroc" not in note
    untied = {
        metric.name: metric.untied
        for record in result.records
        for metric in record.metrics
        if record.model == "noise"
    }
    assert {name for name, gain in untied.items() if gain == 0.0} == {
        "auprc_gene",
        "auprc_perturbation",
    }
    assert set(untied.values()) == {0.0, None}


def without_ties(record: RunRecord) -> RunRecord:
    """Return a record as earlier versions wrote it."""
    metrics = tuple(of.model_copy(update={"untied": None}) for of in record.metrics)
    return record.model_copy(update={"metrics": metrics})


def beating(records: Sequence[RunRecord], metric: str) -> set[str]:
    board = leaderboard_of(records)
    return {
        row.model
        for part in board.parts
        for row in part.rows
        if row.metric == metric and row.judgement.beats_reference
    }


def test_beside_an_older_record_of_the_reference_noise_earns_nothing_either(
    result: dg.BenchResult,
) -> None:
    mixed = [without_ties(of) if of.model == "gene_mean" else of for of in result.records]
    assert beating(mixed, "auprc_gene") == beating(mixed, "auprc_perturbation") == set()
    assert beating(mixed, "auroc_gene") == {"informed"}
    board = leaderboard_of(mixed)
    (note,) = (of for of in board.notes if "nothing is claimed" in of)
    assert note.startswith("nothing is claimed on auprc_gene, auprc_perturbation of gene_mean")
    for chosen in FORMATS:
        text = written([board], chosen, metrics=(), all_metrics=False).replace("\\", "")
        said = "without what ties cost" in " ".join(text.split())
        assert said == (chosen != "csv"), chosen
    # Older records among themselves say what they said.
    assert "informed" in beating([without_ties(of) for of in result.records], "auprc_gene")
