"""One gene's facets and neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dygenept_cli import console
from dygenept_cli.views.listing import listing, show_table

if TYPE_CHECKING:
    from dygenept.knowledge.gene_view import FacetView, GeneView

SHOWN_PARTNERS = 5


def show_gene(view: GeneView) -> None:
    """Print a gene's facets, and its strongest neighbours in the knowledge graphs."""
    name = view.symbol or view.asked
    known_as = f" (asked for as {view.asked})" if name != view.asked else ""
    title = f"{name}{known_as}: {view.description or 'not in the gene tables'} · {view.knowledge}"
    columns = ("facet", "source", "confidence", "text")
    table = listing(title, columns, right=("confidence",))
    table.show_lines = True
    for facet in view.facets:
        text = facet.text or ("–" if facet.origin == "unknown" else "(no text)")
        table.add_row(facet.name, _origin(facet), f"{facet.confidence:.2f}", text)
    show_table(table)
    if view.neighbours:
        title = f"strongest neighbours in {', '.join(view.kg)}"
        partners = listing(title, ("gene", "weight", "because of"), right=("weight",))
        for neighbour in view.neighbours:
            partners.add_row(neighbour.gene, f"{neighbour.weight:.2f}", neighbour.source)
        show_table(partners)
    elif view.kg:
        console.note(f"{name} has no neighbour in {', '.join(view.kg)}")


def _origin(facet: FacetView) -> str:
    origin = facet.origin if facet.round is None else f"{facet.origin}, round {facet.round}"
    if not facet.informed_by:
        return origin
    shown = ", ".join(
        f"{item.gene} ({item.source} {item.weight:.2f})"
        for item in facet.informed_by[:SHOWN_PARTNERS]
    )
    n_more = len(facet.informed_by) - SHOWN_PARTNERS
    return f"{origin}, from {shown}{f' and {n_more} more' if n_more > 0 else ''}"
