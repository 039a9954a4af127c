"""The knowledge pipeline: genes to an imputed facet tensor, in steps that are each kept on disk.

A step is done again only where its inputs or options changed; what it wrote is kept beside a
manifest that says what determined it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from dygenept.errors import ConfigError, DataError, DataUnavailableError
from dygenept.knowledge.facets.regeneration import TEXT_VERSION, regenerate, regeneration_requests
from dygenept.knowledge.facets.texts import FacetTexts, read_facets, write_facets, written_facets
from dygenept.knowledge.genes.corpus import (
    corpus_from_file,
    corpus_from_tables,
    read_corpus,
    write_corpus,
)
from dygenept.knowledge.genes.matching import gene_universe
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.knowledge.graph.enrichment import enrich
from dygenept.knowledge.precompute.manifests import Done, MadeOf, Workspace, is_whole, read_manifest
from dygenept.knowledge.precompute.request import ARTEFACTS, PrecomputeRequest, StepOutcome
from dygenept.knowledge.precompute.tensor import TEXTS_NAME, knowledge_tensor, write_tensor
from dygenept.knowledge.store.embedding import digest_of, embed_facets, embedding_identity, texts_of
from dygenept.knowledge.store.vector_files import read_vectors, write_vectors
from dygenept.machine.checksums import file_sha256
from dygenept.plugin.configured import with_data_folder
from dygenept.plugin.interfaces import CallPlan, FacetWriter, PlansCalls, TextEncoder
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import FacetWriterSpec, TextEncoderSpec
from dygenept.types import Progress, Runtime

logger = logging.getLogger(__name__)


class Pipeline:
    """Does steps of one request."""

    def __init__(
        self, request: PrecomputeRequest, *, manager: PluginManager, runtime: Runtime
    ) -> None:
        self._request = request
        self._manager = manager
        self._folder = request.output
        self._workspace = Workspace(request)
        # What a writer has done so far belongs to the artefacts, and outlives the cache.
        self._runtime = replace(runtime, checkpoint_dir=request.output / "writer")

    def run(self, steps: Sequence[str]) -> tuple[StepOutcome, ...]:
        """Do steps in order; each reads what the ones before it left.

        Raises:
            ConfigError: If the output folder cannot be made.
            DataUnavailableError: If a step's input is not there.
            DygeneptError: Whatever a writer, an encoder or a graph refuses.
        """
        self.check(steps)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot make the output folder {self._folder}: {error.strerror}; "
                "give a folder that can be written with --output"
            ) from error
        self._workspace = Workspace(self._request, steps)
        do = {
            "1": self._corpus,
            "1.5": self._enrich,
            "2": self._write,
            "2.5": self._regenerate,
            "3": self._embed,
            "4": self._impute,
        }
        outcomes = []
        report = self._runtime.report
        for number, step in enumerate(steps):
            report(Progress("step", number, len(steps), f"step {step}: {ARTEFACTS[step]}"))
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
        report(Progress("step", len(steps), len(steps), "done"))
        return tuple(outcomes)

    def check(self, steps: Sequence[str]) -> None:
        """Refuse what a typing slip can break before any step costs time or money.

        Raises:
            DygeneptError: As said: an unknown plugin or option, or a graph that is not there.
        """
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
        return writer.plan(self._workspace.corpus(), self._runtime)

    def _corpus(self) -> Done:
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
            inputs["genes"] = digest_of(request.genes)
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

        made_of = MadeOf("1", inputs, options.model_dump(mode="json"))
        return self._workspace.keep_or_make(made_of, make)

    def _enrich(self) -> Done:
        options = self._request.config.enrichment
        inputs = {**self._workspace.input("1"), **self._kg_inputs}

        def make() -> dict[str, int]:
            corpus = read_corpus(self._folder / ARTEFACTS["1"])
            universe = gene_universe([entry.gene for entry in corpus])
            graph = self._request.kg.open(universe, self._manager, self._runtime)
            enriched = enrich(corpus, graph, options=options, runtime=self._runtime)
            write_corpus(enriched, self._folder / ARTEFACTS["1.5"])
            return {
                "n_genes": len(enriched),
                "n_enriched": sum(bool(entry.partners) for entry in enriched),
            }

        made_of = MadeOf("1.5", inputs, options.model_dump(mode="json"))
        return self._workspace.keep_or_make(made_of, make)

    def _write(self) -> Done:
        writer = self._writer
        inputs = {**self._workspace.text_input(), "writer": writer.identity}

        def make() -> dict[str, int]:
            corpus = self._workspace.corpus()
            written = written_facets(
                writer,
                [entry.gene for entry in corpus],
                self._runtime,
                name=self._request.writer,
                corpus=corpus,
            )
            facets = FacetTexts(written)
            write_facets(facets, self._folder / ARTEFACTS["2"])
            return {"n_genes": len(written), "n_known_facets": facets.n_known}

        made_of = MadeOf("2", inputs, {"writer": self._request.writer})
        return self._workspace.keep_or_make(made_of, make)

    def _regenerate(self) -> Done:
        options = self._request.config.regeneration
        writer = self._writer
        inputs = {
            **self._workspace.input("2"),
            **self._workspace.text_input(),
            **self._kg_inputs,
            "writer": writer.identity,
            "text version": str(TEXT_VERSION),
        }

        def make() -> dict[str, int]:
            facets = read_facets(self._folder / ARTEFACTS["2"])
            genes = [item.gene for item in facets.genes]
            graph = self._request.kg.open(genes, self._manager, self._runtime)
            corpus = {entry.gene: entry for entry in self._workspace.corpus()}
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
        made_of = MadeOf("2.5", inputs, config)
        return self._workspace.keep_or_make(made_of, make)

    def _embed(self) -> Done:
        encoder = self._encoder
        name = self._workspace.facets_name()
        facets = read_facets(self._folder / name)
        inputs = {
            name: file_sha256(self._folder / name),
            "encoder": embedding_identity(encoder, texts_of(facets.genes)),
        }
        files: list[str] = []

        def make() -> dict[str, int]:
            embedded = embed_facets(encoder, facets.genes, self._runtime)
            files.extend(write_vectors(embedded, self._folder))
            n_texts, width = embedded.vectors.shape
            return {"n_texts": n_texts, "width": width, "n_files": len(files)}

        made_of = MadeOf("3", inputs, {"encoder": self._request.encoder})
        return self._workspace.keep_or_make(made_of, make, files=files)

    def _impute(self) -> Done:
        kg, regeneration = self._request.kg, self._request.config.regeneration
        name = self._workspace.facets_name()
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
                sha256=digest_of([json.dumps([inputs, config], sort_keys=True)]),
                regenerated_confidence=regeneration.confidence,
            )
            graph = None
            if kg.sources:
                graph = kg.open(native.knowledge.genes, self._manager, self._runtime)
            return write_tensor(native, graph, kg=kg, path=self._folder / ARTEFACTS["4"])

        files = [ARTEFACTS["4"], TEXTS_NAME]
        made_of = MadeOf("4", inputs, config)
        return self._workspace.keep_or_make(made_of, make, files=files)

    @cached_property
    def _writer(self) -> FacetWriter:
        spec = self._manager.get(FacetWriterSpec, self._request.writer)
        return spec.factory(self._manager.configure(spec, self._request.config.writer))

    @cached_property
    def _encoder(self) -> TextEncoder:
        spec = self._manager.get(TextEncoderSpec, self._request.encoder)
        given = self._request.config.encoder
        options = with_data_folder(spec, given, self._runtime.data_dir)
        return spec.factory(self._manager.configure(spec, options))

    @cached_property
    def _kg_inputs(self) -> dict[str, str]:
        return self._request.kg.identities(self._manager, self._runtime)
