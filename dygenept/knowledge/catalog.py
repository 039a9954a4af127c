"""Opens gene knowledge by name: a facet set of the registry, or a file."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from dygenept.errors import ConfigError, DataUnavailableError, nearest
from dygenept.knowledge.building import (
    FacetSource,
    build_imputed,
    build_knowledge,
    impute_file,
    recorded_imputation,
)
from dygenept.knowledge.facets.controls import (
    gaussian_knowledge,
    identity_knowledge,
    random_knowledge,
    shuffle_knowledge,
)
from dygenept.knowledge.facets.graph_facets import with_further_facets
from dygenept.knowledge.genes.matching import select_genes
from dygenept.knowledge.graph.sources import KgChoice
from dygenept.knowledge.store.knowledge_files import (
    FOREIGN_SUFFIXES,
    is_foreign,
    read_confidence,
    read_knowledge,
)
from dygenept.machine.folders import default_cache_dir
from dygenept.plugin.configured import unmet_need, with_data_folder
from dygenept.plugin.environment import Environment
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import EncodesGenes, FacetWriter, TextEncoder
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import FacetWriterSpec, TextEncoderSpec
from dygenept.types import GeneKnowledge, Runtime

logger = logging.getLogger(__name__)

BASELESS = ("identity", "gaussian")
# Adds facets to what a facet set says of the same genes.
Widen = Callable[[GeneKnowledge, Runtime], GeneKnowledge]
SUFFIX = ".safetensors"
OFFLINE_ALTERNATIVE = "--facets go_minilm works offline"


class FacetSetEntry(BaseModel):
    """A facet set of the registry: written and embedded, read from a file, joined or derived.

    Attributes:
        summary: One line.
        writer: Facet writer plugin; goes with ``encoder``.
        writer_options: Its options.
        encoder: Text encoder plugin; without a writer, one that has facets of genes itself.
        encoder_options: Its options.
        encoder_fallback: Text encoder, with its defaults, where ``encoder`` cannot run here.
        file: Knowledge file; a relative path is meant inside ``<cache>/knowledge``.
        join: Facet sets whose facets stand side by side.
        base: Facet set that ``transform`` changes.
        transform: ``shuffled`` between genes, or ``random`` vectors of the same norms. Two have no
            base: ``identity``, one facet per gene that tells it from all others, and ``gaussian``,
            eight random facets of any width.
        dim: Width of ``identity`` and ``gaussian``.
        seed: Seed of the transform.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str = ""
    writer: str | None = None
    writer_options: dict[str, object] = {}
    encoder: str | None = None
    encoder_options: dict[str, object] = {}
    encoder_fallback: str | None = None
    file: str | None = None
    join: tuple[str, ...] = ()
    base: str | None = None
    transform: Literal["shuffled", "random", "identity", "gaussian"] | None = None
    dim: int = Field(default=512, ge=2)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _is_one_kind(self) -> FacetSetEntry:
        if self.writer is not None and self.encoder is None:
            raise ValueError("needs writer and encoder together")
        if len(self.join) == 1:
            raise ValueError("needs two facet sets or more to join")
        if (self.base is None) != (self.transform in (None, *BASELESS)):
            raise ValueError("needs base and transform (shuffled or random) together")
        kinds = [self.encoder, self.file, self.transform, self.join or None]
        if kinds.count(None) != 3:
            raise ValueError("needs exactly one of writer + encoder, file, join, base + transform")
        return self


def facet_sets(environment: Environment) -> Mapping[str, FacetSetEntry]:
    """Return the registry's facet sets, validated once, with encoders that can run here.

    Raises:
        ConfigError: If an entry is not valid; the key is named.
    """
    entries = environment.entries("facets", FacetSetEntry)
    return {name: _at_hand(entry, environment) for name, entry in entries.items()}


def encoder_note(name_or_file: str, environment: Environment) -> str | None:
    """Say which encoder takes the place of the registered one; None where none does."""
    registered = environment.entries("facets", FacetSetEntry)
    for name, entry in leaves_of(name_or_file, registered):
        if entry is None or entry == (used := _at_hand(entry, environment)):
            continue
        spec = environment.manager.get(TextEncoderSpec, str(entry.encoder))
        missing = unmet_need(spec, environment.manager.configure(spec, entry.encoder_options))
        encoders = f"{used.encoder!r} instead of {entry.encoder!r}"
        return f"facet set {name!r} is embedded by {encoders}: {missing}"
    return None


@functools.cache
def _said(note: str) -> str:
    """Say once in a process which encoder was taken."""
    logger.warning("%s", note)
    return note


