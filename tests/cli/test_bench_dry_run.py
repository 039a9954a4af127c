"""``dygenept bench --dry-run``: a plan is printed and nothing is run."""

from __future__ import annotations

from pathlib import Path

from dygenept.testing import write_toy_h5ad
from tests.cli.conftest import Cli


def test_a_plan_is_one_document_and_nothing_is_written(cli: Cli, tmp_path: Path) -> None:
    write_toy_h5ad(tmp_path / "toy.h5ad")
    before = sorted(tmp_path.rglob("*"))
    asked = ("bench", "--dataset", "toy.h5ad", "--model", "ridge", "--folds", "3", "--dry-run")
    found = cli(*asked, "--json")
    assert found.code == 0
    assert sorted(tmp_path.rglob("*")) == before
    document = found.json()
    assert document["dry_run"] is True
    (plan,) = document["plans"]  # type: ignore[misc]
    assert plan["jobs"] == {"total": 3, "recorded": 0, "to_compute": 3}
    assert plan["dataset"]["n_genes"] == 60
    assert plan["models"][0]["name"] == "ridge"
    assert plan["total_seconds"] > 0
    text = cli(*asked)
    assert text.code == 0
    assert "3 to compute, 0 recorded" in text.out
    assert "nothing was run" in text.err


def test_what_a_run_would_refuse_is_refused(cli: Cli) -> None:
    found = cli("bench", "--dataset", "absent.h5ad", "--dry-run")
    assert found.code == 2
    assert "absent.h5ad" in found.err


def test_every_data_set_of_a_suite_has_a_plan(cli: Cli) -> None:
    found = cli("bench", "--suite", "gears_norman", "--model", "truth", "--dry-run", "--json")
    (plan,) = found.json()["plans"]  # type: ignore[misc]
    assert plan["dataset"]["on_disk"] is False
    assert plan["dataset"]["n_cells"] == 91205
    assert any("not on disk" in doubt for doubt in plan["doubts"])
