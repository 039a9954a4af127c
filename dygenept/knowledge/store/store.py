"""Gene knowledge: built from a facet writer and a text encoder, written to and read from files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError, DataUnavailableError, PluginError, ShapeError
from dygenept.knowledge.facets.origins import TENSORS, FacetOrigins
from dygenept.knowledge.store.embedding_cache import EmbeddingCache
from dygenept.knowledge.store.formats.dispatch import is_foreign, read_foreign
from dygenept.machine.whole_files import replaced_whole
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import FacetWriter, GeneFacets, TextEncoder
from dygenept.types import FACETS, FloatArray, GeneKnowledge, Progress, Runtime

FORMAT = "dygenept-knowledge-1"
# Texts embedded between two writes of the cache: what an interrupted run can lose.
CHUNK = 512


def build_knowledge(
    name: str,
    *,
    writer: FacetWriter,
    encoder: TextEncoder,
    genes: Sequence[str],
    runtime: Runtime,
) -> GeneKnowledge:
    """Write the facets of genes and embed them; a text embedded before is read from the cache.

    The vectors of a corpus-dependent encoder depend on the genes asked for, and so does their
    place in the cache.

    Args:
        name: Name of the facet set.
        writer: Facet writer.
        encoder: Text encoder.
        genes: Gene symbols; repeated ones count once.
        runtime: Device, progress, and ``cache_dir`` (None computes everything anew).

    Returns:
        Knowledge of every gene asked for; confidence 1 where there is a text, 0 elsewhere.

    Raises:
        PluginError: If the writer or the encoder returns what it must not.
    """
    asked = tuple(dict.fromkeys(genes))
    with plugin_code(f"facet writer {writer.identity}"):
        written = writer.write(asked, runtime)
    check_written(written, asked, name)
    texts = sorted({text for item in written for text in item.texts if text is not None})
    identity = embedding_identity(encoder, texts)
    vectors = embed_texts(encoder, texts, runtime)
    rows = {text: row for row, text in enumerate(texts)}
    index = np.array(
        [[-1 if text is None else rows[text] for text in item.texts] for item in written],
        dtype=np.int64,
    ).reshape(len(asked), len(FACETS))
    values = np.zeros((*index.shape, vectors.shape[1]), dtype=np.float32)
    values[index >= 0] = vectors[index[index >= 0]]
    return GeneKnowledge(
        name=name,
        sha256=_digest([FORMAT, writer.identity, identity, *asked]),
        genes=asked,
        facet_names=FACETS,
        values=values,
        confidence=(index >= 0).astype(np.float32),
    )


def embedding_identity(encoder: TextEncoder, texts: Sequence[str]) -> str:
    """Name what determines the vectors of some texts: the encoder, and for some all the texts."""
    if encoder.corpus_dependent:
        return f"{encoder.identity}/{_digest(texts)}"
    return encoder.identity


def embed_texts(encoder: TextEncoder, texts: Sequence[str], runtime: Runtime) -> FloatArray:
    """Embed texts, reading from the cache those that were embedded before.

    Args:
        encoder: Text encoder.
        texts: Texts, each once.
        runtime: Device, progress, and ``cache_dir`` (None computes everything anew).

    Returns:
        One vector a text, (n_texts, D_text), float32.

    Raises:
        PluginError: If the encoder returns what it must not.
    """
    cache = EmbeddingCache(runtime.cache_dir, embedding_identity(encoder, texts))
    return _embed(encoder, texts, cache, runtime)


def genes_without_knowledge(knowledge: GeneKnowledge) -> tuple[str, ...]:
    """Return the genes with no known facet, in order."""
    is_unknown = knowledge.confidence.sum(axis=1) == 0
    return tuple(gene for gene, flag in zip(knowledge.genes, is_unknown, strict=True) if flag)


def select_genes(knowledge: GeneKnowledge, genes: Sequence[str]) -> GeneKnowledge:
    """Return the knowledge of some genes, in their order; absent ones have confidence 0.

    A gene is found by its own spelling first, then by its current symbol, so that outdated symbols
    and Ensembl ids on either side meet.
    """
    from dygenept.knowledge.genes.tables import load_gene_tables

    asked = tuple(dict.fromkeys(genes))
    rows = {gene: row for row, gene in enumerate(knowledge.genes)}
    if not rows.keys() >= set(asked):
        resolve = load_gene_tables().resolve
        by_current: dict[str | None, int] = {}
        for gene, row in rows.items():
            by_current.setdefault(resolve(gene) or gene, row)
        rows = {gene: rows.get(gene, by_current.get(resolve(gene), -1)) for gene in asked}
    index = np.array([rows[gene] for gene in asked], dtype=np.int64)
    values = np.zeros((len(asked), *knowledge.values.shape[1:]), dtype=np.float32)
    confidence = np.zeros((len(asked), len(knowledge.facet_names)), dtype=np.float32)
    values[index >= 0] = knowledge.values[index[index >= 0]]
    confidence[index >= 0] = knowledge.confidence[index[index >= 0]]
    return replace(
        knowledge,
        sha256=_digest([knowledge.sha256, *asked]),
        genes=asked,
        values=values,
        confidence=confidence,
    )


def write_knowledge(
    knowledge: GeneKnowledge,
    path: Path,
    *,
    origins: FacetOrigins | None = None,
    imputed_with: Mapping[str, object] | None = None,
) -> None:
    """Write knowledge as safetensors, its names as JSON in the metadata.

    Args:
        knowledge: Facets of genes.
        path: The file; replaced as a whole.
        origins: Where each facet is from; readers that know nothing of it pass over it.
        imputed_with: Knowledge graphs and options behind imputed facets; recorded as it is.
    """
    from safetensors.numpy import save_file

    document = {
        "format": FORMAT,
        "name": knowledge.name,
        "sha256": knowledge.sha256,
        "genes": knowledge.genes,
        "facet_names": knowledge.facet_names,
        "imputed_with": imputed_with,
        "sources": () if origins is None else origins.sources,
    }
    tensors: dict[str, npt.NDArray[np.generic]] = {
        "values": np.ascontiguousarray(knowledge.values, dtype=np.float32),
        "confidence": np.ascontiguousarray(knowledge.confidence, dtype=np.float32),
        **({} if origins is None else origins.tensors()),
    }
    with replaced_whole(path) as temporary:
        save_file(tensors, temporary, metadata={"dygenept": json.dumps(document)})


def read_header(path: Path) -> dict[str, object] | None:
    """Return what a knowledge file says of itself, its tensors unread; None if it is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as opened:
            document = json.loads((opened.metadata() or {})["dygenept"])
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def read_confidence(path: Path) -> tuple[tuple[str, ...], tuple[str, ...], FloatArray]:
    """Read a knowledge file but for its vectors.

    Returns:
        Genes, facet names, and confidence, (n_genes, K).

    Raises:
        DataError: If it is damaged or something else.
    """
    from safetensors import SafetensorError, safe_open

    if is_foreign(path):
        knowledge = read_foreign(path)
        return knowledge.genes, knowledge.facet_names, knowledge.confidence
    document = read_header(path)
    try:
        if document is None:
            raise ValueError("it has no header of ours")
        with safe_open(path, framework="numpy") as opened:
            confidence = opened.get_tensor("confidence")
        genes, names = document["genes"], document["facet_names"]
        if not isinstance(genes, list) or not isinstance(names, list):
            raise TypeError("genes and facets are no lists")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no gene knowledge of dygenept, or is damaged ({error})") from (
            error
        )
    return tuple(map(str, genes)), tuple(map(str, names)), confidence


