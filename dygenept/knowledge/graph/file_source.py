"""Base of knowledge-graph sources that read files: finding, parsing once, caching, reporting."""

from __future__ import annotations

import functools
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import Field

import dygenept
from dygenept.errors import DataError, DataUnavailableError, DygeneptError
from dygenept.knowledge.graph.files import (
    FoundFiles,
    Layout,
    find_files,
    read_head,
    verified_sha256,
)
from dygenept.machine.file_checks import is_error_line
from dygenept.machine.file_kinds import HEAD_BYTES, kind_of, said_of
from dygenept.machine.folders import default_data_dir, place_in
from dygenept.plugin.interfaces import GraphReport, KnowledgeGraph
from dygenept.plugin.specs import PluginConfig

if TYPE_CHECKING:
    from dygenept.knowledge.graph.cache import GraphManifest
    from dygenept.knowledge.graph.whole_graph import WholeGraph
    from dygenept.types import Runtime


class GraphConfig(PluginConfig):
    """Options that every source of files has.

    Attributes:
        path: A file, or a folder with the source's files; None means the source's folder in the
            data folder.
        data_dir: The data folder; None means the default one.
        weight: Evidence weight of the source's strongest kind of edge, in (0, 1].
    """

    path: str | None = None
    data_dir: str | None = Field(default=None, exclude=True)
    weight: float = Field(default=1.0, gt=0, le=1)


ConfigT = TypeVar("ConfigT", bound=GraphConfig)


