"""Knowledge graph ``gears_go``: the similarity of genes' GO terms, as GEARS computes it.

Reads a table of source, target and importance (GEARS' ``go_essential_all.csv`` or a table of
pairs with scores). Source: Roohani et al. 2024, doi:10.1038/s41587-023-01905-6; the terms are the
Gene Ontology's, CC BY 4.0. Nothing is shipped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from dygenept.knowledge.graph.file_source import FileGraphSource, GraphConfig, missing_files
from dygenept.knowledge.graph.files import FoundFiles, Layout
from dygenept.knowledge.graph.whole_graph import WholeGraph
from dygenept.plugin import KgSourceSpec, hookimpl
from dygenept.types import Runtime
from dygenept_plugins.kg_sources._pairs import Pairs, edges_of_pairs, is_pair_table, read_pairs


class GearsGoConfig(GraphConfig):
    """Options of ``gears_go``.

    Attributes:
        weight: Evidence weight of an edge of importance 1; the others have their share of it.
        min_importance: Importance below which a pair has no edge.
    """

    weight: float = Field(default=0.3, gt=0, le=1)
    min_importance: float = Field(default=0.0, ge=0, le=1)


class GearsGoGraph(FileGraphSource[GearsGoConfig]):
    """Reads GEARS' graph."""

    name: ClassVar[str] = "gears_go"
    layouts = (Layout("pair_table", is_pair_table),)
    is_published = False  # It comes with GEARS' data, as part of an archive.

    def read(self, found: FoundFiles, runtime: Runtime) -> WholeGraph:
        """Read the table; the stronger of two directions counts."""
        from dygenept.knowledge.graph.whole_graph import graph_of_edges

        path = found.main[0]
        pairs, least = read_pairs(path), self.config.min_importance
        n_records = len(pairs.first)
        if pairs.scores is not None:
            is_kept = (pairs.scores >= least).fill_null(True)
            pairs = Pairs(
                *(column.filter(is_kept) for column in (pairs.first, pairs.second, pairs.scores))
            )
        table, _ = edges_of_pairs(pairs, weight=self.config.weight, path=path)
        n_below = n_records - len(pairs.first)
        dropped = {**table.dropped, f"of an importance below {least:g}": n_below}
        return graph_of_edges(replace(table, n_records=n_records, dropped=dropped))


@hookimpl
def dygenept_kg_sources() -> list[KgSourceSpec]:
    """Return the knowledge graph ``gears_go``."""
    return [
        KgSourceSpec(
            name="gears_go",
            summary="GEARS' graph: similarity of genes' GO terms",
            source="Roohani et al. 2024, doi:10.1038/s41587-023-01905-6",
            config=GearsGoConfig,
            factory=GearsGoGraph,
            missing=missing_files(GearsGoGraph),
        )
    ]
