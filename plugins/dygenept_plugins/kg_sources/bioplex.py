"""Knowledge graph ``bioplex``: proteins that were pulled down together in human cell lines.

Reads BioPlex 3.0's interaction tables (any number of them together), ``{gene: [[partner, cell
line], …]}`` in JSON, or a table of pairs. Source: Huttlin et al. 2021,
doi:10.1016/j.cell.2021.04.011. Its files are fetched, never shipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from dygenept.knowledge.graph.file_source import FileGraphSource, GraphConfig, missing_files
from dygenept.knowledge.graph.files import FileHead, FoundFiles, Layout
from dygenept.plugin import KgSourceSpec, hookimpl
from dygenept_plugins.kg_sources._json_layouts import is_json_object, read_json_pairs
from dygenept_plugins.kg_sources._pairs import (
    NameCodes,
    damage_named,
    edges_of_pairs,
    is_pair_table,
    read_pairs,
    read_tabs,
)

if TYPE_CHECKING:
    import polars as pl

    from dygenept.knowledge.graph.whole_graph import EdgeTable, WholeGraph
    from dygenept.types import Runtime

COLUMNS = ("SymbolA", "SymbolB")
BELOW = "of another cell line or below the probability asked for"


class BioplexConfig(GraphConfig):
    """Options of ``bioplex``.

    Attributes:
        weight: Evidence weight of an interaction, in (0, 1].
        cell_lines: Cell lines that count, such as ``293T``, as the file's name or the JSON layout
            spells them; none named, all count.
        min_probability: Smallest probability of an interaction (``pInt``), where the file has it.
    """

    weight: float = Field(default=0.9, gt=0, le=1)
    cell_lines: tuple[str, ...] = ()
    min_probability: float = Field(default=0.0, ge=0, le=1)


class BioplexGraph(FileGraphSource[BioplexConfig]):
    """Reads BioPlex."""

    name: ClassVar[str] = "bioplex"

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The publisher's files first."""
        return (
            Layout("bioplex_interactions", _is_bioplex, takes_many=True),
            Layout("json", is_json_object),
            Layout("pair_table", is_pair_table),
        )

    def read(self, found: FoundFiles, runtime: Runtime) -> WholeGraph:
        """Read the files of one layout."""
        from dygenept.knowledge.graph.whole_graph import graph_of_edges

        if found.layout.name == "json":
            return graph_of_edges(self._json(found.main[0]))
        if found.layout.name == "pair_table":
            path = found.main[0]
            return graph_of_edges(
                edges_of_pairs(read_pairs(path), weight=self.config.weight, path=path)[0]
            )
        return graph_of_edges(self._tables(found.main))

    def _tables(self, paths: tuple[Path, ...]) -> EdgeTable:
        import polars as pl

        frames = [_read(path) for path in paths]
        kept = [
            frame.filter(
                pl.lit(self._counts(path.name)) & (pl.col("pInt") >= self.config.min_probability)
            )
            for path, frame in zip(paths, frames, strict=True)
        ]
        whole = pl.concat(kept)
        return self._table(whole[COLUMNS[0]], whole[COLUMNS[1]], sum(len(item) for item in frames))

    def _json(self, path: Path) -> EdgeTable:
        import polars as pl

        genes, partners, lines = read_json_pairs(path)
        counts = pl.Series([self._counts(str(line)) for line in lines], dtype=pl.Boolean)
        return self._table(genes.filter(counts), partners.filter(counts), len(genes))

    def _table(self, first: pl.Series, second: pl.Series, n_records: int) -> EdgeTable:
        import numpy as np

        from dygenept.knowledge.graph.whole_graph import EdgeTable

        codes = NameCodes()
        return EdgeTable(
            first=codes.add(first),
            second=codes.add(second),
            weights=np.full(len(first), self.config.weight, dtype=np.float32),
            names=codes.names,
            n_records=n_records,
            dropped={BELOW: n_records - len(first)},
        )

    def _counts(self, text: str) -> bool:
        lines = self.config.cell_lines
        return not lines or any(line.lower() in text.lower() for line in lines)


def _is_bioplex(head: FileHead) -> bool:
    cells = head.first.replace('"', "").split("\t")
    return set(COLUMNS) <= set(cells)


def _read(path: Path) -> pl.DataFrame:
    """Read symbols and probability of one table; early releases have no probability."""
    import polars as pl

    frame = read_tabs(path)
    probability = pl.col("pInt") if "pInt" in frame.columns else pl.lit("1")
    with damage_named(path):
        return frame.select(*COLUMNS, pInt=probability.cast(pl.Float64)).drop_nulls()


@hookimpl
def dygenept_kg_sources() -> list[KgSourceSpec]:
    """Return the knowledge graph ``bioplex``."""
    return [
        KgSourceSpec(
            name="bioplex",
            summary="BioPlex: protein interactions by affinity purification",
            source="Huttlin et al. 2021, doi:10.1016/j.cell.2021.04.011",
            config=BioplexConfig,
            factory=BioplexGraph,
            missing=missing_files(BioplexGraph),
        )
    ]
