"""``compare``, ``rank``, and the leaderboard by parts, over seeds and with marks."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from dygenept.leaderboard import comparisons
from dygenept.leaderboard.comparisons import ComparisonRow
from dygenept.testing import ToyShape, write_toy_h5ad

MODELS = ("additive", "control_mean", "perturbed_mean", "shuffled", "technical_duplicate", "truth")
METRICS = ("pearson_delta_top20", "mse")


@pytest.fixture(scope="module")
def bench_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two seeds on a toy data set of two cell types; not to be changed."""
    from dygenept_cli.main import run

    folder = tmp_path_factory.mktemp("compare")
    write_toy_h5ad(folder / "toy.h5ad", ToyShape(n_cell_types=2))
    arguments = ["bench", "--dataset", str(folder / "toy.h5ad"), "--folds", "2", "--json"]
    arguments += ["--results", str(folder / "results")]
    arguments += [part for name in MODELS for part in ("--model", name)]
    arguments += [part for name in METRICS for part in ("--metric", name)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DYGENEPT_DATA", str(folder / "data"))
        patch.setenv("DYGENEPT_HOME", str(folder / "home"))
        for seed in ("42", "7"):
            patch.setattr("sys.argv", ["dygenept", *arguments, "--seed", seed])
            with contextlib.suppress(SystemExit):
                run()
    assert len(list((folder / "results" / "runs").iterdir())) == 2 * 2 * len(MODELS)
    return folder / "results"


def set_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Print tables as a terminal of this width would show them."""
    monkeypatch.setattr("dygenept_cli.console.stdout", lambda: Console(width=width))


def test_compare_gives_difference_interval_p_and_winner(cli, bench_folder: Path) -> None:
    result = cli("compare", "additive", "control_mean", "--results", bench_folder, "--json")
    assert result.code == 0, result.err
    document = result.json()
    assert document["schema_version"] == 1
    # Boards that were made within one second come in any order.
    assert sorted(board["split"]["seed"] for board in document["comparisons"]) == [7, 42]
    for board in document["comparisons"]:
        assert board["dataset"]["simulated"] is True
        assert {row["metric"] for row in board["rows"]} == set(METRICS)
        for row in board["rows"]:
            assert (row["model"], row["other"]) == ("additive", "control_mean")
            assert row["ci_low"] <= row["difference"] <= row["ci_high"]
            assert 0 < row["p_value"] <= row["p_holm"] <= 1
            sign = 1 if row["higher_is_better"] else -1
            winner = "additive" if sign * row["difference"] > 0 else "control_mean"
            assert row["better"] in (None, winner)
            assert (row["better"] is None) == (row["p_holm"] >= 0.05)


def test_compare_turns_signs_with_the_order_of_models(cli, bench_folder: Path) -> None:
    common = ("--results", bench_folder, "--metric", "mse", "--json")
    one = cli("compare", "truth", "shuffled", *common).json()["comparisons"][0]["rows"][0]
    other = cli("compare", "shuffled", "truth", *common).json()["comparisons"][0]["rows"][0]
    assert one["difference"] == -other["difference"] < 0
    assert (one["ci_low"], one["ci_high"]) == (-other["ci_high"], -other["ci_low"])
    assert one["better"] == other["better"] == "truth"


def test_compare_with_several_corrects_and_names_each(cli, bench_folder: Path) -> None:
    names = ("truth", "additive", "control_mean", "shuffled")
    result = cli("compare", *names, "--results", bench_folder, "--metric", "mse", "--json")
    rows = result.json()["comparisons"][0]["rows"]
    assert [row["other"] for row in rows] == list(names[1:])
    # Two cell types leave some differences open.
    assert {row["better"] for row in rows} <= {"truth", None}
    assert rows[-1]["better"] == "truth"
    assert all(row["p_holm"] >= row["p_value"] for row in rows)
    assert any(row["p_holm"] > row["p_value"] for row in rows)
    table = cli("compare", *names, "--results", bench_folder, "--metric", "mse")
    assert table.code == 0, table.err
    assert "SIMULATED" in table.out
    assert "Holm" in table.out
    for name in names:
        assert name in table.out


@pytest.mark.parametrize(
    ("low", "high", "p_value", "is_said"),
    [(0.1, 0.3, 0.06, True), (-0.3, -0.1, 0.05, True), (-0.1, 0.3, 0.06, False),
     (0.1, 0.3, 0.04, False), (None, None, 1.0, False)],
)  # fmt: skip
def test_where_interval_and_p_are_at_odds_it_is_said_which_counts(
    cli,
    bench_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    low: float | None,
    high: float | None,
    p_value: float,
    is_said: bool,
) -> None:
    row = ComparisonRow(
        metric="mse",
        higher_is_better=False,
        model="truth",
        other="additive",
        difference=0.2,
        ci_low=low,
        ci_high=high,
        p_value=p_value,
        p_holm=p_value,
        n_perturbations=9,
        better=None if p_value >= 0.05 else "additive",
    )
    monkeypatch.setattr(comparisons, "compare_models", lambda *_, **__: (row,))
    result = cli("compare", "truth", "additive", "--results", bench_folder)
    assert result.code == 0, result.err
    assert ("p counts" in " ".join(result.out.split())) == is_said


@pytest.mark.parametrize("width", [72, 80])
def test_a_comparison_of_two_fits_a_narrow_terminal(
    cli, bench_folder: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    set_width(monkeypatch, width)
    result = cli("compare", "truth", "shuffled", "--results", bench_folder)
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= width
    assert re.search(r"mse ↓ +−0\.\d+ +\[−0\.\d+, −0\.\d+\] +0\.\d+ +A", result.out)


def test_a_comparison_of_three_names_each_other_model_in_a_narrow_terminal(
    cli, bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_width(monkeypatch, 80)
    names = ("truth", "additive", "control_mean")
    result = cli("compare", *names, "--results", bench_folder)
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= 80
    for metric in METRICS:
        assert len(re.findall(rf"{metric}.* {names[1]} ", result.out)) == 2
        assert len(re.findall(rf"{metric}.* {names[2]} ", result.out)) == 2
    assert "wins" in result.out


def test_rank_orders_competitors_and_counts(cli, bench_folder: Path) -> None:
    result = cli("rank", "--results", bench_folder, "--json")
    assert result.code == 0, result.err
    document = result.json()
    assert document["schema_version"] == 1
    (ranking,) = document["rankings"]
    # Its two seeds hold the same perturbations out.
    assert (ranking["simulated"], ranking["n_leaderboards"]) == (True, 1)
    rows = ranking["models"]
    assert {row["model"] for row in rows} == {"additive", "control_mean", "perturbed_mean"}
    assert [row["mean_rank"] for row in rows] == sorted(row["mean_rank"] for row in rows)
    assert all((row["n_ranked"], row["n_possible"]) == (2, 2) for row in rows)
    assert sum(row["mean_rank"] for row in rows) == pytest.approx(6.0)
    judged = {row["model"]: row["n_judged"] for row in rows}
    assert judged == {"additive": 2, "control_mean": 0, "perturbed_mean": 0}
    table = cli("rank", "--results", bench_folder)
    assert "SIMULATED DATA · mean rank over 1 leaderboard(s): toy" in table.out
    assert table.out.index(rows[0]["model"]) < table.out.index(rows[-1]["model"])


def test_records_name_the_models_that_were_declared_together(bench_folder: Path) -> None:
    for path in (bench_folder / "runs").glob("*.json"):
        record = json.loads(path.read_text())
        assert record["family"] == list(MODELS)
        bounds = {
            metric["name"]: (metric["lower"], metric["upper"]) for metric in record["metrics"]
        }
        assert bounds == {"pearson_delta_top20": (-1.0, 1.0), "mse": (0.0, None)}


def test_the_least_gap_is_recorded_and_can_be_raised(cli, bench_folder: Path) -> None:
    for asked in ("0.05", "1"):
        for document in board(cli, bench_folder, "--min-gap", asked):
            rows = document["leaderboard"]
            assert {row["min_gap"] for row in rows} == {float(asked)}
            claims = [
                row for row in rows if row["beats_reference"] and row["gap_closed"] is not None
            ]
            assert all(row["gap_closed"] >= float(asked) for row in claims)
    assert cli("leaderboard", "--results", bench_folder, "--min-gap", "2").code == 2


def board(cli, folder: Path, *arguments: str) -> list[dict]:
    result = cli("leaderboard", "--results", folder, "--json", *arguments)
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_the_leaderboard_marks_the_best_its_equals_and_what_beats_no_mean(
    cli, bench_folder: Path
) -> None:
    for document in board(cli, bench_folder):
        for metric in METRICS:
            rows = {row["model"]: row for row in document["leaderboard"] if row["metric"] == metric}
            best = [row for row in rows.values() if row["is_best"]]
            assert all(row["indistinguishable_from_best"] for row in best)
            assert all(row["beats_reference"] for row in best)
            assert {row["model"] for row in best} <= {"additive"}
            for name in ("truth", "technical_duplicate", "shuffled"):
                assert rows[name]["is_best"] is False
                assert rows[name]["indistinguishable_from_best"] is False
                assert rows[name]["beats_reference"] is None
            assert rows["control_mean"]["beats_reference"] is None
            assert rows["additive"]["beats_reference"] is not None
            assert rows["perturbed_mean"]["normalised"] == 0
            assert rows["technical_duplicate"]["normalised"] == 1
    text = cli("leaderboard", "--results", bench_folder).out
    for mark in ("* best", "≈ cannot be told from the best", "! not shown to beat perturbed_mean"):
        assert mark in " ".join(text.split())
    assert "in 2 cell types" in text


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("subgroup", {"unseen_single", "seen_single"}),
        ("effect", {"small effect", "medium effect", "large effect"}),
        ("cell_type", {"toy_a", "toy_b"}),
    ],
)
def test_the_leaderboard_shows_parts(cli, bench_folder: Path, by: str, groups: set[str]) -> None:
    whole = board(cli, bench_folder, "--metric", "mse")
    for document, overall in zip(
        board(cli, bench_folder, "--metric", "mse", "--by", by), whole, strict=True
    ):
        assert document["by"] == by
        found = {row["group"] for row in document["leaderboard"]}
        assert found >= groups if by == "subgroup" else found == groups
        for row in overall["leaderboard"]:
            parts = [part for part in document["leaderboard"] if part["model"] == row["model"]]
            counts = [part["n_perturbations"] for part in parts]
            assert sum(counts) == row["n_perturbations"]
            total = sum(part["pooled"] * part["n_perturbations"] for part in parts)
            # The duplicate's few undefined values would need weights of their own.
            if not row["n_undefined"]:
                assert total / sum(counts) == pytest.approx(row["pooled"])


@pytest.mark.parametrize("chosen", ["table", "csv", "markdown", "latex", "html"])
@pytest.mark.parametrize("how", [("--by", "effect"), ("--across-seeds",)])
def test_every_format_shows_parts_and_seeds(
    cli, bench_folder: Path, chosen: str, how: tuple[str, ...]
) -> None:
    result = cli("leaderboard", "--results", bench_folder, "--format", chosen, *how)
    assert result.code == 0, result.err
    text = result.out.replace("\\_", "_")
    assert "additive" in text
    assert "simulated" in text.lower()
    if how[0] == "--across-seeds":
        assert "7, 42" in text or chosen == "csv"
        assert "technical_duplicate" in text
    else:
        assert re.search(r"small\s*effect", text) or "small" in text
    if chosen == "csv":
        rows = list(csv.DictReader(io.StringIO(result.out)))
        assert {row["model"] for row in rows} == set(MODELS)
        column = "std" if how[0] == "--across-seeds" else "group"
        assert all(row[column] for row in rows)


def test_seeds_show_their_mean_and_spread(cli, bench_folder: Path) -> None:
    documents = board(cli, bench_folder, "--across-seeds")
    (document,) = documents
    assert document["seeds"] == [7, 42]
    single = {
        (row["model"], row["metric"], of["split"]["seed"]): row["pooled"]
        for of in board(cli, bench_folder)
        for row in of["leaderboard"]
    }
    for row in document["across_seeds"]:
        values = [single[row["model"], row["metric"], seed] for seed in (7, 42)]
        assert row["by_seed"] == dict(zip(("7", "42"), values, strict=True))
        assert row["mean"] == pytest.approx(sum(values) / 2)
        assert row["std"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("how", [(), ("--all-metrics",), ("--by", "subgroup"), ("--across-seeds",)])
def test_tables_fit_the_terminal(
    cli, bench_folder: Path, monkeypatch: pytest.MonkeyPatch, width: int, how: tuple[str, ...]
) -> None:
    set_width(monkeypatch, width)
    result = cli("leaderboard", "--results", bench_folder, *how)
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= width
    assert "…" not in result.out
    for name in MODELS:
        assert name in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compare", "aditive", "truth"), "did you mean 'additive'"),
        (("compare", "additive", "additive"), "two different models"),
        (("compare", "additive", "truth", "--metric", "mze"), "did you mean 'mse'"),
        (("compare", "additive", "truth", "--dataset", "toi"), "did you mean 'toy'"),
        (("rank", "--metric", "mze"), "did you mean 'mse'"),
        (("leaderboard", "--by", "subgrup"), "did you mean 'subgroup'"),
        (("leaderboard", "--by", "effect", "--across-seeds"), "cannot be combined"),
    ],
)
def test_wrong_requests_are_one_line_that_names_the_nearest(
    cli, bench_folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = cli(*arguments, "--results", bench_folder)
    assert result.code == 2
    assert message in result.err
    assert result.out == ""
    assert len(result.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "additive", "perturbed_mean"),
        ("compare", "additive", "perturbed_mean", "control_mean"),
        ("rank",),
        ("leaderboard",),
    ],
)
def test_no_figure_is_cut_off_at_40_columns(
    words: tuple[str, ...], cli, bench_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = cli(*words, "--results", bench_folder, "--metric", "pearson_delta_top20").out
    assert max(map(len, shown.splitlines())) <= 40
    assert "…" not in shown
    assert "additive" in shown
