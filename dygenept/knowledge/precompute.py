"""The knowledge pipeline: genes to an imputed facet tensor, in steps that are each kept on disk.

A step is done again only where its inputs or options changed; what it wrote stands beside a
manifest that says what determined it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Literal

from dygenept.errors import ConfigError, DataError, DataUnavailableError
from dygenept.knowledge.facets.files import FacetTexts, read_facets, write_facets
from dygenept.knowledge.facets.regeneration import (
    TEXT_VERSION,
    regenerate,
    regeneration_requests,
)
from dygenept.knowledge.genes.corpus import (
    corpus_from_file,
    corpus_from_tables,
    read_corpus,
    write_corpus,
)
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.knowledge.graph.enrichment import enrich, graph_universe
from dygenept.knowledge.precompute_request import PrecomputeRequest, StepOutcome
from dygenept.knowledge.store.artefacts import (
    ArtefactManifest,
    current_manifest,
    is_whole,
    read_manifest,
    write_manifest,
)
from dygenept.knowledge.store.store import check_written, embed_texts, embedding_identity
from dygenept.knowledge.store.tensor import knowledge_tensor, write_tensor
from dygenept.knowledge.store.vector_files import (
    FacetVectors,
    read_vectors,
    text_index,
    write_vectors,
)
from dygenept.machine.checksums import file_sha256
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import (
    CallPlan,
    CorpusEntry,
    FacetWriter,
    PlansCalls,
    ReadsCorpus,
    TextEncoder,
)
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import FacetWriterSpec, TextEncoderSpec
from dygenept.types import Runtime

logger = logging.getLogger(__name__)

ARTEFACTS: Mapping[str, str] = {
    "1": "corpus.jsonl",
    "1.5": "enriched.jsonl",
    "2": "facets.jsonl",
    "2.5": "regenerated.jsonl",
    "3": "embeddings.json",
    "4": "knowledge.safetensors",
}
TEXTS_NAME = "knowledge.texts.jsonl"


class Pipeline:
    """Does steps of one request.

    Args:
        request: What is asked for.
        manager: Finds writers, encoders and graphs.
        runtime: Device, progress and cache.
    """

    def __init__(
        self, request: PrecomputeRequest, *, manager: PluginManager, runtime: Runtime
    ) -> None:
        self._request = request
        self._manager = manager
        self._folder = request.output
        self._steps: tuple[str, ...] = ()
        # What a writer has done so far belongs to the artefacts, and outlives the cache.
        self._runtime = replace(runtime, checkpoint_dir=request.output / "writer")

    def run(self, steps: Sequence[str]) -> tuple[StepOutcome, ...]:
        """Do steps in order; each reads what the ones before it left.

        Raises:
            ConfigError: If the output folder cannot be made.
            DataUnavailableError: If a step's input is not there.
            DygeneptError: Whatever a writer, an encoder or a graph refuses.
        """
        self._check(steps)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot make the output folder {self._folder}: {error.strerror}; "
                "give a folder that can be written with --output"
            ) from error
        self._steps = tuple(steps)
        do = {
            "1": self._corpus,
            "1.5": self._enrich,
            "2": self._write,
            "2.5": self._regenerate,
            "3": self._embed,
            "4": self._impute,
        }
        outcomes = []
        for step in steps:
            started = time.perf_counter()
            status, manifest = do[step]()
            outcomes.append(
                StepOutcome(
                    step=step,
                    status=status,
                    artefact=self._folder / ARTEFACTS[step],
                    counts=manifest.counts,
                    seconds=time.perf_counter() - started,
                )
            )
        return tuple(outcomes)

    def _check(self, steps: Sequence[str]) -> None:
        """Refuse what a typing slip can break before any step costs time or money."""
        if "2" in steps or "2.5" in steps:
            _ = self._writer
        if "3" in steps:
            _ = self._encoder
        if {"1.5", "2.5", "4"} & set(steps):
            _ = self._kg_inputs

    def plan(self) -> CallPlan:
        """Say what step 2 would cost, nothing being written but the corpus.

        Raises:
            ConfigError: If the writer makes no calls.
        """
        writer = self._writer
        if not isinstance(writer, PlansCalls):
            raise ConfigError(
                f"facet writer {self._request.writer!r} makes no calls, so there is nothing to "
                "plan; leave --dry-run out"
            )
        return writer.plan(self._entries(), self._runtime)

    def _corpus(self) -> tuple[Literal["done", "kept"], ArtefactManifest]:
        request, options = self._request, self._request.config.corpus
        if request.genes is None and request.table is None:
            manifest = read_manifest(self._folder, ARTEFACTS["1"])
            if manifest is not None and is_whole(self._folder, manifest):
                return "kept", manifest
            raise ConfigError(
                "say which genes: --dataset NAME|FILE, --genes FILE, --all-genes, or --table FILE"
            )
        inputs = {"gene tables": load_gene_tables().sha256}
        if request.genes is not None:
            inputs["genes"] = _digest(request.genes)
        if request.table is not None:
            if not request.table.is_file():
                raise DataUnavailableError(f"no table of genes at {request.table}")
            inputs["table"] = file_sha256(request.table)

        def make() -> dict[str, int]:
            if request.table is not None:
                corpus = corpus_from_file(request.table, request.genes, options)
            else:
                corpus = corpus_from_tables(request.genes or (), options)
            if all(entry.is_empty for entry in corpus):
                shown = ", ".join(entry.gene for entry in corpus[:3])
                raise DataError(
                    f"nothing is known of any of the {len(corpus)} genes ({shown}, …); give gene "
                    "symbols, aliases or Ensembl gene ids of human genes, or their texts with "
                    "--table FILE"
                )
            write_corpus(corpus, self._folder / ARTEFACTS["1"])
            return {
                "n_genes": len(corpus),
                "n_unknown": sum(entry.is_empty for entry in corpus),
            }

        return self._step("1", inputs, options.model_dump(mode="json"), make)

    def _enrich(self) -> tuple[Literal["done", "kept"], ArtefactManifest]:
        options = self._request.config.enrichment
        inputs = {**self._input("1"), **self._kg_inputs}

        def make() -> dict[str, int]:
            corpus = read_corpus(self._folder / ARTEFACTS["1"])
            universe = graph_universe([entry.gene for entry in corpus])
            graph = self._request.kg.open(universe, self._manager, self._runtime)
            enriched = enrich(corpus, graph, options=options, runtime=self._runtime)
            write_corpus(enriched, self._folder / ARTEFACTS["1.5"])
            return {
                "n_genes": len(enriched),
                "n_enriched": sum(bool(entry.partners) for entry in enriched),
            }

        return self._step("1.5", inputs, options.model_dump(mode="json"), make)

    def _write(self) -> tuple[Literal["done", "kept"], ArtefactManifest]:
        writer = self._writer
        inputs = {**self._text_input(), "writer": writer.identity}

        def make() -> dict[str, int]:
            corpus = self._entries()
            with plugin_code(f"facet writer {writer.identity}"):
                if isinstance(writer, ReadsCorpus):
                    written = writer.write_from(corpus, self._runtime)
                else:
                    written = writer.write([entry.gene for entry in corpus], self._runtime)
            check_written(written, [entry.gene for entry in corpus], self._request.writer)
            facets = FacetTexts(written)
            write_facets(facets, self._folder / ARTEFACTS["2"])
            return {"n_genes": len(written), "n_known_facets": facets.n_known}

        return self._step("2", inputs, {"writer": self._request.writer}, make)

    def _regenerate(self) -> tuple[Literal["done", "kept"], ArtefactManifest]:
        options = self._request.config.regeneration
        writer = self._writer
        inputs = {
            **self._input("2"),
            **self._text_input(),
            **self._kg_inputs,
            "writer": writer.identity,
            "text version": str(TEXT_VERSION),
        }

        def make() -> dict[str, int]:
            facets = read_facets(self._folder / ARTEFACTS["2"])
            genes = [item.gene for item in facets.genes]
            graph = self._request.kg.open(genes, self._manager, self._runtime)
            corpus = {entry.gene: entry for entry in self._entries()}
            requests = regeneration_requests(
                facets, corpus, graph, options=options, runtime=self._runtime
            )
            whole = regenerate(
                facets, requests, writer=writer, options=options, runtime=self._runtime
            )
            write_facets(whole, self._folder / ARTEFACTS["2.5"])
            return {"n_genes": len(genes), "n_regenerated_facets": len(whole.regenerated)}

        # The confidence is given in step 4 and changes no text.
        config = options.model_dump(mode="json", exclude={"confidence", "enabled"})
        return self._step("2.5", inputs, config, make)

    def _embed(self) -> tuple[Literal["done", "kept"], ArtefactManifest]:
        encoder = self._encoder
        name = self._facets_name()
        facets = read_facets(self._folder / name)
        texts = sorted({text for item in facets.genes for text in item.texts if text is not None})
        inputs = {
            name: file_sha256(self._folder / name),
            "encoder": embedding_identity(encoder, texts),
        }
        files: list[str] = []

        def make() -> dict[str, int]:
            vectors = embed_texts(encoder, texts, self._runtime)
            rows = {text: row for row, text in enumerate(texts)}
            index = text_index([item.texts for item in facets.genes], rows)
            genes = tuple(item.gene for item in facets.genes)
            files.extend(write_vectors(FacetVectors(genes, index, vectors), self._folder))
            return {"n_texts": len(texts), "width": int(vectors.shape[1]), "n_files": len(files)}

        return self._step("3", inputs, {"encoder": self._request.encoder}, make, files=files)

    def _impute(self) -> tuple[Literal["done", "kept"], ArtefactManifest]:
        kg, regeneration = self._request.kg, self._request.config.regeneration
        name = self._facets_name()
        options = kg.imputation_options()
        vectors = read_manifest(self._folder, ARTEFACTS["3"])
        if vectors is None:
            raise DataUnavailableError(f"no embedded facets in {self._folder}; run step 3 first")
        # The shards too: the file that lists them does not change with the vectors.
        inputs = {**vectors.files, name: file_sha256(self._folder / name), **self._kg_inputs}
        config = {
            **kg.record(),
            "name": f"{self._request.writer}_{self._request.encoder}",
            "regenerated_confidence": regeneration.confidence,
        }

        def make() -> dict[str, int]:
            facets = read_facets(self._folder / name)
            native = knowledge_tensor(
                read_vectors(self._folder),
                facets,
                name=str(config["name"]),
                sha256=_digest([json.dumps([inputs, config], sort_keys=True)]),
                regenerated_confidence=regeneration.confidence,
            )
            graph = None
            if kg.sources:
                graph = kg.open(native.knowledge.genes, self._manager, self._runtime)
            return write_tensor(
                native,
                facets,
                graph,
                options=options,
                path=self._folder / ARTEFACTS["4"],
                texts_path=self._folder / TEXTS_NAME,
                imputed_with=kg.record() if kg.sources else None,
            )

        files = [ARTEFACTS["4"], TEXTS_NAME]
        return self._step("4", inputs, config, make, files=files)

    def _step(
        self,
        step: str,
        inputs: Mapping[str, str],
        config: Mapping[str, object],
        make: Callable[[], dict[str, int]],
        *,
        files: list[str] | None = None,
    ) -> tuple[Literal["done", "kept"], ArtefactManifest]:
        artefact = ARTEFACTS[step]
        if self._request.resume:
            kept = current_manifest(self._folder, artefact, inputs=inputs, config=config)
            if kept is not None:
                return "kept", kept
        counts = make()
        manifest = write_manifest(
            self._folder,
            artefact,
            step=step,
            files=[artefact] if files is None else files,
            inputs=inputs,
            config=config,
            counts=counts,
        )
        return "done", manifest

    @cached_property
    def _writer(self) -> FacetWriter:
        spec = self._manager.get(FacetWriterSpec, self._request.writer)
        return spec.factory(self._manager.configure(spec, self._request.config.writer))

    @cached_property
    def _encoder(self) -> TextEncoder:
        spec = self._manager.get(TextEncoderSpec, self._request.encoder)
        return spec.factory(self._manager.configure(spec, self._request.config.encoder))

    @cached_property
    def _kg_inputs(self) -> dict[str, str]:
        return self._request.kg.identities(self._manager, self._runtime)

    def _input(self, step: str) -> dict[str, str]:
        path = self._folder / ARTEFACTS[step]
        if not path.is_file():
            raise DataUnavailableError(f"no {path}; run step {step} first, or --step all")
        return {path.name: file_sha256(path)}

    def _text_input(self) -> dict[str, str]:
        return self._input("1.5" if self._follows("1.5", "1") else "1")

    def _entries(self) -> tuple[CorpusEntry, ...]:
        (name,) = self._text_input()
        return read_corpus(self._folder / name)

    def _facets_name(self) -> str:
        step = "2.5" if self._follows("2.5", "2") else "2"
        (name,) = self._input(step)
        return name

    def _follows(self, step: str, before: str) -> bool:
        """True if an optional step is wanted and its artefact was made from the present input.

        A run that does the step before and passes over this one does not want it.
        """
        if before in self._steps and step not in self._steps:
            return False
        config = self._request.config
        enabled = config.enrichment.enabled if step == "1.5" else config.regeneration.enabled
        manifest = read_manifest(self._folder, ARTEFACTS[step])
        if not enabled or manifest is None or not is_whole(self._folder, manifest):
            return False
        (name,) = (expected := self._input(before))
        return manifest.inputs.get(name) == expected[name]


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()
