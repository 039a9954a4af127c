"""``dygenept metrics audit``."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

ASKED = ("--folds", "2", "--metric", "mse", "--metric", "pearson_delta", "--model", "additive")


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_an_audit_is_printed_and_drawn(cli, toy: Path, tmp_path: Path, form: str) -> None:
    flags = () if form == "table" else (f"--{form}",)
    result = cli("metrics", "audit", "--dataset", toy, *ASKED, *flags, "--plot", "ranges.svg")
    assert result.code == 0, result.err
    drawn = (tmp_path / "ranges.svg").read_text()
    assert "<svg" in drawn
    assert "pearson_delta" in drawn
    assert not (tmp_path / "results").exists()
    if form == "json":
        rows = {row["metric"]: row for row in result.json()["metrics"]}
        assert set(rows) == {"mse", "pearson_delta"}
        assert set(rows["mse"]["agreement"]) == {"pearson_delta"}
        assert rows["mse"]["calibrated"] in (True, False, None)
    elif form == "csv":
        rows = {row["metric"]: row for row in csv.DictReader(io.StringIO(result.out))}
        assert rows["mse"]["reference"] in ("perturbed_mean", "control_mean")
    else:
        assert result.out.count("pearson_delta ↑") == 1
        assert "dynamic" in result.out


def test_a_narrow_screen_gets_every_figure_in_two_tables(
    cli, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = cli("metrics", "audit", "--dataset", toy, *ASKED)
    assert result.out.count("pearson_delta ↑") == 2
    assert "…" not in result.out
    assert max(len(line) for line in result.out.splitlines()) <= 80


def test_a_chart_of_another_kind_and_two_forms_are_refused(cli, toy: Path) -> None:
    result = cli("metrics", "audit", "--dataset", toy, "--plot", "ranges.bmp")
    assert (result.code, "name a file that ends in one of these" in result.err) == (2, True)
    result = cli("metrics", "audit", "--dataset", toy, "--csv", "--json")
    assert (result.code, "leave one out" in result.err) == (2, True)