class FileGraphSource(ABC, Generic[ConfigT]):
    """A source that reads files of one of several layouts.

    A subclass names itself, its layouts, and reads files of a layout into a graph. What the
    registry calls the asset of the source's name lies in ``kg/<name>`` of the data folder; where
    that is absent, the original model's ``kg/<name>.json`` is read.

    Attributes:
        name: Name of the source.
        version: Raised when the same files and options give another graph.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1

    def __init__(self, config: ConfigT) -> None:
        self.config = config
        self._kept: WholeGraph | None = None

    @property
    @abstractmethod
    def layouts(self) -> tuple[Layout, ...]:
        """Layouts that it reads, the preferred one first."""

    @abstractmethod
    def read(self, found: FoundFiles, runtime: Runtime) -> WholeGraph:
        """Read the files of one layout."""

    @property
    def path(self) -> Path:
        """Where its files are looked for."""
        if self.config.path is not None:
            return Path(self.config.path).expanduser()
        data_dir = self.config.data_dir
        base = default_data_dir() if data_dir is None else Path(data_dir).expanduser()
        file = f"kg/{self.name}.json"
        return place_in(base, f"kg/{self.name}", (file, f"data/{file}"))

    def find(self) -> FoundFiles:
        """Find its files.

        Raises:
            DataUnavailableError: If there is none; says where they belong.
            DataError: If there are files and none has a layout that it reads.
        """
        found = find_files(self.path, self.layouts)
        if found is not None:
            for path in found.all:
                self._check_is_data(path)
            return found
        known = ", ".join(layout.name for layout in self.layouts)
        if self.path.is_file():
            raise DataError(
                f"{self.path} has no layout that the knowledge graph {self.name!r} reads "
                f"({known}); see docs/knowledge_graphs.md"
            )
        raise DataUnavailableError(self.missing_sentence)

    def _check_is_data(self, path: Path) -> None:
        """Refuse what servers send in place of a table; two words look like a pair of genes."""
        head = read_head(path)
        kind = kind_of("\n".join(head.lines[:20]).encode()[:HEAD_BYTES])
        if kind in ("web page", "git-lfs pointer", "empty"):
            raise DataError(f"{path} {said_of(kind, path)}")
        if is_error_line(head.lines):
            raise DataError(f"{path} is a line of text, and no graph: {head.first[:120]!r}")

    def check_layout(self, path: Path) -> None:
        """Refuse a file that no layout reads, alone or beside another.

        Raises:
            DataError: As said, as the rest of a sentence on the file.
        """
        head = read_head(path)
        for layout in self.layouts:
            if layout.matches(head) or (layout.is_companion and layout.is_companion(head)):
                return
        known = ", ".join(layout.name for layout in self.layouts)
        raise DataError(
            f"has no layout that the knowledge graph {self.name!r} reads ({known}), but begins "
            f"with {head.first[:80]!r}"
        )

    @property
    def missing_sentence(self) -> str:
        """Say what is not on this machine and how to get it."""
        fetch = f"fetch it with: dygenept data fetch {self.name}; or "
        return (
            f"the knowledge graph {self.name!r} has no file of a layout it reads at {self.path}; "
            f"{fetch if self.config.path is None and self.is_published else ''}"
            f"give a file with --set kg.{self.name}.path=FILE"
        )

    @property
    def is_published(self) -> bool:
        """True if ``dygenept data fetch`` knows its files."""
        return True

    @functools.cached_property
    def identity(self) -> str:
        """Name of the graph: the source, and a hash of files, layout, options and versions."""
        manifest = self._manifest
        document = {
            # A file's name may tell how it is read (a cell line); its folder does not.
            "inputs": {Path(path).name: sha256 for path, sha256 in manifest.inputs.items()},
            "layout": manifest.layout,
            "config": manifest.config,
            # A new release alone does not make a parsed graph stale; ``reader`` does.
            "versions": {**manifest.versions, "dygenept": ""},
        }
        content = json.dumps(document, sort_keys=True)
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:24]}"

    def graph(self, genes: Sequence[str], runtime: Runtime) -> KnowledgeGraph:
        """Return the edges among these genes, each found under any of its names.

        Raises:
            DataUnavailableError: If its files are not there.
            DataError: If a file cannot be read.
        """
        from dygenept.knowledge.genes.matching import rows_of
        from dygenept.knowledge.graph.combined import select_rows

        asked = tuple(dict.fromkeys(genes))
        whole, found = self._whole(runtime), self._found
        # Only the upper triangle is cached; adding its transpose restores both directions.
        upper = whole.upper
        weights = select_rows(upper + upper.T, rows_of(asked, whole.genes))
        weights = weights.astype(np.float32)  # (n_asked, n_asked)
        report = GraphReport(
            source=self.name,
            layout=found.layout.name,
            files=tuple(path.name for path in found.all),
            n_records=whole.n_records,
            dropped=whole.dropped,
            n_genes=len(whole.genes),
            n_edges=int(upper.nnz),
            n_renamed=whole.n_renamed,
            n_unknown=whole.n_unknown,
            n_asked=len(asked),
            n_genes_kept=int((np.diff(weights.indptr) > 0).sum()),
            n_edges_kept=int(weights.nnz) // 2,
        )
        return KnowledgeGraph(asked, weights, report)

    @functools.cached_property
    def _found(self) -> FoundFiles:
        return self.find()

    @functools.cached_property
    def _manifest(self) -> GraphManifest:
        from dygenept.knowledge.genes.tables import load_gene_tables
        from dygenept.knowledge.graph.cache import GraphManifest

        return GraphManifest(
            source=self.name,
            layout=self._found.layout.name,
            identity="",
            inputs={str(path): verified_sha256(path) for path in self._found.all},
            # Where the files lie does not change the graph; what is in them is in ``inputs``.
            config=self.config.model_dump(mode="json", exclude={"path"}),
            versions={
                "dygenept": dygenept.__version__,
                "reader": str(self.version),
                "gene_tables": load_gene_tables().sha256,
            },
        )

    def _whole(self, runtime: Runtime) -> WholeGraph:
        """Return all edges: from memory, the cache or the files."""
        from dygenept.knowledge.graph.cache import GraphCache

        if self._kept is None:
            cache = GraphCache(runtime.cache_dir)
            self._kept = cache.read(self.identity)
            if self._kept is None:
                self._kept = self._read(runtime)
                manifest = self._manifest.model_copy(update={"identity": self.identity})
                cache.write(self._kept, manifest)
        return self._kept

    def _read(self, runtime: Runtime) -> WholeGraph:
        """Read the files; whatever a reader meets in a damaged one names the files."""
        from polars.exceptions import PanicException

        found = self._found
        try:
            return self.read(found, runtime)
        except DygeneptError:
            raise
        # Polars' panic is not an Exception; numpy, polars and json raise what they like.
        except (Exception, PanicException) as error:
            files = ", ".join(str(path) for path in found.all)
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise DataError(
                f"{files} cannot be read as {found.layout.name} of the knowledge graph "
                f"{self.name!r}: {reason}; fetch or write it again"
            ) from error


def missing_files(source: type[FileGraphSource[ConfigT]]) -> Callable[[ConfigT], str | None]:
    """Return a spec's ``missing`` function for a source: what is not on this machine."""

    def missing(config: ConfigT) -> str | None:
        built = source(config)
        if built.path.is_file() or find_files(built.path, built.layouts) is not None:
            return None
        return built.missing_sentence

    return missing
