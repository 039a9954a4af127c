"""``dygenept knowledge``: what is known of a gene, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.environment import DataFlags
from dygenept_cli.flags.records import flag, with_flags
from dygenept_cli.help_screens import command_group
from dygenept_cli.views.listing import listing, show_table

if TYPE_CHECKING:
    from dygenept.knowledge.gene_view import FacetView, GeneView
    from dygenept.knowledge.graph.combined import Neighbour

app = command_group("Show what is known of a gene.")

DECIMALS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeFlags:
    """Which knowledge is shown."""

    facets: str = flag(
        "Facet set, knowledge file, or folder written by `dygenept precompute`.",
        default="go_minilm",
        metavar="X|DIR|FILE",
    )
    kg: options.KgOption = None
    set_: list[str] | None = flag(
        "Set an option of a graph or of the imputation, such as imputation.num_rounds=2.",
        metavar="KEY=VALUE",
    )
    neighbours: int = flag("Most neighbours shown.", default=10, min=0)


@app.command()
@with_flags
def show(
    gene: Annotated[
        str, typer.Argument(metavar="GENE", help="A symbol, an alias or an Ensembl gene id.")
    ],
    wanted: KnowledgeFlags,
    where: DataFlags,
    output: options.OutputFlags,
) -> None:
    """Show a gene's facets (text, source, confidence) and its neighbours in the graphs."""
    from dygenept.knowledge.gene_view import view_gene
    from dygenept_cli.flags.models import graph_choice

    environment = where.environment()
    choice = graph_choice(wanted.kg, wanted.set_)
    with output.progress() as report:
        view = view_gene(
            gene,
            wanted.facets,
            environment=environment,
            kg=choice,
            runtime=environment.runtime(report),
            n_neighbours=wanted.neighbours,
        )
    if output.as_json:
        console.print_json(_document(view))
    else:
        show_gene(view)


def _document(view: GeneView) -> dict[str, object]:
    return {
        "gene": view.asked,
        "symbol": view.symbol,
        "description": view.description,
        "knowledge": view.knowledge,
        "kg": list(view.kg),
        "facets": [
            {
                **asdict(facet),
                "confidence": round(facet.confidence, DECIMALS),
                "informed_by": [_edge(item) for item in facet.informed_by],
            }
            for facet in view.facets
        ],
        "neighbours": [_edge(item) for item in view.neighbours],
    }


def _edge(neighbour: Neighbour) -> dict[str, object]:
    # Weights are kept in single precision, whose last digits say nothing.
    weight = round(neighbour.weight, DECIMALS)
    return {"gene": neighbour.gene, "weight": weight, "source": neighbour.source}


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
