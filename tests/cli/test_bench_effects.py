"""``bench`` on a table of effects."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from dygenept.testing.toy import write_toy_h5ad

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


def test_calibration_is_scored_where_it_is_named(cli, table: Path, tmp_path: Path) -> None:
    asked = ("--metric", "brier_perturbation", "--metric", "auroc_gene", "--json")
    models = ("--model", "gene_mean", "--model", "ridge")
    result = cli("bench", "--dataset", table, *models, *asked, "--results", tmp_path / "r")
    assert result.code == 0, result.err
    rows = {(row["metric"], row["model"]): row for row in json.loads(result.out)["leaderboard"]}
    assert {metric for metric, _ in rows} == {"brier_perturbation", "auroc_gene"}
    assert all(
        0 < rows["brier_perturbation", name]["pooled"] < 1 for name in ("gene_mean", "ridge")
    )


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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("train", "--model", "ridge", "--output", "kept"), "keeps no weights"),
        (("metrics", "audit"), "the audit needs cells"),
        (
            ("predict", "--model", "linear", "--perturbation", "FOXA1", "--output", "p.csv"),
            "linear does not learn from tables of effects",
        ),
    ],
)
def test_other_commands_say_that_they_need_cells(
    cli, table: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    placed = [str(tmp_path / item) if item in ("kept", "p.csv") else item for item in arguments]
    result = cli(*placed, "--dataset", table)
    assert (result.code, result.out) == (2, "")
    assert says in result.err


def test_a_model_that_learned_from_a_table_predicts_every_gene(
    cli, table: Path, tmp_path: Path
) -> None:
    path = tmp_path / "p.csv"
    asked = ("--model", "gene_mean", "--perturbation", "FOXA1", "--output", path)
    result = cli("predict", "--dataset", table, *asked)
    assert result.code == 0, result.err
    predicted = pl.read_csv(path)
    assert predicted["gene"].to_list() == sorted(GENES)
    # With what is not measured filled in, a gene's mean lies between its labels.
    assert predicted["predicted"].is_between(0.0, 1.0, closed="none").all()


def test_records_of_a_table_are_run_again_scored_beside_and_not_cut_by_cells(
    cli, table: Path, tmp_path: Path
) -> None:
    results = tmp_path / "r"
    assert cli("bench", "--dataset", table, "--model", "ridge", "--results", results).code == 0
    (record,) = (results / "runs").glob("*.json")
    again = cli("rerun", record)
    assert again.code == 0, again.err
    assert "agrees" in again.out
    held_out = [f"MED{number + 1}" for number in range(0, 20, 5)]
    values = np.random.default_rng(1).random((len(held_out), len(GENES)))
    frame = pl.DataFrame({"perturbation": held_out, **dict(zip(GENES, values.T, strict=True))})
    frame.write_csv(tmp_path / "mine.csv")
    scored = cli(
        *("score", "--predictions", tmp_path / "mine.csv", "--name", "mine"),
        *("--dataset", table, "--results", results, "--json"),
    )
    assert scored.code == 0, scored.err
    models = {row["model"] for row in json.loads(scored.out)["leaderboard"]}
    assert "mine" in models
    cut = cli("leaderboard", "--results", results, "--by", "effect")
    assert cut.code == 2
    assert "its parts are cell_type, subgroup" in cut.err


def test_control_cells_of_a_second_file_are_recorded_and_read_again(
    cli, table: Path, tmp_path: Path
) -> None:
    cells = write_toy_h5ad(tmp_path / "cells.h5ad")
    results = tmp_path / "r"
    arguments = ("--model", "gene_mean", "--results", results, "--json")
    result = cli("bench", "--dataset", table, "--control-cells", cells, *arguments)
    assert result.code == 0, result.err
    (path,) = (results / "runs").glob("*.json")
    record = json.loads(path.read_text())
    assert record["dataset"]["mapping"] == {"control_cells": str(cells)}
    assert cli("rerun", path).code == 0
    refused = cli("bench", "--dataset", cells, "--control-cells", cells, *arguments)
    assert refused.code == 2
    assert "leave it out" in refused.err


def test_a_table_without_cell_types_is_shown_without_a_placeholder(
    cli, table: Path, tmp_path: Path
) -> None:
    models = ("--model", "ridge", "--model", "knn", "--model", "gene_mean")
    split, where = ("--split", "kfold", "--folds", "5"), ("--results", tmp_path / "r")
    said = [cli("bench", "--dataset", table, *models, *split, *where)]
    assert "measured pairs · 6 genes · 20 perturbations · kfold, 5 folds" in said[0].out
    said.append(cli("show", "ridge", "MED1", *where))
    assert "ridge on MED1 (own-screen" in said[1].out
    for name in ("markdown", "csv", "latex"):
        said.append(cli("leaderboard", "--format", name, *where))
    page = tmp_path / "page.html"
    said.append(cli("leaderboard", "--format", "html", "--output", page, *where))
    assert [result.code for result in said] == [0] * len(said)
    texts = [result.out + result.err for result in said] + [page.read_text(encoding="utf-8")]
    assert not [text for text in texts if "in unknown" in text]


def test_too_few_perturbations_are_noted_without_a_placeholder(cli, tmp_path: Path) -> None:
    path = tmp_path / "few.csv"
    rows = [f"MED{number},{gene},{number - len(gene)}" for number in (1, 4, 6) for gene in GENES]
    path.write_text("pert,gene,z\n" + "\n".join(rows) + "\n", encoding="utf-8")
    arguments = ("--dataset", path, "--model", "ridge", "--split", "kfold", "--folds", "3")
    result = cli("bench", *arguments, "--results", tmp_path / "r")
    assert result.code == 0, result.err
    assert "too few perturbations to choose by, so defaults are used" in result.err
    assert "unknown" not in result.err
