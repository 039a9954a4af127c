"""What a knowledge set knows of one gene, and why: for people, nothing is embedded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dygenept.errors import ConfigError, DataError, DataUnavailableError
from dygenept.knowledge.building import plan_imputation, recorded_imputation
from dygenept.knowledge.catalog import facet_file, facet_sets, leaves_of
from dygenept.knowledge.facets.origins import NATIVE, UNKNOWN, origin_name
from dygenept.knowledge.facets.texts import read_facets
from dygenept.knowledge.genes.matching import gene_universe, nearest_genes, rows_of
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.knowledge.graph.combined import Neighbour, Neighbours
from dygenept.knowledge.graph.sources import KgChoice
from dygenept.knowledge.store.knowledge_files import read_confidence, read_origins
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import GeneFacets
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.specs import FacetWriterSpec
from dygenept.types import FACETS, Runtime

KNOWLEDGE_NAME = "knowledge.safetensors"


@dataclass(frozen=True, slots=True)
class FacetView:
    """One facet of a gene.

    Attributes:
        name: Name of the facet.
        text: Its text; None where it has none or it was not kept.
        origin: ``native``, ``regenerated``, ``imputed``, ``unknown``, or ``not recorded``.
        round: Round of the imputation; None where it was not imputed.
        confidence: In [0, 1]; 0 where unknown.
        informed_by: Neighbours that it was regenerated or imputed from, strongest first.
    """

    name: str
    text: str | None
    origin: str
    round: int | None
    confidence: float
    informed_by: tuple[Neighbour, ...] = ()


@dataclass(frozen=True, slots=True)
class GeneView:
    """All that a knowledge set knows of one gene.

    Attributes:
        asked: The name that was asked for.
        symbol: Current symbol; None where the shipped tables do not know it.
        description: Full name; empty where unknown.
        knowledge: Name of the facet set, or file.
        kg: Knowledge graphs that neighbours are from.
        facets: The facets, in order.
        neighbours: Strongest neighbours, whether or not they inform a facet.
    """

    asked: str
    symbol: str | None
    description: str
    knowledge: str
    kg: tuple[str, ...]
    facets: tuple[FacetView, ...]
    neighbours: tuple[Neighbour, ...]


def view_gene(
    gene: str,
    name_or_file: str,
    *,
    environment: Environment,
    kg: KgChoice,
    runtime: Runtime,
    n_neighbours: int = 10,
) -> GeneView:
    """Show one gene of a facet set, of a knowledge file or of a folder of ``precompute``.

    Args:
        gene: Symbol, alias or Ensembl id.
        name_or_file: A facet set of the registry, a knowledge file, or a folder.
        environment: Registry of facet sets, and the plugins.
        kg: Knowledge graphs; for a facet set that is written on the spot they also say what
            would be imputed.
        runtime: Progress and cache.
        n_neighbours: Most neighbours shown.

    Raises:
        DataError: If the gene is unknown; the nearest symbols are named.
        ConfigError: If the facet set is a control, which has no texts, or is unknown.
        DataUnavailableError: If a file is not there.
    """
    entries, manager = facet_sets(environment), environment.manager
    folder = Path(name_or_file).expanduser()
    if name_or_file not in entries and folder.is_dir():
        path: Path | None = folder / KNOWLEDGE_NAME
    else:
        path = facet_file(name_or_file, environment=environment, runtime=runtime)
    if path is not None:
        return _of_file(gene, path, kg, manager, runtime, n_neighbours)
    entry = entries[name_or_file]
    leaves = [leaf for _, leaf in leaves_of(name_or_file, entries) if leaf and leaf.writer]
    if entry.transform is not None or not leaves:
        what = "is a control that knows nothing of genes" if entry.transform else "has no texts"
        raise ConfigError(
            f"facet set {name_or_file!r} {what}; show --facets {entry.base or 'go_minilm'} instead"
        )
    # Of sets that stand side by side, the one with texts.
    entry = leaves[0]
    assert entry.writer is not None
    spec = manager.get(FacetWriterSpec, entry.writer)
    writer = spec.factory(manager.configure(spec, entry.writer_options))
    tables = load_gene_tables()
    symbol = tables.resolve(gene)
    if symbol is None:
        raise DataError(f"no gene {gene!r} is known; {nearest_genes(gene, tables.symbols)}")
    view = GeneView(
        asked=gene,
        symbol=symbol,
        description=tables.name(symbol),
        knowledge=name_or_file,
        kg=tuple(kg.sources),
        facets=(),
        neighbours=(),
    )
    if not kg.sources:
        (written,) = writer.write((symbol,), runtime)
        return replace(view, facets=_written(written))
    plan = plan_imputation(writer, (symbol,), kg=kg, manager=manager, runtime=runtime)
    neighbours = Neighbours(plan.graph)
    edges = {item.gene: item for item in neighbours.strongest(symbol)}
    facets = []
    for position, name in enumerate(FACETS):
        code = int(plan.imputed.rounds[0, position])
        rows, _ = plan.imputed.neighbours.of(0, position)
        facets.append(
            FacetView(
                name=name,
                text=plan.texts[0].texts[position],
                origin=origin_name(code),
                round=code if code > NATIVE else None,
                confidence=float(plan.imputed.knowledge.confidence[0, position]),
                informed_by=tuple(edges[plan.graph.genes[row]] for row in rows),
            )
        )
    found = neighbours.strongest(symbol, n=n_neighbours)
    return replace(view, facets=tuple(facets), neighbours=found)


def _of_file(
    gene: str,
    path: Path,
    kg: KgChoice,
    manager: PluginManager,
    runtime: Runtime,
    n_neighbours: int,
) -> GeneView:
    if not path.is_file():
        raise DataUnavailableError(
            f"no knowledge file {path}; make one with: dygenept precompute --output {path.parent}"
        )
    genes, facet_names, confidence = read_confidence(path)
    row = _row_of(gene, genes, path)
    resolve = load_gene_tables().resolve
    symbol = resolve(gene) or resolve(genes[row])
    origins = read_origins(path)
    texts = _texts_beside(path, genes[row], len(facet_names))
    facets = []
    for position, name in enumerate(facet_names):
        certainty = float(confidence[row, position])
        code = UNKNOWN if origins is None else int(origins.codes[row, position])
        origin: str = origin_name(code)
        if origins is None and certainty > 0:
            origin = "not recorded"
        facets.append(
            FacetView(
                name=name,
                text=texts[position],
                origin=origin,
                round=code if origin == "imputed" else None,
                confidence=certainty,
                informed_by=() if origins is None else origins.of(row, position, genes),
            )
        )
    chosen = kg if kg.sources else _recorded_graphs(path, manager, runtime)
    neighbours: tuple[Neighbour, ...] = ()
    if chosen.sources:
        graph = chosen.open(gene_universe(genes), manager, runtime)
        neighbours = Neighbours(graph).strongest(genes[row], n=n_neighbours)
    return GeneView(
        asked=gene,
        symbol=symbol,
        description="" if symbol is None else load_gene_tables().name(symbol),
        knowledge=str(path),
        kg=tuple(chosen.sources),
        facets=tuple(facets),
        neighbours=neighbours,
    )


def _written(written: GeneFacets) -> tuple[FacetView, ...]:
    return tuple(
        FacetView(
            name=name,
            text=text,
            origin="unknown" if text is None else "native",
            round=None,
            confidence=0.0 if text is None else 1.0,
        )
        for name, text in zip(FACETS, written.texts, strict=True)
    )


def _row_of(gene: str, genes: Sequence[str], path: Path) -> int:
    row = int(rows_of([gene], genes)[0])
    if row < 0:
        current = load_gene_tables().resolve(gene)
        known_as = f" ({current})" if current and current != gene else ""
        raise DataError(f"{path} knows nothing of {gene!r}{known_as}; {nearest_genes(gene, genes)}")
    return row


def _texts_beside(path: Path, gene: str, n_facets: int) -> tuple[str | None, ...]:
    """Read a gene's texts from the file that ``precompute`` writes beside the tensor."""
    beside = path.with_suffix(".texts.jsonl")
    if beside.is_file():
        for item in read_facets(beside).genes:
            if item.gene == gene and len(item.texts) == n_facets:
                return item.texts
    return (None,) * n_facets


def _recorded_graphs(path: Path, manager: PluginManager, runtime: Runtime) -> KgChoice:
    """Return the graphs that a file was imputed from, where they are at hand."""
    record = recorded_imputation(path)
    graphs = record.get("kg") if isinstance(record, Mapping) else None
    if not isinstance(graphs, Mapping):
        return KgChoice()
    choice = KgChoice({str(name): dict(options) for name, options in graphs.items()})
    known = set(manager.names("kg_sources"))
    if not set(choice.sources) <= known or choice.missing(manager, runtime):
        return KgChoice()
    return choice
