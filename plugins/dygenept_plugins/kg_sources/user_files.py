"""Knowledge graphs of the user's own files; names are symbols, aliases, Ensembl or Entrez ids.

``edges``: any table of gene pairs, with or without scores.
``gmt``: genes that share sets of any GMT file.
Source and licence: those of the file.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from dygenept.knowledge.graph.file_source import FileGraphSource, GraphConfig, missing_files
from dygenept.knowledge.graph.files import FoundFiles, Layout
from dygenept.knowledge.graph.whole_graph import WholeGraph
from dygenept.plugin import KgSourceSpec, hookimpl
from dygenept.types import Runtime
from dygenept_plugins.kg_sources._pairs import edges_of_pairs, is_pair_table, read_pairs
from dygenept_plugins.kg_sources._sets import SetConfig, is_gmt, read_gmt


class EdgesConfig(GraphConfig):
    """Options of ``edges``.

    Attributes:
        path: The table: two or three columns, separated by tabs, commas or spaces, plain or .gz.
        weight: Evidence weight of a pair without a score, or with a full one.
        full_score: Score that counts as full evidence; a pair's weight is its share of it.
        has_header: True if the first row names columns; None decides by its words.
    """

    full_score: float = Field(default=1.0, gt=0)
    has_header: bool | None = None


class EdgesGraph(FileGraphSource[EdgesConfig]):
    """Reads a table of pairs."""

    name: ClassVar[str] = "edges"
    layouts = (Layout("pair_table", is_pair_table),)
    is_published = False  # The table is the user's.

    def read(self, found: FoundFiles, runtime: Runtime) -> WholeGraph:
        """Read the table."""
        from dygenept.knowledge.graph.whole_graph import graph_of_edges

        path = found.main[0]
        table, _ = edges_of_pairs(
            read_pairs(path, has_header=self.config.has_header),
            weight=self.config.weight,
            path=path,
            full_score=self.config.full_score,
        )
        return graph_of_edges(table)


class GmtGraph(FileGraphSource[SetConfig]):
    """Reads gene sets."""

    name: ClassVar[str] = "gmt"
    layouts = (Layout("gmt", is_gmt),)
    is_published = False  # The file is the user's.

    def read(self, found: FoundFiles, runtime: Runtime) -> WholeGraph:
        """Read the sets."""
        from dygenept.knowledge.graph.whole_graph import graph_of_sets

        return graph_of_sets(read_gmt(found.main[0]), self.config.rule)


@hookimpl
def dygenept_kg_sources() -> list[KgSourceSpec]:
    """Return both knowledge graphs."""
    return [
        KgSourceSpec(
            name="gmt",
            summary="Genes that share sets of any GMT file",
            source="this project",
            config=SetConfig,
            factory=GmtGraph,
            missing=missing_files(GmtGraph),
        ),
        KgSourceSpec(
            name="edges",
            summary="Any table of gene pairs, with or without scores",
            source="this project",
            config=EdgesConfig,
            factory=EdgesGraph,
            missing=missing_files(EdgesGraph),
        ),
    ]
