"""Suites on the command line: listing, several data sets in one run, quoted figures."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from dygenept.testing import write_toy_h5ad
from dygenept_cli.commands.bench import failed_text

SUITE = """
name: mine
version: 3
summary: Two files.
datasets: [{datasets}]
n_folds: 2
models: [perturbed_mean, control_mean]
metrics: [mse, mae_top20]
published:
  - paper: A paper
    citation: doi:10.1000/xyz
    table: Table 1
    dataset: {quoted}
    error: stderr
    models:
      - {{model: Their mean, values: {{mae_top20: 0.5}}, errors: {{mae_top20: 0.1}}}}
"""


def real_file(path: Path) -> Path:
    """A toy file that does not say it is simulated."""
    import anndata

    adata = anndata.read_h5ad(write_toy_h5ad(path))
    adata.uns.pop("dygenept")
    adata.write_h5ad(path)
    return path


def test_suites_are_listed_and_shown_with_what_they_quote(cli) -> None:
    listed = cli("suites", "list", "--json").json()
    names = {row["name"] for row in listed["suites"]}
    assert names >= {"quick", "all", "langpert_k562"}
    shown = cli("suites", "show", "langpert_k562", "--json").json()
    assert shown["schema_version"] == 1
    (mean,) = [
        row
        for row in shown["references"]
        if row["model"] == "Non-ctrl mean" and row["metric"] == "pearson_delta_top20"
    ]
    assert (mean["value"], mean["error"], mean["quoted"]) == (0.671, 0.007, True)
    assert "QUOTED" in cli("suites", "show", "langpert_rpe1").out
    result = cli("suites", "show", "langpert")
    assert result.code == 2
    assert "did you mean 'langpert_" in result.err


def test_several_data_sets_print_one_document(cli, tmp_path: Path) -> None:
    real_file(tmp_path / "one.h5ad")
    write_toy_h5ad(tmp_path / "two.h5ad")
    suite = tmp_path / "mine.yaml"
    suite.write_text(SUITE.format(datasets="one.h5ad, two.h5ad", quoted="one"))
    result = cli("bench", "--suite", suite, "--json", "--quiet")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert set(document) == {"schema_version", "benches", "failures"}
    first, second = document["benches"]
    assert (first["dataset"]["name"], second["dataset"]["name"]) == ("one", "two")
    assert first["schema_version"] == 1
    assert [(row["model"], row["value"]) for row in first["references"]] == [("Their mean", 0.5)]
    assert {row["model"] for row in first["leaderboard"]} == {"perturbed_mean", "control_mean"}
    assert second["references"] == []


def test_one_data_set_keeps_the_document_of_the_contract(cli, tmp_path: Path) -> None:
    real_file(tmp_path / "one.h5ad")
    suite = tmp_path / "mine.yaml"
    suite.write_text(SUITE.format(datasets="one.h5ad", quoted="one"))
    document = cli("bench", "--suite", suite, "--json").json()
    assert document["dataset"]["name"] == "one"
    assert len(document["references"]) == 1
    table = cli("bench", "--suite", suite).out
    assert "QUOTED from papers, not run here and not ranked" in table
    assert "Their mean (quoted)" in table
    assert "doi:10.1000/xyz" in table


def test_a_data_set_that_cannot_be_had_does_not_stop_the_others(cli, tmp_path: Path) -> None:
    write_toy_h5ad(tmp_path / "two.h5ad")
    suite = tmp_path / "mine.yaml"
    suite.write_text(SUITE.format(datasets="gone.h5ad, two.h5ad", quoted="one"))
    result = cli("bench", "--suite", suite, "--json")
    assert result.code == 2
    document = json.loads(result.out)
    assert [bench["dataset"]["name"] for bench in document["benches"]] == ["two"]
    assert "gone.h5ad" in document["failures"]["gone.h5ad"]
    assert result.err.count("no file gone.h5ad") == 1
    assert result.err.endswith("dygenept: error: 1 job(s) failed: gone.h5ad: reported above\n")


def test_a_reason_that_jobs_share_is_told_once() -> None:
    failures = {"a, fold 1": "too hot", "b, fold 1": "too cold", "a, fold 2": "too hot"}
    assert failed_text(failures) == (
        "3 job(s) failed: a, fold 1 and a, fold 2: too hot; b, fold 1: too cold"
    )


def test_many_failures_are_counted() -> None:
    same = {f"ridge, fold {fold}": "boom" for fold in range(1, 7)}
    told = "ridge, fold 1 and ridge, fold 2 and ridge, fold 3 and ridge, fold 4 and 2 more: boom"
    assert failed_text(same) == f"6 job(s) failed: {told}"
    apart = {f"fold {fold}": f"no room for {fold}" for fold in range(1, 7)}
    assert failed_text(apart) == (
        "6 job(s) failed: fold 1: no room for 1; fold 2: no room for 2; fold 3: no room for 3; "
        "fold 4: no room for 4; and 2 more, for reasons like these"
    )


def test_a_changed_protocol_no_longer_bears_the_suites_name(cli, tmp_path: Path) -> None:
    real_file(tmp_path / "one.h5ad")
    suite = tmp_path / "mine.yaml"
    suite.write_text(SUITE.format(datasets="one.h5ad", quoted="one"))
    document = cli("bench", "--suite", suite, "--folds", "3", "--json").json()
    assert document["references"] == []
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/runs").iterdir()]
    assert {record["suite"] for record in records} == {"custom"}
    same = cli("bench", "--suite", suite, "--folds", "2", "--seed", "42", "--json").json()
    assert len(same["references"]) == 1


def test_every_format_of_a_leaderboard_shows_quoted_figures_apart(cli, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "replogle_k562_essential"
    folder.mkdir(parents=True)
    real_file(folder / "perturb_processed.h5ad")
    ran = cli("bench", "--suite", "langpert_k562", "--model", "perturbed_mean", "--json")
    assert ran.code == 0, ran.err
    assert len(ran.json()["references"]) == 18
    (board,) = json.loads(cli("leaderboard", "--format", "json").out)
    assert len(board["references"]) == 18
    assert {row["model"] for row in board["leaderboard"]} == {"perturbed_mean"}
    for chosen in ("table", "markdown", "latex", "html"):
        text = cli("leaderboard", "--format", chosen, "--metric", "mae_top20").out
        assert "QUOTED from papers, not run here and not ranked" in text
        assert "openreview.net/forum?id=Tmx4o3Jg55" in text
        assert "0.332 ± 0.006" in text.replace(r"$\pm$", "±")
        assert "0.671" not in text
    table = list(csv.DictReader(cli("leaderboard", "--format", "csv").out.splitlines()))
    quoted = [row for row in table if row["role"] == "quoted"]
    assert len(quoted) == 18
    assert {row["rank"] for row in quoted} == {""}


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("suites", ("cross_cell_type", "norman_combos", "langpert_rpe1")),
        ("data", ("replogle_k562_essential", "replogle_k562_rpe1", "sim:adamson", "biomedbert")),
    ],
)
def test_a_narrow_terminal_cuts_no_name_that_is_to_be_typed(
    cli, monkeypatch: pytest.MonkeyPatch, command: str, names: tuple[str, ...]
) -> None:
    monkeypatch.setattr("dygenept_cli.console.stdout", lambda: Console(width=80))
    result = cli(command, "list")
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= 80
    for name in names:
        # Nothing before it but the table's edge, and nothing cut off; a summary may be.
        assert re.search(rf"(?m)^[│ ]*{re.escape(name)} ", result.out), name
