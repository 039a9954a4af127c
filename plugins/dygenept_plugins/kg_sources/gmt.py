"""Knowledge graph ``gmt``: genes that share sets of any GMT file. Source: the user.

Members may be symbols, aliases, Ensembl gene ids or Entrez numbers. Licence: that of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dygenept.knowledge.graph.file_source import FileGraphSource, missing_files
from dygenept.knowledge.graph.files import FoundFiles, Layout
from dygenept.plugin import KgSourceSpec, hookimpl
from dygenept_plugins.kg_sources._sets import SetConfig, is_gmt, read_gmt

if TYPE_CHECKING:
    from dygenept.knowledge.graph.whole_graph import WholeGraph
    from dygenept.types import Runtime


class GmtGraph(FileGraphSource[SetConfig]):
    """Reads gene sets."""

    name: ClassVar[str] = "gmt"

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """One: GMT."""
        return (Layout("gmt", is_gmt),)

    @property
    def is_published(self) -> bool:
        """False: the file is the user's."""
        return False

    def read(self, found: FoundFiles, runtime: Runtime) -> WholeGraph:
        """Read the sets."""
        from dygenept.knowledge.graph.whole_graph import graph_of_sets

        return graph_of_sets(read_gmt(found.main[0]), self.config.rule)


@hookimpl
def dygenept_kg_sources() -> list[KgSourceSpec]:
    """Return the knowledge graph ``gmt``."""
    return [
        KgSourceSpec(
            name="gmt",
            summary="Genes that share sets of any GMT file",
            source="this project",
            config=SetConfig,
            factory=GmtGraph,
            missing=missing_files(GmtGraph),
        )
    ]
