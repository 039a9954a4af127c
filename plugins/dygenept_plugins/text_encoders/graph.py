"""Text encoder ``graph``: a gene's place in STRING, BioGRID and Reactome, in place of its texts.

A facet set may name it without a writer: each graph is then a facet of its own, with a confidence
of a fifth per link, at most 1. Of a text it embeds the genes that it names: the mean of their
vectors over all graphs side by side.

Truncated SVD of links weighed by inverse document frequency, or diffusion along them (see
``dygenept.knowledge.graph.graph_vectors``). Loads the shipped tables, or newer ones from the data
folder: STRING, GO CC BY 4.0; BioGRID MIT; Reactome CC0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field, field_validator

from dygenept.knowledge.facets.graph_facets import GraphFacetOptions, graph_facets
from dygenept.knowledge.graph.graph_vectors import LinkTables, VectorOptions, graph_vectors
from dygenept.plugin import PluginConfig, TextEncoderSpec, hookimpl
from dygenept.types import FloatArray, GeneKnowledge, Progress, Runtime
from dygenept.types.effects import GraphName

# A gene in a text: a word of capitals, digits and hyphens, such as KLF1 or HLA-A.
GENE = re.compile(r"\b[A-Z][A-Z0-9]+(?:-[A-Z0-9]+)*\b")


class GraphConfig(PluginConfig):
    """Options of ``graph``.

    Attributes:
        graphs: Tables of links: ``string``, ``biogrid``, ``reactome``, ``go``.
        dim: Width of the vectors.
        steps: Steps of diffusion along links; 1 stays with the links themselves.
        apart: One facet per graph; else one facet of all graphs side by side.
        data_dir: The data folder, whose folder ``graphs`` may have newer tables; the run's where
            none is given.
    """

    graphs: tuple[GraphName, ...] = ("string", "biogrid", "reactome")
    dim: int = Field(default=384, ge=2, le=2048)
    steps: int = Field(default=1, ge=1, le=10)
    apart: bool = True
    data_dir: str | None = None

    @field_validator("graphs")
    @classmethod
    def _names_some(cls, value: tuple[GraphName, ...]) -> tuple[GraphName, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("name at least one graph, and none twice")
        return value

    @property
    def options(self) -> GraphFacetOptions:
        """Which graphs become facets, and how."""
        return GraphFacetOptions(self.graphs, VectorOptions(self.dim, self.steps), self.apart)

    def tables(self, runtime: Runtime) -> LinkTables:
        """Say where links are read."""
        given = None if self.data_dir is None else Path(self.data_dir).expanduser()
        return LinkTables(self.graphs, given or runtime.data_dir, runtime.cache_dir)


class GraphEncoder:
    """Embeds genes by their links."""

    corpus_dependent = False

    def __init__(self, config: GraphConfig) -> None:
        self._config = config

    @property
    def identity(self) -> str:
        """Options and the hashes of the tables."""
        config = self._config
        parts = (config.model_dump_json(exclude={"data_dir"}), *config.tables(Runtime()).sha256)
        return f"graph-{hashlib.sha256('/'.join(parts).encode()).hexdigest()[:32]}"

    def facets(self, genes: Sequence[str], runtime: Runtime) -> GeneKnowledge:
        """Return one facet per graph of each gene."""
        tables = self._config.tables(runtime)
        return graph_facets(genes, tables, self._config.options)

    def encode(self, texts: Sequence[str], runtime: Runtime) -> FloatArray:
        """Return unit vectors, (n_texts, dim), float32; zeros for a text that names no gene."""
        named = [GENE.findall(text) for text in texts]
        genes = sorted({gene for found in named for gene in found})
        tables = self._config.tables(Runtime(cache_dir=runtime.cache_dir))
        vectors, _ = graph_vectors(tables, genes, self._config.options.vectors)
        row_of = {gene: row for row, gene in enumerate(genes)}
        found = np.zeros((len(texts), self._config.dim), dtype=np.float32)
        for row, names in enumerate(named):
            if names:
                found[row] = vectors[[row_of[name] for name in names]].mean(axis=0)
        norms = np.linalg.norm(found, axis=1, keepdims=True)
        runtime.report(Progress("embed", len(texts), len(texts)))
        unit: FloatArray = np.divide(found, norms, out=np.zeros_like(found), where=norms > 0)
        return unit


@hookimpl
def dygenept_text_encoders() -> list[TextEncoderSpec]:
    """Return the text encoder ``graph``."""
    return [
        TextEncoderSpec(
            name="graph",
            summary="A gene's links in STRING, BioGRID and Reactome; offline, needs no writer.",
            source="this project; Halko et al. 2011, arXiv:0909.4061",
            config=GraphConfig,
            factory=GraphEncoder,
            check_options={"graphs": ("reactome",), "dim": 16},
        )
    ]
