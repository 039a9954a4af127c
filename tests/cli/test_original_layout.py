"""The original model's folders, configuration files and command line, read as they are."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import ConfigError, DataUnavailableError
from dygenept.knowledge.catalog import open_knowledge
from dygenept.knowledge.graph.sources import KgChoice
from dygenept.knowledge.store.formats.original import write_original
from dygenept.machine import folders
from dygenept.machine.folders import place_in
from dygenept.model import original_names
from dygenept.model.original_names import todays_document, todays_set
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import (
    BaselineSpec,
    CellEncoderSpec,
    DatasetSpec,
    KgSourceSpec,
    TextEncoderSpec,
)
from dygenept.types import GeneKnowledge

FIXTURES = Path(__file__).parents[1] / "plugins" / "scgpt_fixtures"
GRAPHS = {
    "string": {"KLF1": [["GATA1", ["experiments"]]], "GATA1": [["KLF1", ["experiments"]]]},
    "bioplex": {"KLF1": [["GATA1", "293T"]]},
    "go": [{g: [["GO:1", "part_of"], ["GO:2", "part_of"]] for g in ("KLF1", "GATA1")}, {}, {}],
    "reactome": [{g: [["R-1", "nucleus"]] for g in ("KLF1", "GATA1")}, {}],
}


@pytest.fixture(autouse=True)
def everything_is_said_anew() -> None:
    folders._say_once.cache_clear()
    original_names._say_once.cache_clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The original project's folder: checkpoints, and data beside them."""
    root = tmp_path / "original"
    shutil.copytree(FIXTURES, root / "checkpoints" / "scgpt" / "whole_human")
    (root / "data" / "kg").mkdir(parents=True)
    for name, document in GRAPHS.items():
        (root / "data" / "kg" / f"{name}.json").write_text(json.dumps(document))
    data = root / "data" / "perturb_data" / "norman" / "perturb_processed.h5ad"
    data.parent.mkdir(parents=True)
    data.write_bytes(b"")
    return root


def test_todays_place_wins_over_the_originals_and_both_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert place_in(tmp_path, "a", ("old/a",)) == tmp_path / "a"
    (tmp_path / "old" / "a").mkdir(parents=True)
    with caplog.at_level(logging.WARNING):
        assert place_in(tmp_path, "a", ("older/a", "old/a")) == tmp_path / "old" / "a"
    assert f"{tmp_path / 'old' / 'a'} is read" in caplog.text
    assert f"today's place is {tmp_path / 'a'}" in caplog.text
    (tmp_path / "a").mkdir()
    assert place_in(tmp_path, "a", ("old/a",)) == tmp_path / "a"


def test_a_place_beside_the_data_folder_counts_only_where_that_is_called_data(
    tmp_path: Path,
) -> None:
    (tmp_path / "checkpoints").mkdir()
    beside = ("../checkpoints",)
    assert place_in(tmp_path / "data", "c", beside) == tmp_path / "checkpoints"
    assert place_in(tmp_path / "mine", "c", beside) == tmp_path / "mine" / "c"


@pytest.mark.parametrize("folder", [".", "data"])
@pytest.mark.parametrize(
    ("spec", "name"), [(CellEncoderSpec, "scgpt"), (BaselineSpec, "scgpt_finetune")]
)
def test_the_checkpoint_of_scgpt_is_found_by_way_of_the_data_folder(
    root: Path, tmp_path: Path, folder: str, spec: type, name: str
) -> None:
    options = {"checkpoint": "whole_human"}
    found = Environment.load(data_dir=root / folder).configured(spec, name, options)
    assert found.missing() is None
    without = Environment.load(data_dir=tmp_path / "empty").configured(spec, name, options)
    assert str(tmp_path / "empty") in str(without.missing())
    # A record must not depend on where a machine keeps its files.
    assert found.document() == without.document()
    assert "data_dir" not in found.document()


@pytest.mark.parametrize("name", ["biomedbert", "biolord"])
@pytest.mark.parametrize("place", ["", "checkpoints"])
def test_the_weights_of_text_encoders_are_found_by_way_of_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / place / name
    folder.mkdir(parents=True)
    for file in ("config.json", "vocab.txt", "model.safetensors"):
        (folder / file).write_text("")
    found = Environment.load(data_dir=tmp_path).configured(TextEncoderSpec, name)
    assert found.missing() is None
    (folder / "model.safetensors").unlink()
    assert "model.safetensors" in str(found.missing())


@pytest.mark.parametrize("folder", [".", "data"])
def test_the_four_graphs_are_read_from_json_and_go_json_instead_of_the_shipped_tables(
    root: Path, tmp_path: Path, folder: str
) -> None:
    environment = Environment.load(data_dir=root / folder, cache_dir=tmp_path / "cache")
    runtime = environment.runtime()
    for name in GRAPHS:
        options: dict[str, object] = {}
        if name in ("go", "reactome"):
            options = {"min_shared": 1, "min_size": 2}
        choice = KgChoice({name: options})
        assert choice.missing(environment.manager, runtime) == ()
        graph = choice.open(("KLF1", "GATA1", "TP53"), environment.manager, runtime)
        weights = graph.aligned(("KLF1", "GATA1", "TP53"))
        assert weights[0, 1] > 0
        # Of the shipped terms, TP53 shares some with the others; in these files it has none.
        assert weights[0, 2] == 0
    source = environment.configured(KgSourceSpec, "go")
    assert "data_dir" not in source.document()


