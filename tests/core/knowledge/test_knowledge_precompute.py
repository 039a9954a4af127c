"""The pipeline: each step is kept, and done again only where what it was made of changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import ConfigError, DataUnavailableError, DygeneptError
from dygenept.knowledge.facets.origins import REGENERATED
from dygenept.knowledge.facets.texts import read_facets
from dygenept.knowledge.genes.corpus import read_corpus
from dygenept.knowledge.graph.sources import KgChoice
from dygenept.knowledge.precompute.manifests import manifest_path, read_manifest
from dygenept.knowledge.precompute.pipeline import Pipeline
from dygenept.knowledge.precompute.request import (
    ARTEFACTS,
    STEPS,
    PrecomputeConfig,
    PrecomputeRequest,
    planned_steps,
)
from dygenept.knowledge.store.knowledge_files import read_knowledge, read_origins
from dygenept.plugin.interfaces import (
    CallPlan,
    CorpusEntry,
    FacetRequest,
    FacetWriter,
    GeneFacets,
)
from dygenept.plugin.loading import Origin
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import FacetWriterSpec, PluginConfig, TextEncoderSpec
from dygenept.types import FloatArray, Runtime

GENES = ("KLF1", "GATA1", "TAL1", "FOS", "JUN", "FOSB", "NO_SUCH_GENE")
EDGES = "KLF1\tGATA1\nKLF1\tTAL1\nFOSB\tFOS\nFOSB\tJUN\nNO_SUCH_GENE\tFOS\nNO_SUCH_GENE\tJUN\n"


class Writer:
    """A writer that reads the corpus, and does not know what TP53 does."""

    identity = "test"

    def __init__(self) -> None:
        self.read: list[CorpusEntry] = []
        self.requests: list[FacetRequest] = []
        self.fails = False
        self.folder: Path | None = None

    def write(self, genes: Sequence[str], runtime: Runtime) -> tuple[GeneFacets, ...]:
        return self.write_from([CorpusEntry(gene) for gene in genes], runtime)

    def write_from(self, corpus: Sequence[CorpusEntry], runtime: Runtime) -> tuple[GeneFacets, ...]:
        self.folder = runtime.checkpoint_dir
        if self.fails:
            raise DygeneptError("the endpoint is away")
        self.read = list(corpus)
        return tuple(
            GeneFacets(
                entry.gene,
                (f"About {entry.gene}.", *(None,) * 7) if entry.symbol else (None,) * 8,
            )
            for entry in corpus
        )

    def regenerate(
        self, requests: Sequence[FacetRequest], runtime: Runtime
    ) -> tuple[str | None, ...]:
        self.requests = list(requests)
        return tuple(f"{request.entry.gene} by its partners." for request in requests)

    def plan(self, corpus: Sequence[CorpusEntry], runtime: Runtime) -> CallPlan:
        return CallPlan(len(corpus), 0, 10, 20, None, f"Write about {corpus[0].gene}")


class DrawnConfig(PluginConfig):
    dim: int = 8


class Drawn:
    """An encoder that draws a vector from the length of a text."""

    corpus_dependent = False

    def __init__(self, config: DrawnConfig) -> None:
        self.dim = config.dim

    @property
    def identity(self) -> str:
        return f"drawn-{self.dim}"

    def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
        rows = [np.random.default_rng(len(text)).standard_normal(self.dim) for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), self.dim)


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def manager(writer: Writer) -> PluginManager:
    names = ("facet_writers.go", "kg_sources.user_files")
    manager = PluginManager.load([f"dygenept_plugins.{name}" for name in names], entry_points=False)

    def make(config: object) -> FacetWriter:
        return writer

    about = {"summary": "x", "source": "x"}
    specs = (
        FacetWriterSpec(name="test", config=PluginConfig, factory=make, **about),
        TextEncoderSpec(name="drawn", config=DrawnConfig, factory=Drawn, **about),
    )
    manager._add(specs, Origin("test", "test", "1"))
    return manager


@pytest.fixture
def edges(tmp_path: Path) -> Path:
    path = tmp_path / "edges.tsv"
    path.write_text(EDGES)
    return path


def asked(tmp_path: Path, edges: Path | None = None, **changes: object) -> PrecomputeRequest:
    settings: dict[str, object] = {
        "output": tmp_path / "out",
        "genes": GENES,
        "writer": "test",
        "encoder": "drawn",
        "kg": KgChoice({"edges": {"path": str(edges)}} if edges else {}),
        "config": PrecomputeConfig(encoder={"dim": 8}),
        **changes,
    }
    return PrecomputeRequest(**settings)  # type: ignore[arg-type]


def run(
    request: PrecomputeRequest, manager: PluginManager, steps: Sequence[str] = ("all",)
) -> Mapping[str, str]:
    """Do steps and return what became of each."""
    pipeline = Pipeline(request, manager=manager, runtime=Runtime(cache_dir=request.output.parent))
    outcomes = pipeline.run(planned_steps(steps, request))
    return {outcome.step: outcome.status for outcome in outcomes}


def test_all_steps_leave_an_imputed_tensor_that_says_where_it_is_from(
    tmp_path: Path, manager: PluginManager, edges: Path, writer: Writer
) -> None:
    assert run(asked(tmp_path, edges), manager) == dict.fromkeys(STEPS, "done")
    out = tmp_path / "out"
    enriched = {entry.gene: entry for entry in read_corpus(out / "enriched.jsonl")}
    assert {partner.gene for partner in enriched["KLF1"].partners} == {"GATA1", "TAL1"}
    assert writer.read == list(enriched.values())
    assert writer.folder == out / "writer"
    (request,) = writer.requests
    assert request.entry.gene == "NO_SUCH_GENE"
    assert {partner.text for partner in request.partners} == {"About FOS.", "About JUN."}
    knowledge = read_knowledge(out / "knowledge.safetensors")
    origins = read_origins(out / "knowledge.safetensors")
    assert knowledge.name == "test_drawn"
    assert knowledge.values.shape == (7, 8, 8)
    assert origins is not None
    assert origins.codes[:, 0].tolist() == [0] * 6 + [REGENERATED]
    assert knowledge.confidence[6, 0] == pytest.approx(0.8)
    assert read_facets(out / "knowledge.texts.jsonl").genes[6].texts[0] == (
        "NO_SUCH_GENE by its partners."
    )
    for step in STEPS:
        manifest = read_manifest(out, ARTEFACTS[step])
        assert manifest is not None
        assert manifest.step == step
        assert "dygenept" in manifest.versions


def test_without_regeneration_unknown_facets_are_imputed(
    tmp_path: Path, manager: PluginManager, edges: Path
) -> None:
    config = PrecomputeConfig.model_validate(
        {"encoder": {"dim": 8}, "regeneration": {"enabled": False}}
    )
    done = run(asked(tmp_path, edges, config=config), manager)
    assert list(done) == ["1", "1.5", "2", "3", "4"]
    origins = read_origins(tmp_path / "out" / "knowledge.safetensors")
    assert origins is not None
    assert origins.codes[6, 0] == 1
    assert {item.gene for item in origins.of(6, 0, GENES)} == {"FOS", "JUN"}


def test_nothing_is_done_again_where_nothing_changed(
    tmp_path: Path, manager: PluginManager, edges: Path
) -> None:
    request = asked(tmp_path, edges)
    run(request, manager)
    before = {path: path.stat().st_mtime_ns for path in request.output.iterdir()}
    assert run(request, manager) == dict.fromkeys(STEPS, "kept")
    assert {path: path.stat().st_mtime_ns for path in request.output.iterdir()} == before
    again = asked(tmp_path, edges, resume=False)
    assert run(again, manager) == dict.fromkeys(STEPS, "done")


def test_a_change_redoes_what_depends_on_it_and_no_more(
    tmp_path: Path, manager: PluginManager, edges: Path
) -> None:
    run(asked(tmp_path, edges), manager)
    wider = PrecomputeConfig(encoder={"dim": 12})
    done = run(asked(tmp_path, edges, config=wider), manager)
    assert [step for step, status in done.items() if status == "done"] == ["3", "4"]
    fewer = KgChoice({"edges": {"path": str(edges)}}, {"num_rounds": 1})
    done = run(asked(tmp_path, config=wider, kg=fewer), manager)
    assert [step for step, status in done.items() if status == "done"] == ["4"]
    edges.write_text(EDGES + "KLF1\tJUN\n")
    done = run(asked(tmp_path, edges, config=wider), manager)
    assert done["1"] == "kept"
    assert {done[step] for step in ("1.5", "2", "2.5", "4")} == {"done"}
    # The texts are the same as before, so that their vectors are, too.
    assert done["3"] == "kept"


def test_damaged_artefact_is_made_anew(
    tmp_path: Path, manager: PluginManager, caplog: pytest.LogCaptureFixture
) -> None:
    request = asked(tmp_path)
    assert list(run(request, manager)) == ["1", "2", "3", "4"]
    (request.output / "facets.jsonl").write_text("cut off")
    assert run(request, manager) == {"1": "kept", "2": "done", "3": "kept", "4": "kept"}
    manifest_path(request.output, "corpus.jsonl").write_text("{}")
    assert run(request, manager)["1"] == "done"
    assert "is damaged" in caplog.text


def test_failed_step_keeps_the_ones_before_and_goes_on_when_run_again(
    tmp_path: Path, manager: PluginManager, writer: Writer
) -> None:
    writer.fails = True
    request = asked(tmp_path)
    with pytest.raises(DygeneptError, match="endpoint is away"):
        run(request, manager)
    assert not (request.output / "facets.jsonl").exists()
    writer.fails = False
    assert run(request, manager) == {"1": "kept", "2": "done", "3": "done", "4": "done"}


def test_steps_run_one_by_one_give_what_all_give(
    tmp_path: Path, manager: PluginManager, edges: Path
) -> None:
    for step in STEPS:
        genes = GENES if step == "1" else None
        run(asked(tmp_path / "single", edges, genes=genes), manager, (step,))
    run(asked(tmp_path, edges), manager)
    one, other = (
        read_knowledge(folder / "out" / "knowledge.safetensors")
        for folder in (tmp_path / "single", tmp_path)
    )
    assert one.sha256 == other.sha256
    np.testing.assert_array_equal(one.values, other.values)


def test_users_table_gives_the_genes_and_a_writer_its_text(
    tmp_path: Path, manager: PluginManager, writer: Writer
) -> None:
    table = tmp_path / "mine.tsv"
    table.write_text("symbol\tsummary\nKLF1\tIt makes blood.\nMINE\tIt is mine.\n")
    run(asked(tmp_path, genes=None, table=table), manager)
    assert [(entry.gene, entry.summary) for entry in writer.read] == [
        ("KLF1", "It makes blood."),
        ("MINE", "It is mine."),
    ]
    table.write_text("symbol\tsummary\nKLF1\tIt makes red blood.\n")
    done = run(asked(tmp_path, genes=None, table=table), manager)
    assert (done["1"], done["2"]) == ("done", "done")


def test_go_facets_are_all_known_genes_native_facets(
    tmp_path: Path, manager: PluginManager
) -> None:
    run(asked(tmp_path, writer="go"), manager)
    knowledge = read_knowledge(tmp_path / "out" / "knowledge.safetensors")
    assert knowledge.genes == GENES[:6]
    assert set(np.unique(knowledge.confidence)) == {0.0, 1.0}
    manifest = read_manifest(tmp_path / "out", "knowledge.safetensors")
    assert manifest is not None
    assert manifest.counts["n_genes_without_knowledge"] == 1


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (("5",), "unknown step '5'"),
        (("1.5",), "name it with --kg"),
        (("1", "2.5"), "name it with --kg"),
    ],
)
def test_steps_that_cannot_be_done_are_refused(
    tmp_path: Path, steps: Sequence[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        planned_steps(steps, asked(tmp_path))


def test_step_without_its_input_says_which_step_is_missing(
    tmp_path: Path, manager: PluginManager
) -> None:
    with pytest.raises(DataUnavailableError, match="run step 1 first"):
        run(asked(tmp_path), manager, ("2",))
    with pytest.raises(ConfigError, match="say which genes"):
        run(asked(tmp_path, genes=None), manager, ("1",))


def test_plan_says_what_writing_would_cost_and_writes_nothing(
    tmp_path: Path, manager: PluginManager
) -> None:
    request = asked(tmp_path)
    run(request, manager, ("1",))
    plan = Pipeline(request, manager=manager, runtime=Runtime()).plan()
    assert (plan.n_calls, plan.prompt) == (7, "Write about KLF1")
    assert not (request.output / "facets.jsonl").exists()
    go = Pipeline(asked(tmp_path, writer="go"), manager=manager, runtime=Runtime())
    with pytest.raises(ConfigError, match="makes no calls"):
        go.plan()


def test_an_enriched_corpus_of_before_is_passed_over_without_graphs(
    tmp_path: Path, manager: PluginManager, edges: Path, writer: Writer
) -> None:
    run(asked(tmp_path, edges), manager)
    run(asked(tmp_path), manager)
    assert not any(entry.partners for entry in writer.read)
    manifest = json.loads(manifest_path(tmp_path / "out", "facets.jsonl").read_text())
    assert "corpus.jsonl" in manifest["inputs"]
