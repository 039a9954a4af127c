"""Knowledge graph that joins genes whose symbols share a root. Source: this project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from dygenept.plugin import KgSourceSpec, KnowledgeGraph, PluginConfig, hookimpl

if TYPE_CHECKING:
    from dygenept.types import Runtime


class FamilyConfig(PluginConfig):
    """Options of ``family``.

    Attributes:
        n_letters: Letters that two symbols must share at their start.
        weight: Evidence weight of an edge.
    """

    n_letters: int = Field(3, ge=1)
    weight: float = Field(0.3, gt=0, le=1)


class Family:
    """Joins HBA1, HBA2 and their like."""

    def __init__(self, config: FamilyConfig) -> None:
        self.n_letters, self.weight = config.n_letters, config.weight
        self.identity = f"family-{self.n_letters}-{self.weight}"

    def graph(self, genes: Sequence[str], runtime: Runtime) -> KnowledgeGraph:
        """Join all pairs of a family by one product of memberships."""
        from scipy import sparse

        kept = tuple(dict.fromkeys(genes))
        roots = [gene[: self.n_letters] for gene in kept]
        columns = {root: number for number, root in enumerate(dict.fromkeys(roots))}
        member = sparse.csr_matrix(
            (np.ones(len(kept)), (np.arange(len(kept)), [columns[root] for root in roots])),
            shape=(len(kept), len(columns)),
        )
        shared = sparse.csr_matrix(member @ member.T)
        shared.setdiag(0)
        shared.eliminate_zeros()
        shared.data[:] = self.weight
        return KnowledgeGraph(kept, shared)


@hookimpl
def dygenept_kg_sources() -> list[KgSourceSpec]:
    """Return the knowledge graph ``family``."""
    return [
        KgSourceSpec(
            name="family",
            summary="Genes whose symbols share their first letters.",
            source="this project",
            config=FamilyConfig,
            factory=Family,
        )
    ]