@pytest.mark.parametrize("folder", [".", "data"])
def test_data_sets_are_found_in_perturb_data(root: Path, folder: str) -> None:
    environment = Environment.load(data_dir=root / folder)
    options = {"file_id": 6154020, "folder": "norman"}
    plugin = environment.configured(DatasetSpec, "gears", options)
    source = plugin.spec.factory(plugin.options)
    path = source.path(root / folder)  # type: ignore[attr-defined]
    assert path.is_file()
    assert path.parts[-3:-1] == ("perturb_data", "norman")


def test_sections_of_the_original_get_their_name_of_today(caplog: pytest.LogCaptureFixture) -> None:
    written = {
        "cross_attention": {"num_heads": 4},
        "training": {"dataset": "norman", "lr": 1e-5},
        "decoder": {"hidden_dims": [8]},
    }
    document, dataset = todays_document(written)
    assert document == {
        "attention": {"num_heads": 4},
        "training": {"lr": 1e-5},
        "decoder": {"hidden_dims": [8]},
    }
    assert dataset == "norman"
    assert "cross_attention is read as attention" in caplog.text
    assert "training.dataset is the data set, which is --dataset norman today" in caplog.text
    assert todays_document({"training": {"dataset": "x"}}) == ({}, "x")
    assert todays_document({"training": {"lr": 1}}) == ({"training": {"lr": 1}}, None)
    assert todays_set("cross_attention.num_heads=4") == "attention.num_heads=4"
    assert todays_set("ridge.alpha=1") == "ridge.alpha=1"


def test_a_section_under_both_names_is_merged_unless_they_disagree() -> None:
    same = {"cross_attention": {"num_heads": 4, "x": 1}, "attention": {"num_heads": 4}}
    assert todays_document(same)[0] == {"attention": {"num_heads": 4, "x": 1}}
    with pytest.raises(ConfigError, match=r"cross_attention\.num_heads and attention\.num_heads"):
        todays_document({"cross_attention": {"num_heads": 4}, "attention": {"num_heads": 8}})


@pytest.mark.parametrize(
    ("confidence", "is_imputed"),
    [([[1, 1], [1, 0.4]], True), ([[1, 1], [1, 1]], True), ([[1, 1], [1, 0]], False)],
)
def test_a_tensor_that_was_imputed_already_needs_no_graphs(
    tmp_path: Path, confidence: list[list[float]], is_imputed: bool
) -> None:
    path = tmp_path / "tensor.npz"
    tensor = np.random.default_rng(0).normal(size=(2, 2, 3)).astype(np.float32)
    confident = np.array(confidence, dtype=np.float32)
    tensor[confident == 0] = 0.0
    written = GeneKnowledge(
        name="t",
        sha256="",
        genes=("KLF1", "GATA1"),
        facet_names=("f1", "f2"),
        values=tensor,
        confidence=confident,
    )
    write_original(written, path)
    environment = Environment.load(data_dir=tmp_path / "none", cache_dir=tmp_path / "cache")
    asked = {"environment": environment, "runtime": environment.runtime()}
    choice = KgChoice({"string": {}, "bioplex": {}})
    if is_imputed:
        found = open_knowledge(str(path), ("GATA1",), kg=choice, **asked)
        np.testing.assert_array_equal(found.values[0], tensor[1])
    else:
        with pytest.raises(DataUnavailableError, match="string"):
            open_knowledge(str(path), ("GATA1",), kg=choice, **asked)


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({"checkpoint": "random"}, "random weights"),
        ({"checkpoint": "random", "freeze_layers": 0}, "random weights"),
        ({}, "random weights"),  # two of four layers frozen
        ({"freeze_layers": "all"}, "random weights"),
        ({"freeze_layers": 1}, "random weights"),
        ({"freeze_layers": 0}, None),
        ({"n_layers": 2}, None),  # the last two of two are trained
        ({"checkpoint": "whole_human"}, None),
    ],
)
def test_a_frozen_random_encoder_is_labelled_however_it_came_about(
    options: dict[str, object], label: str | None
) -> None:
    assert Environment.load().configured(CellEncoderSpec, "scgpt", options).label == label


def test_bare_options_and_the_originals_sections_reach_the_model(
    cli, toy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tmp_path / "original.yaml"
    config.write_text(f"cross_attention: {{num_headz: 4}}\ntraining: {{dataset: '{toy}'}}\n")
    bench = ("bench", "--model", "dygenept_small")
    result = cli(*bench, "--config", config)
    assert result.code == 2
    assert "cross_attention is read as attention" in caplog.text
    assert f"--dataset {toy}" in caplog.text
    assert "did you mean 'num_heads'" in result.err
    result = cli(*bench, "training.lrr=5e-5", "--dataset", toy)
    assert result.code == 2
    assert "unknown key 'training.lrr'; did you mean 'lr'" in result.err
    result = cli(*bench, "--dataset", toy, "quickly")
    assert result.code == 2
    assert "unexpected argument 'quickly'" in result.err
