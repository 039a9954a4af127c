from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def results(cli, toy: Path, tmp_path: Path) -> Path:
    result = cli(
        "bench",
        *("--dataset", toy, "--folds", "2", "--model", "additive", "--model", "control_mean"),
    )
    assert result.code == 0, result.err
    return tmp_path / "results"


def test_leaderboard_shows_what_bench_showed(cli, results: Path) -> None:
    result = cli("leaderboard", "--results", results, "--format", "json")
    assert result.code == 0, result.err
    (board,) = json.loads(result.out)
    assert board["dataset"]["simulated"] is True
    assert {row["model"] for row in board["leaderboard"]} == {"additive", "control_mean"}


@pytest.mark.parametrize("chosen", ["table", "csv", "markdown", "latex", "html"])
def test_every_format_is_written_to_a_file(cli, results: Path, tmp_path: Path, chosen: str) -> None:
    output = tmp_path / f"board.{chosen}"
    result = cli("leaderboard", "--results", results, "--format", chosen, "--output", output)
    assert result.code == 0, result.err
    assert result.out == ""
    assert "additive" in output.read_text()


def test_one_metric_and_one_data_set_can_be_chosen(cli, results: Path) -> None:
    result = cli("leaderboard", "--metric", "mse", "--dataset", "toy", "--json")
    (board,) = json.loads(result.out)
    assert {row["metric"] for row in board["leaderboard"]} == {"mse"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--results", "nowhere"), "no results folder nowhere"),
        (("--metric", "mze"), "did you mean 'mse'"),
        (("--dataset", "toi"), "did you mean 'toy'"),
        (("--format", "pdf"), "unknown format 'pdf'"),
    ],
)
def test_wrong_requests_name_the_nearest(
    cli, results: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = cli("leaderboard", *arguments)
    assert result.code == 2
    assert message in result.err
