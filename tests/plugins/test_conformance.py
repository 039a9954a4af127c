"""Every registered plugin keeps the rules of its kind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from local_endpoint import LocalEndpoint

from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry
from dygenept.plugin.specs import SPEC_CLASSES, BaselineSpec, PluginSpec
from dygenept.testing import NotCheckedError, check_plugin, toy_data
from dygenept.testing.split_checks import TOY_SPLIT_SHAPE

# What a plugin cannot be built without, or what makes it small enough for a test.
OPTIONS: dict[str, dict[str, object]] = {
    "datasets/file": {"path": "absent.h5ad"},
    "datasets/gears": {"file_id": 6154020, "folder": "norman"},
    "datasets/simulated": {"profile": "dixit", "scale": 0.02},
    "cell_encoders/scgpt": {"n_layers": 2, "d_model": 16, "n_heads": 2, "freeze_layers": 0},
}
HEAVY = ("anndata", "entmax", "pandas", "polars", "sklearn", "torch", "transformers")


MANAGER = PluginManager.load(load_registry().plugins, entry_points=False)
BUILT_IN: list[PluginSpec] = [
    spec for spec_class in SPEC_CLASSES for spec in MANAGER.specs(spec_class)
]


def test_every_built_in_plugin_can_be_imported() -> None:
    assert BUILT_IN
    assert MANAGER.failures == {}


@pytest.mark.parametrize("spec", BUILT_IN, ids=lambda spec: f"{spec.kind}/{spec.name}")
def test_built_in_plugin_keeps_the_rules_of_its_kind(
    spec: PluginSpec,
    tmp_path: Path,
    endpoint: LocalEndpoint,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    key = f"{spec.kind}/{spec.name}"
    options = OPTIONS.get(key)
    if key == "splits/manifest":
        options = {"path": str(write_manifest(tmp_path / "labels.json"))}
    if spec.kind == "kg_sources":
        options = {"path": str(write_graph(tmp_path / "graph.txt", spec.name))}
    if isinstance(spec, BaselineSpec) and spec.environment is not None:
        # Its environment is gigabytes from an index; tests/core/test_isolated* check the mechanism.
        monkeypatch.setenv("DYGENEPT_HOME", str(tmp_path))
        with pytest.raises(NotCheckedError, match="dygenept env build"):
            check_plugin(spec, options=options)
        return
    if key == "facet_writers/llm":
        journal = str(tmp_path / "journal.jsonl")
        options = {"model": "m", "base_url": endpoint.base_url, "journal": journal}
    if key == "text_encoders/api":
        options = {"model": "m", "base_url": endpoint.base_url, "batch_size": 4}
    if key in ("text_encoders/biomedbert", "text_encoders/biolord"):
        options = {"model": str(request.getfixturevalue("tiny_bert"))}
    check_plugin(spec, options=options)


def test_options_name_plugins_that_exist() -> None:
    assert set(OPTIONS) <= {f"{spec.kind}/{spec.name}" for spec in BUILT_IN}


def test_listing_plugins_loads_no_heavy_library() -> None:
    script = (
        "import sys; from dygenept.plugin.manager import PluginManager; "
        "from dygenept.plugin.registry import load_registry; "
        "manager = PluginManager.load(load_registry().plugins, entry_points=False); "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def write_manifest(path: Path) -> Path:
    labels = [item.label for item in toy_data(TOY_SPLIT_SHAPE).perturbations]
    path.write_text(json.dumps({"train": labels[4:], "val": labels[3:4], "test": labels[:3]}))
    return path


def write_graph(path: Path, source: str) -> Path:
    if source in ("go", "reactome", "gmt"):
        rows = ["one\tset\tTP53\tCDKN1A\tJUN\tHBB", "two\tset\tTP53\tJUN\tHBA1\tHBB"]
    else:
        rows = ["TP53\tCDKN1A\t0.5", "JUN\tMAPK1\t0.25", "HBA1\tHBB\t1.0", "TP53\tJUN\t0.75"]
    path.write_text("\n".join(rows) + "\n")
    return path
