"""Facet texts that a run would embed first, for the plan of a bench; nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence

from dygenept.knowledge.catalog import encoder_of, facet_sets, leaves_of, writer_of
from dygenept.knowledge.facets.texts import written_facets
from dygenept.knowledge.store.embedding import embedding_identity, texts_of
from dygenept.knowledge.store.embedding_cache import EmbeddingCache
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import PlansCalls
from dygenept.types import Runtime


def unembedded_texts(
    name_or_file: str, genes: Sequence[str], *, environment: Environment, runtime: Runtime
) -> frozenset[tuple[str, str]]:
    """Find the facet texts of genes that no run has embedded yet, and change nothing.

    What a writer pays for is not written, and what informs unknown facets is not looked for.

    Returns:
        Pairs of the encoder's identity and a text.

    Raises:
        ConfigError: If the name is unknown.
        PluginError: If the writer returns what it must not.
    """
    manager = environment.manager
    pending: set[tuple[str, str]] = set()
    for name, entry in leaves_of(name_or_file, facet_sets(environment)):
        if entry is None or entry.writer is None:
            continue
        writer = writer_of(entry.writer, entry, manager)
        if isinstance(writer, PlansCalls):
            continue
        encoder = encoder_of(entry, manager, runtime)
        texts = texts_of(written_facets(writer, tuple(dict.fromkeys(genes)), runtime, name=name))
        identity = embedding_identity(encoder, texts)
        missing = EmbeddingCache(runtime.cache_dir, identity).missing(texts)
        # All or none of a corpus is embedded.
        pending |= {(identity, text) for text in missing}
    return frozenset(pending)
