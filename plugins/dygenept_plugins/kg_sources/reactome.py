"""Knowledge graph ``reactome``: genes that share a pathway.

Reads ``ReactomePathways.gmt``, ``NCBI2Reactome.txt`` (human rows), or ``[{gene: [[pathway,
location], …]}, {pathway: …}]`` in JSON. Source: Milacic et al. 2024, doi:10.1093/nar/gkad1025. Its
files are under CC0; they are fetched, never shipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from dygenept.knowledge.graph.file_source import FileGraphSource, missing_files
from dygenept.knowledge.graph.files import FileHead, FoundFiles, Layout
from dygenept.knowledge.graph.whole_graph import SetTable, WholeGraph
from dygenept.plugin import KgSourceSpec, hookimpl
from dygenept.types import Runtime
from dygenept_plugins.kg_sources._json_layouts import is_json_list, read_json_sets
from dygenept_plugins.kg_sources._pairs import read_tabs
from dygenept_plugins.kg_sources._sets import SetConfig, is_gmt, memberships, read_gmt

SPECIES = "Homo sapiens"


class ReactomeGraph(FileGraphSource[SetConfig]):
    """Reads Reactome."""

    name: ClassVar[str] = "reactome"

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The sets first: they contain the genes of a pathway's parts, the other table does not."""
        return (
            Layout("gmt", lambda head: is_gmt(head) and not _is_ncbi(head)),
            Layout("ncbi2reactome", _is_ncbi),
            Layout("json", is_json_list),
        )

    def read(self, found: FoundFiles, runtime: Runtime) -> WholeGraph:
        """Read the files of one layout."""
        from dygenept.knowledge.graph.whole_graph import graph_of_sets

        readers = {"gmt": read_gmt, "ncbi2reactome": _read_ncbi, "json": _read_json}
        return graph_of_sets(readers[found.layout.name](found.main[0]), self.config.rule)


def _is_ncbi(head: FileHead) -> bool:
    cells = head.first.split("\t")
    return len(cells) == 6 and cells[0].isdigit() and cells[1].startswith("R-")


def _read_ncbi(path: Path) -> SetTable:
    import polars as pl

    columns = ["gene", "set", "url", "name", "evidence", "species"]
    frame = read_tabs(path, has_header=False, quote_char=None, new_columns=columns)
    human = frame.filter(pl.col("species") == SPECIES).select("gene", "set").drop_nulls()
    return memberships(
        human, n_records=frame.height, of_another_species=frame.height - human.height
    )


def _read_json(path: Path) -> SetTable:
    import polars as pl

    genes, pathways, _ = read_json_sets(path)
    return memberships(pl.DataFrame({"gene": genes, "set": pathways}))


@hookimpl
def dygenept_kg_sources() -> list[KgSourceSpec]:
    """Return the knowledge graph ``reactome``."""
    return [
        KgSourceSpec(
            name="reactome",
            summary="Reactome: genes that share a pathway",
            source="Milacic et al. 2024, doi:10.1093/nar/gkad1025",
            config=SetConfig,
            factory=ReactomeGraph,
            missing=missing_files(ReactomeGraph),
        )
    ]
