"""The facet writer: what to ask of each gene, what the journal has already, and the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dygenept.plugin import CallPlan, CorpusEntry, DataUnavailableError, FacetRequest, GeneFacets
from dygenept.types import FACETS, Progress, Runtime
from dygenept_plugins.endpoints.asking import Pace
from dygenept_plugins.endpoints.connection import checked_base_url, open_client
from dygenept_plugins.facet_writers.llm.calls import Caller, Texts, cost_of
from dygenept_plugins.facet_writers.llm.config import LlmConfig
from dygenept_plugins.facet_writers.llm.journal import FILE_NAME, Journal
from dygenept_plugins.facet_writers.llm.prompt import (
    PROMPT_VERSION,
    Ask,
    ask_for,
    ask_from_partners,
)

N_NAMED = 5


class LlmFacetWriter:
    """Writes facet texts by asking a language model; keeps every answer."""

    def __init__(self, config: LlmConfig) -> None:
        self._config = config
        self._base_url = checked_base_url(config.base_url)

    @property
    def identity(self) -> str:
        """Model, prompt version and the settings that shape an answer.

        The same identity gives the same texts as long as the journal is kept: a model asked again
        may answer otherwise.
        """
        config = self._config
        shaping = repr((sorted(config.request.items()), config.prompt))
        digest = hashlib.sha256(shaping.encode()).hexdigest()
        return f"llm-{PROMPT_VERSION}-{config.model}-{digest[:16]}"

    def write(self, genes: Sequence[str], runtime: Runtime) -> tuple[GeneFacets, ...]:
        """Return the facets of each gene, from what the shipped tables say of it.

        Raises:
            DataUnavailableError: If a gene failed, after all others are done and kept.
        """
        from dygenept.knowledge.genes.corpus import corpus_from_tables

        entries = {entry.gene: entry for entry in corpus_from_tables(genes)}
        # A training checkpoint is of one fold; answers are for all.
        return self._write([entries[gene] for gene in genes], replace(runtime, checkpoint_dir=None))

    def write_from(self, corpus: Sequence[CorpusEntry], runtime: Runtime) -> tuple[GeneFacets, ...]:
        """Return the facets of each gene of a corpus, in order.

        A gene of which the corpus says nothing has no facet, and no call is made for it.

        Raises:
            DataUnavailableError: If a gene failed, after all others are done and kept.
        """
        return self._write(corpus, runtime)

    def regenerate(
        self, requests: Sequence[FacetRequest], runtime: Runtime
    ) -> tuple[str | None, ...]:
        """Return one text per request, in order; one call per gene writes all its facets.

        Raises:
            DataUnavailableError: If a gene failed, after all others are done and kept.
        """
        by_gene: dict[CorpusEntry, list[FacetRequest]] = {}
        for request in requests:
            by_gene.setdefault(request.entry, []).append(request)
        asks = {
            entry: ask_from_partners(of_gene, self._config.prompt)
            for entry, of_gene in by_gene.items()
        }
        answers = self._answers(asks.values(), runtime)
        texts = {
            (entry, facet): text
            for entry, ask in asks.items()
            for facet, text in zip(ask.facets, answers[self._key(ask)], strict=True)
        }
        return tuple(texts[request.entry, request.facet] for request in requests)

    def plan(self, corpus: Sequence[CorpusEntry], runtime: Runtime) -> CallPlan:
        """Say what ``write_from`` would do; needs no key, and nothing is sent."""
        config = self._config
        asks = self._by_key(self._asks(corpus).values())
        kept = self._journal(runtime).read().answers
        missing = [ask for key, ask in asks.items() if not _fits(kept.get(key), ask)]
        input_tokens = sum(ask.estimated_tokens for ask in missing)
        n_facets = sum(len(ask.facets) for ask in missing)
        output_tokens = config.output_tokens_per_facet * n_facets
        return CallPlan(
            n_calls=len(missing),
            n_done=len(asks) - len(missing),
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost=cost_of(input_tokens, output_tokens, config.prices),
            prompt=next((ask.prompt for ask in (*missing, *asks.values())), ""),
        )

    def _write(self, corpus: Sequence[CorpusEntry], runtime: Runtime) -> tuple[GeneFacets, ...]:
        asks = self._asks(corpus)
        answers = self._answers(asks.values(), runtime)
        nothing: Texts = (None,) * len(FACETS)
        return tuple(
            GeneFacets(entry.gene, answers[self._key(asks[entry])] if entry in asks else nothing)
            for entry in corpus
        )

    def _asks(self, corpus: Sequence[CorpusEntry]) -> dict[CorpusEntry, Ask]:
        return {
            entry: ask_for(entry, self._config.prompt)
            for entry in corpus
            if entry.partners or not entry.is_empty
        }

    def _key(self, ask: Ask) -> str:
        return ask.key(self._config.request)

    def _by_key(self, asks: Iterable[Ask]) -> dict[str, Ask]:
        return {self._key(ask): ask for ask in asks}

    def _answers(self, asks: Iterable[Ask], runtime: Runtime) -> Mapping[str, Texts]:
        """Return the answer to everything asked, from the journal where it is kept.

        Raises:
            DataUnavailableError: If something failed.
        """
        by_key = self._by_key(asks)
        journal = self._journal(runtime)
        kept, missing = _split(journal, by_key)
        if missing:
            with journal.writing():
                # Another process may have asked while this one waited for the file.
                kept, missing = _split(journal, by_key)
                kept |= self._call(missing, journal, runtime) if missing else {}
        runtime.report(Progress("write", len(by_key), len(by_key)))
        return kept

    def _call(
        self, asks: Mapping[str, Ask], journal: Journal, runtime: Runtime
    ) -> Mapping[str, Texts]:
        config = self._config
        client = open_client(
            self._base_url, timeout_s=config.timeout_s, max_answer_mib=config.max_answer_mib
        )
        with client:
            caller = Caller(
                client,
                config=config,
                journal=journal,
                pace=Pace(config.requests_per_minute),
            )
            outcome = caller.run(
                asks, lambda n_done: runtime.report(Progress("write", n_done, len(asks)))
            )
        missing = [ask.gene for key, ask in asks.items() if key not in outcome.answers]
        if not missing:
            return outcome.answers
        named = [f"{asks[key].gene} ({why})" for key, why in outcome.failures.items()]
        raise DataUnavailableError(
            f"the language model {config.model!r} at {self._base_url} failed for {len(missing)} of "
            f"{len(asks)} gene(s): {'; '.join(named[:N_NAMED])}"
            + (f"; and {len(named) - N_NAMED} more" if len(named) > N_NAMED else "")
            + (f"; the run was stopped: {outcome.stopped_by}" if outcome.stopped_by else "")
            + f"; all answers are kept in {journal.path}; run the same command again to ask for "
            "the rest"
        )

    def _journal(self, runtime: Runtime) -> Journal:
        if self._config.journal is not None:
            return Journal(Path(self._config.journal).expanduser())
        from dygenept.machine.folders import default_cache_dir

        folder = runtime.checkpoint_dir or runtime.cache_dir or default_cache_dir()
        return Journal(folder / FILE_NAME)


def _split(journal: Journal, asks: Mapping[str, Ask]) -> tuple[dict[str, Texts], dict[str, Ask]]:
    """Part what is asked into what the journal contains and what is missing."""
    answers = journal.read().answers
    kept = {key: answers[key] for key, ask in asks.items() if _fits(answers.get(key), ask)}
    return kept, {key: ask for key, ask in asks.items() if key not in kept}


def _fits(texts: Texts | None, ask: Ask) -> bool:
    return texts is not None and len(texts) == len(ask.facets)