def _at_hand(entry: FacetSetEntry, environment: Environment) -> FacetSetEntry:
    """Return the entry with its other encoder where its own lacks something."""
    if entry.encoder is None or entry.encoder_fallback is None:
        return entry
    spec = environment.manager.get(TextEncoderSpec, entry.encoder)
    if unmet_need(spec, environment.manager.configure(spec, entry.encoder_options)) is None:
        return entry
    return entry.model_copy(update={"encoder": entry.encoder_fallback, "encoder_options": {}})


def open_knowledge(
    name_or_file: str,
    genes: Sequence[str],
    *,
    environment: Environment,
    runtime: Runtime,
    kg: KgChoice | None = None,
    widen: Widen | None = None,
) -> GeneKnowledge:
    """Return the knowledge of some genes.

    Args:
        name_or_file: A facet set of the registry, or the path of a knowledge file.
        genes: Gene symbols; a gene that is not known has confidence 0 throughout.
        environment: Registry of facet sets, and the plugins that write, embed and impute.
        runtime: Device, progress and cache.
        kg: Knowledge graphs that unknown facets are imputed from; a file that was imputed from
            these already is taken as it is.
        widen: Adds facets to the whole set before a control is made of it, so that shuffled
            knowledge is shuffled whole; sets that know nothing on purpose stay as they are.

    Raises:
        ConfigError: If the name is unknown, or facet sets derive from each other in a circle.
        DataUnavailableError: If its file is not there.
        DataError: If its file is damaged.
        PluginError: If its writer or encoder is unknown.
    """
    kg = KgChoice() if kg is None else kg
    entries = facet_sets(environment)
    leaves_of(name_or_file, entries)  # refuses a circle
    entry = _entry(name_or_file, entries)
    if entry is not None and entry.transform in BASELESS:
        draw = identity_knowledge if entry.transform == "identity" else gaussian_knowledge
        return draw(genes, name=name_or_file, dim=entry.dim, seed=entry.seed)
    if entry is not None and entry.base is not None:
        base = open_knowledge(
            entry.base, genes, environment=environment, runtime=runtime, kg=kg, widen=widen
        )
        rng = np.random.default_rng(entry.seed)
        derive = shuffle_knowledge if entry.transform == "shuffled" else random_knowledge
        return replace(derive(base, rng=rng), name=name_or_file)
    if entry is not None and entry.join:
        first, *others = (
            open_knowledge(part, genes, environment=environment, runtime=runtime, kg=kg)
            for part in entry.join
        )
        found = first
        for other in others:
            found = with_further_facets(found, other)
        found = replace(found, name=name_or_file)
    elif entry is None or entry.file is not None:
        found = _from_file(name_or_file, entry, genes, kg, environment.manager, runtime)
    else:
        found = _made(name_or_file, entry, genes, kg, environment.manager, runtime)
        if (note := encoder_note(name_or_file, environment)) is not None:
            found = replace(found, notes=(_said(note),))
    return found if widen is None else widen(found, runtime)


def _from_file(
    name: str,
    entry: FacetSetEntry | None,
    genes: Sequence[str],
    kg: KgChoice,
    manager: PluginManager,
    runtime: Runtime,
) -> GeneKnowledge:
    path = _path_of(name, entry, runtime)
    if absence := _absence(path, name):
        raise DataUnavailableError(absence)
    if kg.sources and not _is_imputed(path, kg):
        knowledge = impute_file(path, genes=genes, kg=kg, manager=manager, runtime=runtime)
    else:
        knowledge = select_genes(read_knowledge(path), genes)
    return knowledge if entry is None else replace(knowledge, name=name)


def _made(
    name: str,
    entry: FacetSetEntry,
    genes: Sequence[str],
    kg: KgChoice,
    manager: PluginManager,
    runtime: Runtime,
) -> GeneKnowledge:
    """Let a text encoder embed what a writer writes, or give facets of its own."""
    encoder = encoder_of(entry, manager, runtime)
    if entry.writer is None:
        if not isinstance(encoder, EncodesGenes):
            raise ConfigError(
                f"facets.{name}: the text encoder {entry.encoder!r} embeds texts and has no "
                "facets of genes itself; add writer: go"
            )
        with plugin_code(f"text encoder {entry.encoder!r}"):
            return replace(encoder.facets(genes, runtime), name=name)
    source = FacetSource(name=name, writer=writer_of(entry.writer, entry, manager), encoder=encoder)
    if kg.sources:
        return build_imputed(source, genes, kg=kg, manager=manager, runtime=runtime)
    return build_knowledge(source, genes, runtime)


def encoder_of(entry: FacetSetEntry, manager: PluginManager, runtime: Runtime) -> TextEncoder:
    """Build the text encoder of a facet set."""
    spec = manager.get(TextEncoderSpec, str(entry.encoder))
    options = with_data_folder(spec, entry.encoder_options, runtime.data_dir)
    return spec.factory(manager.configure(spec, options))


