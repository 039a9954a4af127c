"""A separate distribution, installed with pip, works beside the built-in plugins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "dygenept-toyplugins"
DISTRIBUTION = "dygenept-toyplugins"
PLUGINS = {
    "attention/most_confident",
    "baselines/median_shift",
    "cell_encoders/depth",
    "datasets/toy_file",
    "decoders/summed",
    "facet_writers/handwritten",
    "gene_encoders/projected",
    "kg_sources/family",
    "metrics/cosine_delta",
    "splits/alternate",
    "text_encoders/trigrams",
}
RUN = "from dygenept_cli.main import run; run()"
CHECK = """
import sys
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import SPEC_CLASSES
from dygenept.testing import check_plugin
manager = PluginManager.load()
assert not manager.failures, manager.failures
for spec_class in SPEC_CLASSES:
    for spec in manager.specs(spec_class):
        origin = manager.provenance(spec.kind, spec.name)
        check_plugin(spec)
        print(f"{spec.kind}/{spec.name} {origin.distribution} {origin.version}")
import dygenept.plugin
from dygenept_toyplugins.networks import Summed
assert isinstance(Summed(4, 5), dygenept.plugin.LinearReadout)
"""
REGISTRY = """
datasets:
  toys: {source: toy_file, seed: 3}
facets:
  by_hand: {writer: handwritten, encoder: trigrams}
models:
  mine:
    summary: Parts of this distribution, with the built-in softmax.
    width: 16
    gene_encoder: projected
    facets: by_hand
    cell_encoder: depth
    attention: softmax
    decoder: summed
    training: {epochs: 1}
  started: {extends: mine, training: {epochs: 0, warm_start: true}}
"""
LIST_AND_CHECK = """
import sys
from dygenept_cli.main import run
for arguments in ("plugins check cosine_delta", "plugins list --json"):
    sys.argv = ["dygenept", *arguments.split()]
    try:
        run()
    except SystemExit as stop:
        assert not stop.code
"""

Python = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Python:
    """Install the distribution into a throw-away folder; return a Python that sees it."""
    folder = tmp_path_factory.mktemp("third_party")
    source = shutil.copytree(SOURCE, folder / "source")
    target = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    built = subprocess.run([*pip, *options, str(source)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    environment = {
        **os.environ,
        "PYTHONPATH": str(target),
        "DYGENEPT_HOME": str(folder / "home"),
        "DYGENEPT_DATA": str(folder / "data"),
    }

    def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            env=environment,
            cwd=folder,
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


def test_all_eleven_plugins_are_found_by_entry_point_and_keep_the_rules(python: Python) -> None:
    lines = [line.split() for line in python(CHECK).stdout.splitlines()]
    assert {name for name, _, _ in lines} == PLUGINS
    assert {tuple(origin) for _, *origin in lines} == {(DISTRIBUTION, "0.3.1")}


def test_the_command_line_checks_one_and_lists_them_beside_the_built_in_plugins(
    python: Python,
) -> None:
    checked, _, listed = python(LIST_AND_CHECK).stdout.partition("\n")
    assert checked.split() == ["ok", "metrics/cosine_delta"]
    document = json.loads(listed)
    assert document["failures"] == {}
    owners = {f"{row['kind']}/{row['name']}": row["distribution"] for row in document["plugins"]}
    assert {name for name, owner in owners.items() if owner == DISTRIBUTION} == PLUGINS
    assert owners["attention/sparsemax"] == "dygenept"
    assert owners["baselines/perturbed_mean"] == "dygenept"


def test_a_bench_runs_them_beside_the_built_in_plugins_and_starts_its_decoder_in_closed_form(
    python: Python, tmp_path: Path
) -> None:
    registry, results = tmp_path / "mine.yaml", tmp_path / "results"
    registry.write_text(REGISTRY)
    done = python(
        RUN,
        *("bench", "--registry", str(registry), "--dataset", "toys"),
        *("--split", "alternate", "--folds", "2", "--results", str(results), "--json"),
        *("--model", "perturbed_mean", "--model", "median_shift"),
        *("--model", "mine", "--model", "started", "--attention", "most_confident"),
    )
    document = json.loads(done.stdout)
    assert document["dataset"]["name"] == "toy_file_3"
    assert document["split"]["name"] == "alternate"
    board = document["leaderboard"]
    models = {row["model"] for row in board}
    mine, started = (f"{name}[attention=most_confident]" for name in ("mine", "started"))
    assert models == {"perturbed_mean", "median_shift", mine, started}
    assert {row["model"] for row in board if row["metric"] == "cosine_delta"} == models
    assert {row["model"] for row in board if row["metric"] == "mse"} == models
    assert all(row["n_folds"] == 2 for row in board)
    records = [json.loads(path.read_text()) for path in results.rglob("*.json")]
    used = {
        f"{plugin['kind']}/{plugin['name']}"
        for record in records
        for plugin in record.get("plugins", ())
        if (plugin["distribution"], plugin["version"]) == (DISTRIBUTION, "0.3.1")
    }
    assert used >= {
        "attention/most_confident",
        "baselines/median_shift",
        "cell_encoders/depth",
        "decoders/summed",
        "facet_writers/handwritten",
        "gene_encoders/projected",
        "metrics/cosine_delta",
        "text_encoders/trigrams",
    }
    error = {row["model"]: row["mean"] for row in board if row["metric"] == "mse"}
    assert error[started] < error[mine]
    chosen = {record["model"]: record["chosen"] for record in records if "chosen" in record}
    assert chosen[started]["penalty"] > 0
    assert chosen[started]["epochs_kept"] == 0
    assert "penalty" not in chosen[mine]
