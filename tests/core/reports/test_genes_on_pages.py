"""On boards of tables of effects genes have scores too, and may be called as perturbations are."""

from __future__ import annotations

import numpy as np
import pytest

import dygenept as dg
from dygenept.leaderboard.boards import leaderboard_of
from dygenept.reports.page import page_board
from dygenept.reports.page_data import page_data
from dygenept.reports.per_perturbation import units_of
from dygenept.reports.scores import BoardScores
from dygenept.results.store import ResultsStore
from dygenept.runs.bench_result import BenchResult

PERTURBED = ("KLF1", "GATA1", "TP53", "MYC", "JUN", "FOS", "SPI1", "TAL1")
# The first is perturbed too.
MEASURED = ("KLF1", "ACTB", "VIM")


@pytest.fixture(scope="module")
def table_bench(tmp_path_factory: pytest.TempPathFactory) -> BenchResult:
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    rows = [
        f"{perturbed},{gene},{int(rng.random() < 0.5)},{kind}"
        for kind in ("A", "B")
        for perturbed in PERTURBED
        for gene in MEASURED
    ]
    path = folder / "table.csv"
    path.write_text("\n".join(("perturbation,gene,label,cell_type", *rows)) + "\n")
    return dg.bench(path, ("gene_mean",), folds=2, results=folder / "results")


def test_genes_are_units_of_their_own(table_bench: BenchResult) -> None:
    scores = BoardScores.of(table_bench.records)
    genes = {unit.perturbation for unit in scores.units if unit.perturbation.endswith(" (gene)")}
    others = {unit.perturbation for unit in scores.units} - genes
    assert genes == {f"{gene} (gene)" for gene in MEASURED}
    assert others == set(PERTURBED)
    is_gene = np.array([unit.perturbation in genes for unit in scores.units])
    of_genes = scores.values["auroc_gene"]["gene_mean"]
    of_perturbations = scores.values["auroc_perturbation"]["gene_mean"]
    assert np.isinf(of_genes[~is_gene]).all()
    assert not np.isinf(of_genes[is_gene]).any()
    assert np.isinf(of_perturbations[is_gene]).all()
    assert not np.isinf(of_perturbations[~is_gene]).any()


def test_a_page_shows_genes_with_their_reasons_and_parts(table_bench: BenchResult) -> None:
    records = table_bench.records
    board = leaderboard_of(records)
    document = page_data(page_board(board, records, results=ResultsStore(table_bench.results)))
    units, reasons = document["units"], document["reasons"]
    assert isinstance(units, dict)
    assert isinstance(reasons, dict)
    names = units["names"]
    assert units["genes"]
    assert sum(name.endswith("(gene)") for name in names) == 2 * 2 * len(MEASURED)
    assert all(units["effect"][row] is None for row, name in enumerate(names) if "(gene)" in name)
    of_genes = {
        place for place, of in enumerate(document["metrics"]) if of["name"] in units["genes"]
    }
    for metric, unit, _ in reasons["of"]:
        assert ("(gene)" in names[unit]) == (metric in of_genes)
    scores = BoardScores.of(records)
    parts = scores.parts("auroc_gene")["cell_type"]
    assert not isinstance(parts, str)
    assert {parts[unit] for unit in scores.units if "(gene)" in unit.perturbation} == {"A", "B"}


def test_a_perturbation_is_found_before_a_gene_of_its_name(table_bench: BenchResult) -> None:
    scores = BoardScores.of(table_bench.records)
    perturbed = units_of(scores, "gene_mean", "KLF1")
    assert not any("(gene)" in unit.perturbation for unit in perturbed)
    genes = units_of(scores, "gene_mean", "ACTB")
    assert {unit.perturbation for unit in genes} == {"ACTB (gene)"}
    assert units_of(scores, "gene_mean", "KLF1 (gene)")
