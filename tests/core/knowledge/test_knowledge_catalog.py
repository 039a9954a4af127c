from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from dygenept.errors import ConfigError, DataUnavailableError, PluginError
from dygenept.knowledge.catalog import FacetSetEntry, missing_knowledge, open_knowledge
from dygenept.knowledge.store.knowledge_files import write_knowledge
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry
from dygenept.types import GeneKnowledge, Runtime

GENES = ("KLF1", "MAPK1", "KIAA1804", "NO_SUCH_GENE")
ENTRIES = {
    "go_tfidf": FacetSetEntry(writer="go", encoder="tfidf", encoder_options={"dim": 16}),
    "shuffled": FacetSetEntry(base="go_tfidf", transform="shuffled"),
    "random": FacetSetEntry(base="go_tfidf", transform="random"),
    "biomedbert": FacetSetEntry(file="biomedbert.safetensors"),
    "biomedbert_shuffled": FacetSetEntry(base="biomedbert", transform="shuffled"),
}


@pytest.fixture(scope="module")
def manager() -> PluginManager:
    return PluginManager.load(
        ["dygenept_plugins.facet_writers.go", "dygenept_plugins.text_encoders.tfidf"],
        entry_points=False,
    )


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def environment_of(entries: Mapping[str, FacetSetEntry], manager: PluginManager) -> Environment:
    facets = {name: entry.model_dump(exclude_defaults=True) for name, entry in entries.items()}
    return Environment(
        registry=Registry(facets=facets), manager=manager, data_dir=Path(), cache_dir=Path()
    )


REGISTERED = environment_of(ENTRIES, PluginManager())


def _open(
    name: str,
    manager: PluginManager,
    cache_dir: Path,
    entries: Mapping[str, FacetSetEntry] = ENTRIES,
) -> GeneKnowledge:
    return open_knowledge(
        name,
        GENES,
        environment=environment_of(entries, manager),
        runtime=Runtime(cache_dir=cache_dir),
    )


def test_registered_facet_set_is_written_and_embedded(
    manager: PluginManager, cache_dir: Path
) -> None:
    knowledge = _open("go_tfidf", manager, cache_dir)
    assert (knowledge.name, knowledge.genes) == ("go_tfidf", GENES)
    assert knowledge.values.shape == (4, 8, 16)
    known = dict(zip(knowledge.genes, knowledge.confidence.any(axis=1), strict=True))
    assert [gene for gene in known if not known[gene]] == ["NO_SUCH_GENE"]


def test_shuffled_facet_set_misplaces_every_known_row(
    manager: PluginManager, cache_dir: Path
) -> None:
    true = _open("go_tfidf", manager, cache_dir)
    shuffled = _open("shuffled", manager, cache_dir)
    assert shuffled.name == "shuffled"
    assert all((shuffled.values[row] != true.values[row]).any() for row in range(3))
    np.testing.assert_array_equal(shuffled.values, _open("shuffled", manager, cache_dir).values)


def test_random_facet_set_keeps_confidence(manager: PluginManager, cache_dir: Path) -> None:
    true, drawn = (_open(name, manager, cache_dir) for name in ("go_tfidf", "random"))
    np.testing.assert_array_equal(drawn.confidence, true.confidence)
    assert (drawn.values != true.values).any()


def test_knowledge_file_opens_by_path_and_as_a_registered_file(
    manager: PluginManager, cache_dir: Path, tmp_path: Path
) -> None:
    true = _open("go_tfidf", manager, cache_dir)
    path = tmp_path / "knowledge" / "biomedbert.safetensors"
    write_knowledge(true, path)
    by_path = _open(str(path), manager, cache_dir)
    by_name = _open("biomedbert", manager, tmp_path)
    np.testing.assert_array_equal(by_path.values, true.values)
    np.testing.assert_array_equal(by_name.values, true.values)
    assert by_name.name == "biomedbert"
    runtime = Runtime(cache_dir=tmp_path)
    assert missing_knowledge("biomedbert", environment=REGISTERED, runtime=runtime) is None


def test_missing_file_of_a_facet_set_names_the_file_and_the_offline_alternative(
    manager: PluginManager, tmp_path: Path
) -> None:
    with pytest.raises(DataUnavailableError, match="--facets go_minilm") as caught:
        _open("biomedbert", manager, tmp_path)
    assert str(tmp_path / "knowledge" / "biomedbert.safetensors") in str(caught.value)


@pytest.mark.parametrize("name", ["biomedbert", "biomedbert_shuffled", "nowhere.safetensors"])
def test_what_is_missing_is_said_without_opening(name: str, tmp_path: Path) -> None:
    lacking = missing_knowledge(
        name,
        environment=REGISTERED,
        runtime=Runtime(cache_dir=tmp_path),
    )
    assert lacking is not None
    assert ".safetensors" in lacking


def test_written_facet_set_lacks_nothing() -> None:
    assert missing_knowledge("shuffled", environment=REGISTERED, runtime=Runtime()) is None


def test_unknown_facet_set_names_the_nearest(manager: PluginManager, cache_dir: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'go_tfidf'"):
        _open("go_tfdf", manager, cache_dir)
    with pytest.raises(ConfigError, match="did you mean 'shuffled'"):
        missing_knowledge("shufled", environment=REGISTERED, runtime=Runtime())


def test_unknown_writer_names_the_nearest(manager: PluginManager, cache_dir: Path) -> None:
    entries = {"mine": FacetSetEntry(writer="goo", encoder="tfidf")}
    with pytest.raises(PluginError, match="did you mean 'go'"):
        _open("mine", manager, cache_dir, entries)


def test_unknown_option_of_an_encoder_names_the_nearest(
    manager: PluginManager, cache_dir: Path
) -> None:
    entries = {
        "mine": FacetSetEntry(writer="go", encoder="tfidf", encoder_options={"dims": 8}),
    }
    with pytest.raises(ConfigError, match="did you mean 'dim'"):
        _open("mine", manager, cache_dir, entries)


def test_facet_sets_in_a_circle_are_refused(manager: PluginManager, cache_dir: Path) -> None:
    entries = {
        "a": FacetSetEntry(base="b", transform="random"),
        "b": FacetSetEntry(base="a", transform="shuffled"),
    }
    with pytest.raises(ConfigError, match="a -> b -> a"):
        _open("a", manager, cache_dir, entries)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"writer": "go"},
        {"base": "go_tfidf"},
        {"file": "x.safetensors", "writer": "go", "encoder": "tfidf"},
        {"base": "go_tfidf", "transform": "sorted"},
        {"writer": "go", "encoder": "tfidf", "colour": "red"},
    ],
)
def test_facet_set_entry_must_be_of_one_kind(entry: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        FacetSetEntry.model_validate(entry)