def read_origins(path: Path) -> FacetOrigins | None:
    """Return where the facets of a knowledge file are from; None where it does not say.

    Raises:
        DataError: If it says so in a damaged way.
    """
    from safetensors import SafetensorError, safe_open

    document = read_header(path)
    if document is None:
        return None
    try:
        with safe_open(path, framework="numpy") as opened:
            if TENSORS[0] not in opened.keys():
                return None
            codes, informed, starts, rows, weights, source_codes = (
                opened.get_tensor(name) for name in TENSORS
            )
        sources = document["sources"]
        if not isinstance(sources, list):
            raise TypeError("sources are no list")
        return FacetOrigins(
            codes=codes,
            informed=informed,
            starts=starts,
            neighbours=rows,
            weights=weights,
            source_codes=source_codes,
            sources=tuple(map(str, sources)),
        )
    except (SafetensorError, OSError, KeyError, TypeError, ShapeError) as error:
        raise DataError(f"{path}: its record of origins is damaged ({error}); build it anew") from (
            error
        )


def read_knowledge(path: Path) -> GeneKnowledge:
    """Read a file of ``write_knowledge``, or of another project's format that is known.

    Raises:
        DataUnavailableError: If there is no such file.
        DataError: If it is damaged or something else.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise DataUnavailableError(f"no knowledge file {path}")
    if is_foreign(path):
        return read_foreign(path)
    try:
        with safe_open(path, framework="numpy") as opened:
            document = json.loads((opened.metadata() or {})["dygenept"])
            if document["format"] != FORMAT:
                raise DataError(
                    f"{path} is of format {document['format']!r}; this version reads {FORMAT!r}"
                )
            knowledge = GeneKnowledge(
                name=str(document["name"]),
                sha256=str(document["sha256"]),
                genes=tuple(map(str, document["genes"])),
                facet_names=tuple(map(str, document["facet_names"])),
                values=opened.get_tensor("values"),
                confidence=opened.get_tensor("confidence"),
            )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is no gene knowledge of dygenept, or is damaged ({error}); "
            "build it anew or use --facets go_minilm"
        ) from error
    _check_read(knowledge, path)
    return knowledge


def _embed(
    encoder: TextEncoder, texts: Sequence[str], cache: EmbeddingCache, runtime: Runtime
) -> FloatArray:
    found = cache.read(texts)
    missing = [text for text in texts if text not in found]
    # A corpus-dependent encoder must see its whole corpus at once.
    if encoder.corpus_dependent and missing:
        found, missing = {}, list(texts)
    size = max(len(missing), 1) if encoder.corpus_dependent else CHUNK
    for start in range(0, len(missing), size):
        part = missing[start : start + size]
        with plugin_code(f"text encoder {encoder.identity}"):
            given = encoder.encode(part, _counting_on(runtime, start, len(missing)))
            vectors = np.asarray(given, dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(part) or not np.isfinite(vectors).all():
            raise PluginError(
                f"text encoder {encoder.identity}: {len(part)} texts gave vectors of shape "
                f"{vectors.shape}; expected ({len(part)}, D), finite"
            )
        cache.write(part, vectors)
        found.update(zip(part, vectors, strict=True))
        runtime.report(Progress("embed", start + len(part), len(missing)))
    if not texts:
        return encoder.encode([], runtime)
    return np.stack([found[text] for text in texts]).astype(np.float32, copy=False)


def _counting_on(runtime: Runtime, done: int, total: int) -> Runtime:
    def report(progress: Progress) -> None:
        if progress.stage == "embed":
            progress = replace(progress, step=done + progress.step, total=total)
        runtime.report(progress)

    return replace(runtime, report=report)


def check_written(written: Sequence[GeneFacets], asked: Sequence[str], name: str) -> None:
    """Refuse facets of other genes than those asked for.

    Raises:
        PluginError: As said; the facet set or writer is named.
    """
    if tuple(item.gene for item in written) != tuple(asked):
        raise PluginError(f"facet set {name!r}: the writer must return one entry a gene, in order")
    if any(len(item.texts) != len(FACETS) for item in written):
        raise PluginError(f"facet set {name!r}: the writer must return {len(FACETS)} texts a gene")
    for item in written:
        if any(text is not None and not (isinstance(text, str) and text) for text in item.texts):
            raise PluginError(
                f"facet set {name!r}: a facet of {item.gene} must be a text or None, never empty"
            )


def _check_read(knowledge: GeneKnowledge, path: Path) -> None:
    confidence = knowledge.confidence
    if len(set(knowledge.genes)) != len(knowledge.genes):
        raise DataError(f"{path} names a gene twice")
    if not np.isfinite(knowledge.values).all():
        raise DataError(f"{path} holds NaN or infinite values")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise DataError(f"{path} holds confidence outside [0, 1]")


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()
