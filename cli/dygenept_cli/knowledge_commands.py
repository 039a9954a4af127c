"""``dygenept knowledge``: what is known of a gene, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    from dygenept.knowledge.gene_view import FacetView, GeneView
    from dygenept.knowledge.graph.combined import Neighbour

app = typer.Typer(help="Look into gene knowledge.", no_args_is_help=True, rich_markup_mode=None)

SHOWN_PARTNERS = 5
DECIMALS = 6


@app.callback()
def knowledge() -> None:
    """Look into gene knowledge."""


@app.command()
def show(
    gene: Annotated[
        str, typer.Argument(metavar="GENE", help="A symbol, an alias or an Ensembl gene id.")
    ],
    facets: Annotated[
        str,
        typer.Option(
            "--facets",
            metavar="X|DIR|FILE",
            help="A facet set, a knowledge file, or the folder of `dygenept precompute`.",
        ),
    ] = "go_minilm",
    kg: options.KgOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Such as imputation.num_rounds=2."),
    ] = None,
    neighbours: Annotated[
        int, typer.Option("--neighbours", min=0, help="Most neighbours shown.")
    ] = 10,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    quiet: options.QuietOption = False,
    as_json: options.JsonOption = False,
) -> None:
    """Show a gene's facets: text, source and confidence; and its neighbours, and why."""
    from dygenept.knowledge.gene_view import view_gene
    from dygenept.machine.progress import shown_progress
    from dygenept_cli import context

    environment = context.load_environment(registry, plugin, data_dir=data_dir)
    choice = context.graph_choice(kg, set_)
    with shown_progress(quiet=quiet) as report:
        view = view_gene(
            gene,
            facets,
            environment=environment,
            kg=choice,
            runtime=environment.runtime(report),
            n_neighbours=neighbours,
        )
    if as_json:
        context.print_json(_document(view))
    else:
        _print(view)


def _document(view: GeneView) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "schema_version": 1,
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


def _print(view: GeneView) -> None:
    from rich.markup import escape
    from rich.table import Table

    from dygenept_cli import context

    console = context.stdout()
    name = view.symbol or view.asked
    known_as = f" (asked for as {view.asked})" if name != view.asked else ""
    title = f"{name}{known_as}: {view.description or 'not in the gene tables'} · {view.knowledge}"
    table = Table(title=escape(title), title_justify="left", show_lines=True)
    for column in ("facet", "source", "confidence", "text"):
        table.add_column(column, justify="right" if column == "confidence" else "left")
    for facet in view.facets:
        text = facet.text or ("–" if facet.origin == "unknown" else "(no text)")
        confidence = f"{facet.confidence:.2f}"
        table.add_row(facet.name, escape(_origin(facet)), confidence, escape(text))
    console.print(table)
    if view.neighbours:
        partners = Table(title=f"strongest neighbours in {', '.join(view.kg)}")
        partners.title_justify = "left"
        for column in ("gene", "weight", "because of"):
            partners.add_column(column, justify="right" if column == "weight" else "left")
        for neighbour in view.neighbours:
            partners.add_row(neighbour.gene, f"{neighbour.weight:.2f}", neighbour.source)
        console.print(partners)
    elif view.kg:
        context.note(f"{name} has no neighbour in {', '.join(view.kg)}")


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
