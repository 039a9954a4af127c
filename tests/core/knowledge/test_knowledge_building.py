"""Gaps of a run's genes are filled as over all genes, whatever little is embedded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import ConfigError, DataUnavailableError
from dygenept.knowledge.building import FacetSource, build_imputed, build_knowledge
from dygenept.knowledge.catalog import FacetSetEntry, is_imputed_already, open_knowledge
from dygenept.knowledge.facets.imputation import impute
from dygenept.knowledge.genes.matching import gene_universe, select_genes
from dygenept.knowledge.graph.sources import NO_KG, KgChoice
from dygenept.knowledge.store.knowledge_files import write_knowledge
from dygenept.model.assembly import named_assembly
from dygenept.model.overrides import Overrides
from dygenept.model.resolve import resolve_model
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import GeneFacets
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry, load_registry
from dygenept.types import FloatArray, GeneKnowledge, Runtime

# The last is an outdated symbol, the one before unknown to all.
ASKED = ("KLF1", "FOSB", "IER5L", "TMSB4X", "NO_SUCH_GENE", "KIAA1804")
KG = KgChoice({"go": {"max_size": 40}})
ENTRIES = {
    "go_hashed": FacetSetEntry(writer="go", encoder="hashed"),
    "shuffled": FacetSetEntry(base="go_hashed", transform="shuffled"),
    "identity": FacetSetEntry(transform="identity", dim=16),
}
ENCODER = '''
"""Text encoder ``hashed``: a unit vector drawn from the text."""

import hashlib
from pathlib import Path

import numpy as np

from dygenept.plugin.hookspecs import hookimpl
from dygenept.plugin.specs import PluginConfig, TextEncoderSpec

COUNT = Path(__file__).with_name("encoded.txt")


class Hashed:
    identity = "hashed"
    corpus_dependent = False

    def encode(self, texts, runtime):
        with COUNT.open("a") as stream:
            stream.writelines("x\\n" for _ in texts)
        rows = [self._row(text) for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), 8)

    def _row(self, text):
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        row = np.random.default_rng(seed).standard_normal(8)
        return row / np.linalg.norm(row)


@hookimpl
def dygenept_text_encoders():
    return [
        TextEncoderSpec(
            name="hashed", summary="x", source="x", config=PluginConfig, factory=lambda _: Hashed()
        )
    ]
'''


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "hashed.py"
    path.write_text(ENCODER)
    return path


@pytest.fixture(scope="module")
def manager(plugin: Path) -> PluginManager:
    names = ("facet_writers.go", "kg_sources.go", "kg_sources.user_files")
    return PluginManager.load(
        [f"dygenept_plugins.{name}" for name in names], files=[plugin], entry_points=False
    )


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    folder = tmp_path_factory.mktemp("home")
    return Runtime(cache_dir=folder / "cache", data_dir=folder / "data")


def environment_of(entries: Mapping[str, FacetSetEntry], manager: PluginManager) -> Environment:
    facets = {name: entry.model_dump(exclude_defaults=True) for name, entry in entries.items()}
    return Environment(
        registry=Registry(facets=facets), manager=manager, data_dir=Path(), cache_dir=Path()
    )


def opened(
    name: str,
    manager: PluginManager,
    runtime: Runtime,
    kg: KgChoice = KG,
    genes: Sequence[str] = ASKED,
) -> GeneKnowledge:
    return open_knowledge(
        name, genes, environment=environment_of(ENTRIES, manager), runtime=runtime, kg=kg
    )


def n_encoded(plugin: Path) -> int:
    counted = plugin.with_name("encoded.txt")
    return len(counted.read_text().splitlines()) if counted.is_file() else 0


@pytest.fixture(scope="module")
def whole(manager: PluginManager, runtime: Runtime) -> GeneKnowledge:
    """Every gene embedded and imputed, then the genes asked for."""
    from dygenept.plugin.specs import FacetWriterSpec, TextEncoderSpec

    writer = manager.get(FacetWriterSpec, "go")
    encoder = manager.get(TextEncoderSpec, "hashed")
    universe = gene_universe(ASKED)
    knowledge = build_knowledge(
        FacetSource(
            "go_hashed",
            writer.factory(manager.configure(writer)),
            encoder.factory(manager.configure(encoder)),
        ),
        universe,
        Runtime(),
    )
    graph = KG.open(universe, manager, runtime)
    imputed = impute(knowledge, graph.aligned(universe), options=KG.imputation_options()).knowledge
    return select_genes(imputed, ASKED)


def test_genes_of_a_run_are_imputed_as_all_genes_together_would_be(
    manager: PluginManager, runtime: Runtime, whole: GeneKnowledge, plugin: Path
) -> None:
    before = n_encoded(plugin)
    found = opened("go_hashed", manager, runtime)
    assert found.genes == ASKED
    np.testing.assert_allclose(found.confidence, whole.confidence, atol=1e-6)
    np.testing.assert_allclose(found.values, whole.values, atol=1e-5)
    plain = opened("go_hashed", manager, runtime, NO_KG)
    is_native = plain.confidence == 1
    np.testing.assert_array_equal(found.values[is_native], plain.values[is_native])
    assert ((found.confidence > 0) & ~is_native).sum() > 5
    assert n_encoded(plugin) - before < 500


def test_second_opening_reads_the_cache(
    manager: PluginManager, runtime: Runtime, plugin: Path
) -> None:
    first = opened("go_hashed", manager, runtime)
    before = n_encoded(plugin)
    again = opened("go_hashed", manager, runtime)
    np.testing.assert_array_equal(first.values, again.values)
    assert first.sha256 == again.sha256
    assert n_encoded(plugin) == before
    other = opened("go_hashed", manager, runtime, replace(KG, imputation={"num_rounds": 0}))
    assert other.sha256 != first.sha256
    assert set(np.unique(other.confidence)) <= {0.0, 1.0}


def test_damaged_cache_is_computed_anew(
    manager: PluginManager, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened("go_hashed", manager, runtime)
    assert runtime.cache_dir is not None
    for path in (runtime.cache_dir / "imputed").glob("*.safetensors"):
        path.write_bytes(b"broken")
    again = opened("go_hashed", manager, runtime)
    np.testing.assert_array_equal(first.values, again.values)
    assert "computed again" in caplog.text


def test_shuffled_control_is_shuffled_after_imputation(
    manager: PluginManager, runtime: Runtime
) -> None:
    true = opened("go_hashed", manager, runtime)
    wrong = opened("shuffled", manager, runtime)
    assert wrong.confidence.sum() == pytest.approx(true.confidence.sum())
    assert (wrong.values != true.values).any()


def test_identity_gives_each_gene_one_code_of_its_own(
    manager: PluginManager, runtime: Runtime
) -> None:
    knowledge = opened("identity", manager, runtime)
    assert knowledge.values.shape == (6, 1, 16)
    assert knowledge.facet_names == ("Identity",)
    assert (knowledge.confidence == 1).all()
    norms = np.linalg.norm(knowledge.values, axis=2)
    np.testing.assert_allclose(norms, 1, rtol=1e-6)
    alone = opened("identity", manager, runtime, NO_KG, genes=("EKLF",))
    np.testing.assert_array_equal(alone.values[0], knowledge.values[0])
    overlap = knowledge.values[:, 0] @ knowledge.values[:, 0].T
    assert np.abs(overlap - np.eye(6)).max() < 0.9


def file_of(manager: PluginManager, runtime: Runtime, path: Path) -> GeneKnowledge:
    genes = (*ASKED[:4], "GATA3", "SPI1", "JUNB", "FOS")
    knowledge = opened("go_hashed", manager, runtime, NO_KG, genes=genes)
    write_knowledge(knowledge, path)
    return knowledge


def test_gaps_of_a_file_are_filled_from_its_own_genes(
    manager: PluginManager, runtime: Runtime, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    native = file_of(manager, runtime, path)
    graph = KG.open(native.genes, manager, runtime)
    expected = impute(native, graph.weights, options=KG.imputation_options()).knowledge
    found = opened(str(path), manager, runtime, genes=("KLF1", "FOSB"))
    assert ((found.confidence > 0) & (found.confidence < 1)).any()
    for row, gene in enumerate(found.genes):
        np.testing.assert_array_equal(found.values[row], expected.values[native.genes.index(gene)])
    absent = opened(str(path), manager, runtime, genes=("TP53",))
    assert 0 < absent.confidence.max() < 1


def test_file_that_was_imputed_from_the_same_graphs_is_taken_as_it_is(
    manager: PluginManager, runtime: Runtime, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    native = file_of(manager, runtime, path)
    write_knowledge(native, path, imputed_with=KG.record())
    found = opened(str(path), manager, runtime, genes=("KLF1",))
    np.testing.assert_array_equal(found.confidence[0], native.confidence[0])
    no_files = KgChoice({"edges": {}})
    write_knowledge(native, path, imputed_with=no_files.record())
    opened(str(path), manager, runtime, no_files, genes=("KLF1",))
    checked = {"environment": environment_of(ENTRIES, manager), "runtime": runtime}
    assert is_imputed_already(str(path), kg=no_files, **checked)
    assert not is_imputed_already(str(path), kg=KG, **checked)
    assert not is_imputed_already("shuffled", kg=KG, **checked)
    assert is_imputed_already("identity", kg=KG, **checked)


def test_vectors_of_another_project_are_imputed_too(
    manager: PluginManager, runtime: Runtime, tmp_path: Path
) -> None:
    genes = ("GATA3", "SPI1", "KLF1")
    rng = np.random.default_rng(0)
    vectors = {gene: rng.standard_normal(5) for gene in genes}
    vectors["KLF1"] = np.zeros(5)
    np.savez(tmp_path / "vectors.npz", **vectors)
    found = opened(
        str(tmp_path / "vectors.npz"), manager, runtime, KgChoice({"go": {}}), genes=("KLF1",)
    )
    assert found.values.shape == (1, 1, 5)
    assert 0 < found.confidence[0, 0] < 1


def test_graph_whose_file_is_missing_says_how_to_get_it(
    manager: PluginManager, runtime: Runtime
) -> None:
    with pytest.raises(DataUnavailableError, match=r"kg\.edges\.path"):
        opened("go_hashed", manager, runtime, KgChoice({"edges": {}}))


class PaysForCalls:
    """A writer whose calls cost money."""

    identity = "pays"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def write(self, genes: Sequence[str], runtime: Runtime) -> tuple[GeneFacets, ...]:
        self.asked.extend(genes)
        return tuple(GeneFacets(gene, (f"{gene}.", *(None,) * 7)) for gene in genes)

    def plan(self, corpus: object, runtime: Runtime) -> object:
        raise NotImplementedError


class OneVector:
    identity, corpus_dependent = "one", False

    def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
        return np.ones((len(texts), 2), dtype=np.float32)


def test_writer_that_pays_for_calls_is_asked_for_the_genes_of_the_run_alone(
    manager: PluginManager, runtime: Runtime
) -> None:
    writer = PaysForCalls()
    build_imputed(
        FacetSource("paid", writer, OneVector()),
        ASKED[:2],
        kg=KG,
        manager=manager,
        runtime=runtime,
    )
    assert writer.asked == list(ASKED[:2])


@pytest.fixture(scope="module")
def shipped() -> Environment:
    registry = load_registry()
    return Environment(
        registry=registry, manager=PluginManager.load(registry.plugins, entry_points=False)
    )


def overrides(kg: tuple[str, ...] | None = None, *sets: str) -> Overrides:
    return Overrides(parts={}, kg=kg, sets=sets)


def test_graphs_show_in_the_models_name_and_configuration(
    shipped: Environment,
) -> None:
    model = resolve_model(
        "dygenept_small",
        shipped,
        overrides(("string", "go"), "kg.string.weight=0.5", "imputation.num_rounds=2"),
    )
    assert model.name == (
        "dygenept_small[imputation.num_rounds=2,kg=string+go,kg.string.weight=0.5]"
    )
    assert model.config["imputation"] == {
        "num_rounds": 2,
        "confidence_cap": 0.8,
        "max_neighbors": 20,
    }
    assert {plugin.name for plugin in model.plugins if plugin.kind == "kg_sources"} == {
        "string",
        "go",
    }
    plain = resolve_model("dygenept_small", shipped)
    assert plain.config["kg"] == []


def test_named_graphs_take_the_place_of_registered_ones(
    shipped: Environment,
) -> None:
    assembly, name = named_assembly("dygenept", shipped, overrides(("go",)))
    assert (tuple(assembly.text.kg), name) == (("go",), "dygenept[kg=go]")
    assembly, name = named_assembly("dygenept", shipped, overrides(()))
    assert (assembly.text.kg, name) == ({}, "dygenept[kg=none]")
    assembly, _ = named_assembly("dygenept", shipped, overrides(None, "kg.go.weight=0.1"))
    assert assembly.text.kg["go"] == {"weight": 0.1}
    assert len(assembly.graphs) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (overrides(("go",), "kg.string.weight=0.5"), "'string' is not among"),
        (overrides(("go",), "kg.go.wait=0.5"), "did you mean 'weight'"),
        (overrides(("go",), "imputation.num_round=2"), "did you mean 'num_rounds'"),
        (overrides(("go",), "imputation.confidence_cap=3"), "confidence_cap"),
        (overrides(None, "kg=3"), "kg must be a list"),
    ],
)
def test_wrong_graph_options_are_refused(
    shipped: Environment, changes: Overrides, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        named_assembly("dygenept_small", shipped, changes)


def test_missing_graph_files_are_requirements_of_a_model(
    shipped: Environment, tmp_path: Path
) -> None:
    environment = replace(shipped, cache_dir=tmp_path, data_dir=tmp_path)
    assembly, _ = named_assembly("dygenept_small", environment, overrides(("string", "go")))
    (reason,) = assembly.missing(environment)
    assert "dygenept data fetch string" in reason
    assert str(tmp_path) in reason
