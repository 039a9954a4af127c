"""Knowledge graph ``string``: functional associations of proteins, with channels of evidence.

Reads ``protein.links.full``, ``protein.links.detailed`` or ``protein.links`` of STRING with
``protein.info`` beside it, ``{gene: [[partner, [evidence, …]], …]}`` in JSON, or a table of pairs.
Source: Szklarczyk et al. 2023, doi:10.1093/nar/gkac1000. Its files are under CC BY 4.0; they are
fetched, never shipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, field_validator

from dygenept.knowledge.graph.file_source import FileGraphSource, GraphConfig, missing_files
from dygenept.knowledge.graph.files import FileHead, FoundFiles, Layout
from dygenept.plugin import KgSourceSpec, hookimpl
from dygenept_plugins.kg_sources._json_layouts import is_json_object, read_json_pairs
from dygenept_plugins.kg_sources._pairs import (
    NameCodes,
    damage_named,
    edges_of_pairs,
    is_pair_table,
    is_protein_id,
    read_pairs,
)

if TYPE_CHECKING:
    import polars as pl

    from dygenept.knowledge.graph.whole_graph import EdgeTable, WholeGraph
    from dygenept.types import FloatArray, IntArray, Runtime

FULL_SCORE = 1000
# Other spellings of a channel; `links.detailed` has the first.
CHANNELS = {"experimental": "experiments"}
EVIDENCE = {
    "experiments": 1.0,
    "database": 0.8,
    "experiments_transferred": 0.5,
    "textmining": 0.3,
    "textmining_transferred": 0.2,
}
BELOW = "without evidence that counts"


class StringConfig(GraphConfig):
    """Options of ``string``.

    Attributes:
        weight: Scale of the evidence weights below; 0.5 halves them all.
        evidence: Evidence weight of each channel; a channel that is not named does not count.
        min_score: Score, 0 to 1000, from which a channel counts; 400 is what STRING calls medium
            confidence.
    """

    evidence: dict[str, float] = EVIDENCE
    min_score: int = Field(default=400, ge=1, le=FULL_SCORE)

    @field_validator("evidence")
    @classmethod
    def _is_in_range(cls, value: dict[str, float]) -> dict[str, float]:
        if not value or not all(0 < weight <= 1 for weight in value.values()):
            raise ValueError("needs channels with weights in (0, 1]")
        return value


class StringGraph(FileGraphSource[StringConfig]):
    """Reads STRING."""

    name: ClassVar[str] = "string"

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """Most detailed first."""
        return (
            Layout("string_links_full", _is_full, is_companion=_is_info),
            Layout("string_links_detailed", _is_detailed, is_companion=_is_info),
            Layout("string_links", _is_links, is_companion=_is_info),
            Layout("json", is_json_object),
            Layout("pair_table", is_pair_table, is_companion=_is_info),
        )

    def read(self, found: FoundFiles, runtime: Runtime) -> WholeGraph:
        """Read the files of one layout."""
        from dygenept.knowledge.graph.whole_graph import graph_of_edges

        if found.layout.name == "json":
            return graph_of_edges(self._json(found.main[0]))
        if found.layout.name == "pair_table":
            return graph_of_edges(self._pairs(found))
        return graph_of_edges(self._links(found, runtime))

    def _links(self, found: FoundFiles, runtime: Runtime) -> EdgeTable:
        import numpy as np

        from dygenept.knowledge.graph.whole_graph import EdgeTable
        from dygenept.types import Progress

        codes, n_records = NameCodes(), 0
        parts: list[tuple[IntArray, IntArray, FloatArray]] = []
        for block in _blocks(found.main[0]):
            n_records += block.height
            kept = self._weighted(block)
            weights = kept["weight"].to_numpy().astype(np.float32)
            parts.append((codes.add(kept["protein1"]), codes.add(kept["protein2"]), weights))
            runtime.report(Progress("read string", n_records, 0))
        first, second, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
        return EdgeTable(
            names=codes.translated(_protein_names(found, codes)),
            first=first,
            second=second,
            weights=weights,
            n_records=n_records,
            dropped={BELOW: n_records - len(first)},
        )

    def _weighted(self, block: pl.DataFrame) -> pl.DataFrame:
        """Keep the pairs with evidence enough, and weigh each by its best channel."""
        import polars as pl

        channels = [name for name in block.columns if CHANNELS.get(name, name) in self._weights]
        if channels:
            weights = [
                pl.when(pl.col(name) >= self.config.min_score)
                .then(self._weights[CHANNELS.get(name, name)])
                .otherwise(0.0)
                for name in channels
            ]
            weighted = block.with_columns(weight=pl.max_horizontal(weights))
        else:
            # A file without channels has one score that stands for all of them.
            score = pl.col("combined_score")
            is_kept = score >= self.config.min_score
            weight = score / FULL_SCORE * self.config.weight
            weighted = block.with_columns(weight=pl.when(is_kept).then(weight).otherwise(0.0))
        return weighted.filter(pl.col("weight") > 0).select("protein1", "protein2", "weight")

    def _json(self, path: Path) -> EdgeTable:
        import numpy as np

        from dygenept.knowledge.graph.whole_graph import EdgeTable

        genes, partners, evidence = read_json_pairs(path)
        weights = np.array([self._strongest(item) for item in evidence], dtype=np.float32)
        codes = NameCodes()
        first, second = codes.add(genes), codes.add(partners)
        is_kept = weights > 0
        return EdgeTable(
            names=codes.names,
            first=first[is_kept],
            second=second[is_kept],
            weights=weights[is_kept],
            n_records=len(weights),
            dropped={BELOW: int((~is_kept).sum())},
        )

    def _pairs(self, found: FoundFiles) -> EdgeTable:
        path = found.main[0]
        pairs = read_pairs(path)
        highest = 0.0 if pairs.scores is None else pairs.scores.to_numpy().max(initial=0.0)
        table, codes = edges_of_pairs(
            pairs,
            weight=self.config.weight,
            path=path,
            # STRING's own scores go to 1000, those of others to 1.
            full_score=FULL_SCORE if highest > 1 else 1.0,
        )
        return replace(table, names=codes.translated(_protein_names(found, codes)))

    @property
    def _weights(self) -> dict[str, float]:
        scale = self.config.weight
        return {channel: scale * weight for channel, weight in self.config.evidence.items()}

    def _strongest(self, evidence: object) -> float:
        channels = evidence if isinstance(evidence, list) else [evidence]
        weights = self._weights
        names = [CHANNELS.get(str(channel), str(channel)) for channel in channels]
        return max((weights.get(name, 0.0) for name in names), default=0.0)


def _columns(head: FileHead) -> list[str]:
    return head.first.split(" ")


def _is_links(head: FileHead) -> bool:
    columns = _columns(head)
    return columns[:2] == ["protein1", "protein2"] and columns[-1] == "combined_score"


def _is_detailed(head: FileHead) -> bool:
    return _is_links(head) and "textmining" in _columns(head)


def _is_full(head: FileHead) -> bool:
    return _is_links(head) and "experiments_transferred" in _columns(head)


def _is_info(head: FileHead) -> bool:
    return head.first.startswith(("#string_protein_id\tpreferred_name", "protein_external_id\t"))


def _blocks(path: Path) -> Iterator[pl.DataFrame]:
    """Yield the rows of a links file, a block at a time: the human file has 13 million."""
    import polars as pl

    from dygenept.knowledge.graph.files import line_blocks, read_head
    from dygenept.machine.reading import check_cells

    columns = _columns(read_head(path))
    schema = {name: pl.String if name.startswith("protein") else pl.Int32 for name in columns}
    for number, block in enumerate(line_blocks(path)):
        check_cells(block, " ", str(path))
        with damage_named(path):
            rows = pl.read_csv(
                block, separator=" ", has_header=False, skip_rows=int(number == 0), schema=schema
            )
        yield rows


def _protein_names(found: FoundFiles, codes: NameCodes) -> dict[str, str]:
    """Return the preferred name of each protein id; none where no id is to be named."""
    import polars as pl

    from dygenept.knowledge.graph.files import read_bytes
    from dygenept.plugin import DataUnavailableError

    if not any(map(is_protein_id, codes.names)):
        return {}
    if not found.companions:
        raise DataUnavailableError(
            f"{found.main[0]} names proteins by id; put 9606.protein.info.v12.0.txt.gz beside it, "
            "which names their genes (dygenept data fetch string)"
        )
    names: dict[str, str] = {}
    for path in found.companions:
        table = pl.read_csv(
            read_bytes(path), separator="\t", quote_char=None, infer_schema_length=0, columns=[0, 1]
        )
        for protein, name in table.drop_nulls().iter_rows():
            # Ids stand with and without the taxon in front.
            names[protein] = names[protein.partition(".")[2]] = name
    return names


@hookimpl
def dygenept_kg_sources() -> list[KgSourceSpec]:
    """Return the knowledge graph ``string``."""
    return [
        KgSourceSpec(
            name="string",
            summary="STRING: associations of proteins by channel of evidence",
            source="Szklarczyk et al. 2023, doi:10.1093/nar/gkac1000",
            config=StringConfig,
            factory=StringGraph,
            missing=missing_files(StringGraph),
        )
    ]
