"""``bench`` on a table of effects."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

GENES = ("GATA1", "KLF1", "MYC", "TP53", "BRCA1", "SPI1")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Labels of 20 perturbations on six genes; a quarter is missing, a fifth is held out."""
    rng = np.random.default_rng(0)
    rows = [
        f"MED{number + 1},{gene},{int(rng.random() < 0.5)},{'test' if number % 5 == 0 else 'train'}"
        for number in range(20)
        for gene in GENES
        if rng.random() < 0.75
    ]
    path = tmp_path / "own-screen.csv.gz"
    path.write_bytes(gzip.compress(("pert,gene,label,split\n" + "\n".join(rows) + "\n").encode()))
    return path


def test_a_table_is_scored_on_its_own_split(cli, table: Path, tmp_path: Path) -> None:
    models = ("--model", "gene_mean", "--model", "ridge", "--model", "majority")
    arguments = ("bench", "--dataset", table, *models, "--results", tmp_path / "r", "--json")
    result = cli(*arguments)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["dataset"]["kind"] == "effects"
    assert document["dataset"]["name"] == "own-screen"
    assert document["split"]["name"] == "own"
    rows = {(row["metric"], row["model"]): row for row in document["leaderboard"]}
    assert {metric for metric, _ in rows} == {
        "auroc_gene", "auroc_gene_n5", "auprc_gene", "auroc_perturbation", "auprc_perturbation",
    }  # fmt: skip
    assert document["leaderboard"][0]["metric"] == "auroc_gene_n5"
    assert rows["auroc_gene", "gene_mean"]["pooled"] == 0.5
    # The same run again computes nothing.
    assert "recorded already" in cli(*arguments).err


def test_a_table_is_cut_by_any_protocol(cli, table: Path, tmp_path: Path) -> None:
    arguments = ("--split", "kfold", "--folds", "2", "--model", "gene_mean", "--json")
    result = cli("bench", "--dataset", table, *arguments, "--results", tmp_path / "r")
    assert result.code == 0, result.err
    assert json.loads(result.out)["split"]["n_folds"] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--model", "additive"), "additive does not learn from tables of effects"),
        (("--model", "gene_mean", "--metric", "mse"), "mse scores cells"),
        (("--model", "gene_mean", "--normalize"), "leave --normalize out"),
    ],
)
def test_what_needs_cells_is_refused(
    cli, table: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    result = cli("bench", "--dataset", table, *arguments, "--results", tmp_path / "r")
    assert (result.code, result.out) == (2, "")
    assert says in result.err
