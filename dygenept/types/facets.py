"""The eight facets of a gene, in their fixed order."""

from __future__ import annotations

FACETS: tuple[str, ...] = (
    "Transcriptional Regulation",
    "Cell Cycle & Proliferation",
    "Cell Death & Survival",
    "Metabolic Processes",
    "Immune Response",
    "Signal Transduction",
    "Cell Motility & Adhesion",
    "Transport & Localization",
)
