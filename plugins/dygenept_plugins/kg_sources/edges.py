"""Knowledge graph ``edges``: any table of gene pairs, with or without scores. Source: the user.

Names may be symbols, aliases, Ensembl gene ids or Entrez numbers. Licence: that of the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from dygenept.knowledge.graph.file_source import FileGraphSource, GraphConfig, missing_files
from dygenept.knowledge.graph.files import FoundFiles, Layout
from dygenept.plugin import KgSourceSpec, hookimpl
from dygenept_plugins.kg_sources._pairs import edges_of_pairs, is_pair_table, read_pairs

if TYPE_CHECKING:
    from dygenept.knowledge.graph.whole_graph import WholeGraph
    from dygenept.types import Runtime


class EdgesConfig(GraphConfig):
    """Options of ``edges``.

    Attributes:
        path: The table: two or three columns, separated by tabs, commas or spaces, plain or .gz.
        data_dir: The data folder; None means the default one.
        weight: Evidence weight of a pair without a score, or with a full one.
        full_score: Score that counts as full evidence; a pair's weight is its share of it.
        has_header: True if the first row names columns; None decides by its words.
    """

    full_score: float = Field(default=1.0, gt=0)
    has_header: bool | None = None


class EdgesGraph(FileGraphSource[EdgesConfig]):
    """Reads a table of pairs."""

    name: ClassVar[str] = "edges"

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """One: a table of pairs."""
        return (Layout("pair_table", is_pair_table),)

    @property
    def is_published(self) -> bool:
        """False: the table is the user's."""
        return False

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


@hookimpl
def dygenept_kg_sources() -> list[KgSourceSpec]:
    """Return the knowledge graph ``edges``."""
    return [
        KgSourceSpec(
            name="edges",
            summary="Any table of gene pairs, with or without scores",
            source="this project",
            config=EdgesConfig,
            factory=EdgesGraph,
            missing=missing_files(EdgesGraph),
        )
    ]