def writer_of(writer: str, entry: FacetSetEntry, manager: PluginManager) -> FacetWriter:
    """Build the facet writer of a facet set."""
    spec = manager.get(FacetWriterSpec, writer)
    return spec.factory(manager.configure(spec, entry.writer_options))


def is_imputed_already(
    name_or_file: str,
    *,
    environment: Environment,
    runtime: Runtime,
    kg: KgChoice,
) -> bool:
    """True if a facet set needs no knowledge graph: it was imputed from these, or has no gaps.

    Raises:
        ConfigError: If the name is unknown.
    """
    if not kg.sources:
        return True
    for name, entry in leaves_of(name_or_file, facet_sets(environment)):
        if entry is not None and (entry.transform in BASELESS or entry.file is entry.writer):
            continue  # nothing known on purpose, or facets of an encoder's own
        if entry is not None and entry.file is None:
            return False
        if not _is_imputed(_path_of(name, entry, runtime), kg):
            return False
    return True


def facet_file(name_or_file: str, *, environment: Environment, runtime: Runtime) -> Path | None:
    """Return the knowledge file behind a facet set; None where it has none of its own.

    Raises:
        ConfigError: If the name is unknown.
    """
    entry = _entry(name_or_file, facet_sets(environment))
    if entry is not None and entry.file is None:
        return None
    return _path_of(name_or_file, entry, runtime)


def missing_knowledge(
    name_or_file: str, *, environment: Environment, runtime: Runtime
) -> str | None:
    """Say in one sentence which file a facet set lacks; None where it can be opened.

    Raises:
        ConfigError: If the name is unknown.
    """
    absences = (
        _absence(_path_of(name, entry, runtime), name)
        for name, entry in leaves_of(name_or_file, facet_sets(environment))
        if entry is None or entry.file is not None
    )
    return next((absence for absence in absences if absence is not None), None)


def _entry(name_or_file: str, entries: Mapping[str, FacetSetEntry]) -> FacetSetEntry | None:
    if name_or_file in entries:
        return entries[name_or_file]
    if (
        name_or_file.endswith((SUFFIX, *FOREIGN_SUFFIXES))
        or Path(name_or_file).expanduser().is_file()
    ):
        return None
    raise ConfigError(
        f"unknown facet set {name_or_file!r}; {nearest(name_or_file, entries)}; "
        f"or give the path of a file ({', '.join((SUFFIX, *FOREIGN_SUFFIXES))})"
    )


def _path_of(name_or_file: str, entry: FacetSetEntry | None, runtime: Runtime) -> Path:
    if entry is None:
        return Path(name_or_file).expanduser()
    folder = (runtime.cache_dir or default_cache_dir()) / "knowledge"
    return folder / Path(str(entry.file)).expanduser()


def _is_imputed(path: Path, kg: KgChoice) -> bool:
    """True if a knowledge file needs nothing from these graphs.

    A file of this project records what it was imputed from. Another, such as the original model's
    tensor, was imputed if confidences lie between 0 and 1 (a facet that was written has 1, one that
    nobody knows 0), or if it has several facets and no gap. Plain vectors say nothing of it.
    """
    if not is_foreign(path):
        return kg.is_covered_by(recorded_imputation(path))
    return _has_imputed_facets(path, path.stat().st_size, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _has_imputed_facets(path: Path, size: int, modified_ns: int) -> bool:
    _, facets, confidence = read_confidence(path)
    is_whole = len(facets) > 1 and bool((confidence > 0).all())
    is_imputed = is_whole or bool(((confidence > 0) & (confidence < 1)).any())
    if is_imputed:
        logger.warning(
            "%s has no gaps, or confidences between 0 and 1: it was imputed already, and knowledge "
            "graphs are not read for it",
            path,
        )
    return is_imputed


def _absence(path: Path, name: str) -> str | None:
    if path.is_file():
        return None
    return (
        f"facet set {name!r} needs the knowledge file {path}, which is not there; "
        f"put it there, or: {OFFLINE_ALTERNATIVE}"
    )


def leaves_of(
    name: str, entries: Mapping[str, FacetSetEntry], above: tuple[str, ...] = ()
) -> tuple[tuple[str, FacetSetEntry | None], ...]:
    """Follow derived and joined facet sets to those that they come from; None stands for a file.

    Raises:
        ConfigError: If a name is unknown, or facet sets derive from each other in a circle.
    """
    if name in above:
        circle = " -> ".join([*above, name])
        raise ConfigError(f"facet sets derive from each other in a circle: {circle}")
    entry = _entry(name, entries)
    if entry is None:
        return ((name, None),)
    below = entry.join if entry.base is None else (entry.base,)
    if not below:
        return ((name, entry),)
    found = (leaves_of(part, entries, (*above, name)) for part in below)
    return tuple(leaf for leaves in found for leaf in leaves)
