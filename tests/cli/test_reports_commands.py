"""Commands that show results beside the terminal's boards."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("matplotlib")
MODELS = ("--model", "additive", "--model", "ridge", "--model", "control_mean")


@pytest.fixture
def benched(cli, toy: Path) -> str:
    """Bench three models, and return a held-out perturbation."""
    asked = ("bench", "--dataset", toy, "--folds", "2", *MODELS, "--metric", "mse")
    assert cli(*asked, "--metric", "pearson_delta").code == 0
    document = cli("leaderboard", "--per-perturbation", "--json").json()
    rows = document["per_perturbation"]
    assert isinstance(rows, list)
    return str(rows[0]["perturbation"])


def test_scores_tables_citations_and_single_perturbations(cli, benched: str) -> None:
    rows = list(csv.DictReader(io.StringIO(cli("leaderboard", "--per-perturbation").out)))
    assert {row["metric"] for row in rows} == {"mse", "pearson_delta"}
    written = cli("leaderboard", "--per-perturbation", "--metric", "mse", "--output", "s.parquet")
    assert written.code == 0, written.err
    table = pl.read_parquet("s.parquet")
    assert set(table["metric"]) == {"mse"}
    assert cli("leaderboard", "--per-perturbation", "--output", "s.json", "--json").code == 0
    assert len(json.loads(Path("s.json").read_text())["per_perturbation"]) == len(rows)
    for more, says in (
        (("--format", "markdown"), "for csv and json, not for markdown"),
        (("--format", "html"), "for csv and json, not for html"),
        (("--by", "subgroup"), "which --by does not group"),
        (("--across-seeds",), "which --across-seeds does not group"),
    ):
        refused = cli("leaderboard", "--per-perturbation", *more)
        assert (refused.code, refused.out) == (2, "")
        assert says in refused.err
    sheet = cli("leaderboard", "--per-perturbation", "--output", "s.xlsx")
    assert (sheet.code, "known: .csv, .json, .parquet, .tsv" in sheet.err) == (2, True)
    assert not Path("s.xlsx").exists()
    latex = cli("leaderboard", "--format", "latex", "--metric", "mse").out
    assert latex.count(r"\\") == 1 + 3
    assert "| group" not in cli("leaderboard", "--format", "markdown").out
    wide = cli("leaderboard", "--format", "csv", "--layout", "wide").out
    assert len(wide.splitlines()) == 1 + 3
    long = cli("leaderboard", "--format", "markdown", "--layout", "long").out
    assert sum(line.startswith("|") for line in long.splitlines()) == 2 + 6
    refused = cli("leaderboard", "--layout", "tall")
    assert (refused.code, "unknown layout 'tall'" in refused.err) == (2, True)
    assert "@software{dygenept" in cli("leaderboard", "--cite").out
    (shown,) = cli("show", "ridge", benched, "--json").json()["perturbations"][:1]  # type: ignore[index]
    assert {score["metric"] for score in shown["scores"]} == {"mse", "pearson_delta"}
    assert shown["genes"]
    assert benched in cli("show", "ridge", benched).out
    assert "did you mean 'ridge'" in cli("show", "rigde", benched).err


def test_a_page_and_plots_and_a_site_are_written(cli, benched: str, toy: Path) -> None:
    assert cli("leaderboard", "--format", "html", "--output", "board.html").code == 0
    page = Path("board.html").read_text()
    assert '"symbols":["' in page
    assert "@software{dygenept" in page
    assert cli("plot", "results", "forest", "--output", "forest.svg").code == 0
    named = ("--model", "ridge", "--perturbation", benched)
    changes = cli("plot", "results", "changes", *named, "--output", "changes.png")
    assert changes.code == 0, changes.err
    assert Path("changes.png").read_bytes().startswith(b"\x89PNG")
    few = cli("plot", "learning", "--metric", "mse", "--output", "learning.svg")
    assert "several training sizes" in few.err
    asked = ("bench", "--dataset", toy, "--folds", "3", *MODELS, "--metric", "mse", "--quiet")
    assert cli(*asked).code == 0
    assert cli("plot", "learning", "--metric", "mse", "--output", "learning.svg").code == 0
    assert "2 leaderboards" in cli("plot", "results", "forest", "--output", "x.svg").err
    built = cli("site", "build", "results", "--output", "site", "--title", "Ours")
    assert built.code == 0, built.err
    assert "<title>Ours</title>" in Path("site/index.html").read_text()
    assert len(list(Path("site/boards").glob("*.html"))) == 2
    inside = cli("site", "build", "results", "--output", "site/../results")
    assert (inside.code, "is the results folder" in inside.err) == (2, True)
    assert cli("plot", "results", "forest", "--output", "x.gif").code == 2


def test_coverage_history_and_attention_are_plotted(cli, toy: Path) -> None:
    coverage = cli(
        *("plot", "coverage", "--facets", "random768", "--gene", "KLF1", "--gene", "MAPK1"),
        *("--output", "coverage.svg"),
    )
    assert coverage.code == 0, coverage.err
    assert "share of 2 genes" in Path("coverage.svg").read_text()
    trained = cli(
        *("train", "--dataset", toy, "--folds", "2", "--model", "dygenept_small"),
        *("--facets", "random768", "--set", "training.epochs=2", "--set", "training.n_members=1"),
        *("--set", "training.steps_per_epoch=2", "--set", "training.warm_start=false"),
        *("--output", "model"),
    )
    assert trained.code == 0, trained.err
    history = cli("plot", "history", "--checkpoint", "model", "--output", "history.svg")
    assert history.code == 0, history.err
    assert "train loss" in Path("history.svg").read_text()
    asked = ("explain", "--checkpoint", "model", "--perturbation", "KLF1", "--allow-unknown")
    explained = cli(*asked, "--plot", "facets.svg")
    assert explained.code == 0, explained.err
    assert "attention weight" in Path("facets.svg").read_text()
