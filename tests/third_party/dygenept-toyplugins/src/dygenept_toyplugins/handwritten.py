"""Facet writer that knows a handful of genes by heart. Source: this project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dygenept.plugin import FacetWriterSpec, GeneFacets, PluginConfig, hookimpl
from dygenept.types import FACETS

if TYPE_CHECKING:
    from dygenept.types import Runtime

KNOWN: dict[str, dict[str, str]] = {
    "KLF1": {"Transcriptional Regulation": "activates erythroid genes such as beta globin"},
    "JUN": {"Transcriptional Regulation": "forms the AP-1 transcription factor with FOS"},
    "MAPK1": {"Signal Transduction": "carries growth signals from RAF and MEK to the nucleus"},
    "CDK1": {"Cell Cycle & Proliferation": "drives entry into mitosis with cyclin B"},
    "TP53": {
        "Cell Cycle & Proliferation": "halts the cell cycle after damage to DNA",
        "Cell Death & Survival": "starts apoptosis after damage to DNA",
    },
    "BAK1": {"Cell Death & Survival": "permeabilises the outer mitochondrial membrane"},
    "SLC2A1": {"Transport & Localization": "carries glucose across the plasma membrane"},
    "CXCL8": {"Immune Response": "attracts neutrophils to the site of inflammation"},
    "ITGB1": {"Cell Motility & Adhesion": "binds fibronectin and collagen as an integrin"},
}


class Handwritten:
    """Looks genes up in the table above."""

    identity = "handwritten-1"

    def write(self, genes: Sequence[str], runtime: Runtime) -> tuple[GeneFacets, ...]:
        """Return the texts of each gene, none for a gene that is not in the table."""
        return tuple(
            GeneFacets(gene, tuple(KNOWN.get(gene, {}).get(facet) for facet in FACETS))
            for gene in genes
        )


def build(config: PluginConfig) -> Handwritten:
    """Build the writer."""
    return Handwritten()


@hookimpl
def dygenept_facet_writers() -> list[FacetWriterSpec]:
    """Return the facet writer ``handwritten``."""
    return [
        FacetWriterSpec(
            name="handwritten",
            summary="Facets of nine genes, written by hand.",
            source="this project",
            factory=build,
        )
    ]
