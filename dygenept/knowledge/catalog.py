"""Opens gene knowledge by name: a facet set of the registry, or a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from dygenept.errors import ConfigError, DataUnavailableError, nearest
from dygenept.knowledge.controls import random_knowledge, shuffle_knowledge
from dygenept.knowledge.formats.dispatch import FOREIGN_SUFFIXES
from dygenept.knowledge.store import (
    build_knowledge,
    default_cache_dir,
    read_knowledge,
    select_genes,
)
from dygenept.plugin_manager import PluginManager
from dygenept.specs import FacetWriterSpec, TextEncoderSpec
from dygenept.types import GeneKnowledge, Runtime

SUFFIX = ".safetensors"
OFFLINE_ALTERNATIVE = "--facets go_minilm works offline"


class FacetSetEntry(BaseModel):
    """A facet set of the registry: written and embedded, read from a file, or derived.

    Attributes:
        summary: One line.
        writer: Facet writer plugin; goes with ``encoder``.
        writer_options: Its options.
        encoder: Text encoder plugin.
        encoder_options: Its options.
        file: Knowledge file; a relative path is meant inside ``<cache>/knowledge``.
        base: Facet set that ``transform`` changes.
        transform: ``shuffled`` between genes, or ``random`` vectors of the same norms.
        seed: Seed of the transform.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    summary: str = ""
    writer: str | None = None
    writer_options: dict[str, object] = {}
    encoder: str | None = None
    encoder_options: dict[str, object] = {}
    file: str | None = None
    base: str | None = None
    transform: Literal["shuffled", "random"] | None = None
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _is_one_kind(self) -> FacetSetEntry:
        if (self.writer is None) != (self.encoder is None):
            raise ValueError("needs writer and encoder together")
        if (self.base is None) != (self.transform is None):
            raise ValueError("needs base and transform together")
        if [self.writer, self.file, self.base].count(None) != 2:
            raise ValueError("needs exactly one of writer + encoder, file, base + transform")
        return self


def open_knowledge(
    name_or_file: str,
    *,
    entries: Mapping[str, FacetSetEntry],
    manager: PluginManager,
    genes: Sequence[str],
    runtime: Runtime,
) -> GeneKnowledge:
    """Return the knowledge of some genes.

    Args:
        name_or_file: A facet set of ``entries``, or the path of a knowledge file.
        entries: The registry's facet sets.
        manager: Finds writers and encoders.
        genes: Gene symbols; a gene that is not known has confidence 0 throughout.
        runtime: Device, progress and cache.

    Raises:
        ConfigError: If the name is unknown, or facet sets derive from each other in a circle.
        DataUnavailableError: If its file is not there.
        DataError: If its file is damaged.
        PluginError: If its writer or encoder is unknown.
    """
    entry = _entry(name_or_file, entries)
    if entry is None:
        path = Path(name_or_file).expanduser()
        return select_genes(read_knowledge(_present(path, name_or_file)), genes)
    if entry.base is not None:
        _check_chain(name_or_file, entries)
        base = open_knowledge(
            entry.base, entries=entries, manager=manager, genes=genes, runtime=runtime
        )
        rng = np.random.default_rng(entry.seed)
        derive = shuffle_knowledge if entry.transform == "shuffled" else random_knowledge
        return replace(derive(base, rng=rng), name=name_or_file)
    if entry.file is not None:
        path = _present(_entry_path(entry.file, runtime), name_or_file)
        return replace(select_genes(read_knowledge(path), genes), name=name_or_file)
    writer = manager.get(FacetWriterSpec, str(entry.writer))
    encoder = manager.get(TextEncoderSpec, str(entry.encoder))
    return build_knowledge(
        name_or_file,
        writer=writer.factory(manager.configure(writer, entry.writer_options)),
        encoder=encoder.factory(manager.configure(encoder, entry.encoder_options)),
        genes=genes,
        runtime=runtime,
    )


def missing_knowledge(
    name_or_file: str, *, entries: Mapping[str, FacetSetEntry], runtime: Runtime
) -> str | None:
    """Say in one sentence which file a facet set lacks; None where it can be opened.

    Raises:
        ConfigError: If the name is unknown.
    """
    entry = _entry(name_or_file, entries)
    if entry is None:
        path: Path | None = Path(name_or_file).expanduser()
    elif entry.base is not None:
        _check_chain(name_or_file, entries)
        return missing_knowledge(entry.base, entries=entries, runtime=runtime)
    else:
        path = None if entry.file is None else _entry_path(entry.file, runtime)
    if path is None or path.is_file():
        return None
    return (
        f"facet set {name_or_file!r} needs the knowledge file {path}, which is not there; "
        f"{OFFLINE_ALTERNATIVE}"
    )


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


def _entry_path(file: str, runtime: Runtime) -> Path:
    folder = (runtime.cache_dir or default_cache_dir()) / "knowledge"
    return folder / Path(file).expanduser()


def _present(path: Path, name: str) -> Path:
    if not path.is_file():
        raise DataUnavailableError(
            f"facet set {name!r} needs the knowledge file {path}, which is not there; "
            f"put it there, or: {OFFLINE_ALTERNATIVE}"
        )
    return path


def _check_chain(name: str, entries: Mapping[str, FacetSetEntry]) -> None:
    seen = [name]
    while (entry := entries.get(seen[-1])) is not None and entry.base is not None:
        if entry.base in seen:
            raise ConfigError(
                f"facet sets derive from each other in a circle: {' -> '.join([*seen, entry.base])}"
            )
        seen.append(entry.base)
