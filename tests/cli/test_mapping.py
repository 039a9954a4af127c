"""Flags that say where a file keeps what is needed, in commands, registry entries and records."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import pytest

from dygenept.testing import write_toy_h5ad

FLAGS = ("--condition-column", "guide", "--control", "safe", "--guide-pattern", r"_\d$")


@pytest.fixture
def screen(tmp_path: Path) -> Path:
    adata = anndata.read_h5ad(write_toy_h5ad(tmp_path / "toy.h5ad"))
    labels = adata.obs.pop("condition").astype(str).str.removesuffix("+ctrl")
    adata.obs["guide"] = ["safe" if label == "ctrl" else f"{label}_1" for label in labels]
    adata.write_h5ad(tmp_path / "screen.h5ad")
    return tmp_path / "screen.h5ad"


def test_flags_and_a_registry_entry_read_the_same_cells(cli, screen: Path, tmp_path: Path) -> None:
    refused = cli("data", "verify", screen)
    assert (refused.code, "--condition-column guide" in refused.err) == (2, True)
    by_flags = cli("data", "verify", screen, *FLAGS, "--json").json()
    assert by_flags["mapping"] == {
        "condition_column": "guide",
        "control": ["safe"],
        "guide_pattern": r"_\d$",
    }
    entry = {"source": "file", "path": str(screen), **by_flags["mapping"]}
    registry = tmp_path / "mine.yaml"
    registry.write_text(json.dumps({"datasets": {"mine": entry}}))
    by_entry = cli("data", "verify", "mine", "--registry", registry, "--json").json()
    assert by_entry["sha256"] == by_flags["sha256"]
    changed = cli("data", "verify", "mine", "--registry", registry, "--control", "other")
    assert "no cell has the control label 'other'" in changed.err


def test_a_record_is_rerun_without_the_flags_of_its_bench(cli, screen: Path) -> None:
    arguments = ("--folds", "2", "--model", "perturbed_mean", "--metric", "mse", "-q")
    assert cli("bench", "--dataset", screen, *FLAGS, *arguments).code == 0
    record = sorted(Path("results/runs").glob("*.json"))[0]
    assert json.loads(record.read_text())["dataset"]["file"] == str(screen)
    assert cli("rerun", record, "-q").code == 0
    other = cli("rerun", record, "-q", "--condition-column", "cell_type")
    assert other.code == 2


def test_a_simulated_data_set_is_not_mapped(cli) -> None:
    result = cli("data", "verify", "sim:norman", "--layer", "counts")
    assert (result.code, "leave --layer out" in result.err) == (2, True)


def test_matched_batches_are_said_in_the_record_and_on_the_board(cli, tmp_path: Path) -> None:
    import anndata
    import numpy as np
    import pandas as pd
    from scipy import sparse

    rng = np.random.default_rng(0)
    labels = np.repeat(["ctrl", "KLF1", "GATA1", "SPI1", "STAT1"], 24)
    lanes = np.tile(["a", "b"], 60)
    values = rng.random((120, 6)) + (lanes == "b")[:, None]
    genes = ["KLF1", "GATA1", "SPI1", "STAT1", "JAK2", "CD58"]
    path = tmp_path / "lanes.h5ad"
    anndata.AnnData(
        sparse.csr_matrix(values.astype(np.float32)),
        obs=pd.DataFrame({"condition": labels, "lane": lanes}, index=[f"c{n}" for n in range(120)]),
        var=pd.DataFrame(index=genes),
    ).write_h5ad(path)
    asked = ("--folds", "2", "--model", "perturbed_mean", "--metric", "mse", "-q")
    bench = ("bench", "--dataset", path, "--batch-column", "lane", *asked)
    matched = cli(*bench)
    assert matched.code == 0, matched.err
    assert "controls are matched by batch (obs['lane'])" in matched.out + matched.err
    pooled = cli(*bench, "--no-match-batches")
    assert "controls are matched by batch" not in pooled.out + pooled.err
    records = [json.loads(path.read_text()) for path in Path("results/runs").glob("*.json")]
    said = {record["dataset"]["mapping"]["match_batches"] for record in records}
    assert said == {True, False}
    assert len({record["dataset"]["sha256"] for record in records}) == 2
    record = next(
        path
        for path in sorted(Path("results/runs").glob("*.json"))
        if json.loads(path.read_text())["dataset"]["mapping"]["match_batches"]
    )
    assert cli("rerun", record, "-q").code == 0
