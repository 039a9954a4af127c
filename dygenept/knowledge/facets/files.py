"""Facet texts on disk: one gene a line, with the partners behind a regenerated facet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dygenept.errors import DataError
from dygenept.knowledge.graph.merged import Neighbour
from dygenept.machine.json_lines import read_lines, write_lines
from dygenept.plugin.interfaces import GeneFacets
from dygenept.types import FACETS


@dataclass(frozen=True, slots=True)
class FacetTexts:
    """The facet texts of some genes.

    Attributes:
        genes: One entry a gene.
        regenerated: Partners behind each regenerated facet, by gene and position in ``FACETS``.
    """

    genes: tuple[GeneFacets, ...]
    regenerated: Mapping[tuple[str, int], tuple[Neighbour, ...]] = field(default_factory=dict)

    @property
    def n_known(self) -> int:
        """Number of facets with a text."""
        return sum(text is not None for gene in self.genes for text in gene.texts)


def write_facets(facets: FacetTexts, path: Path) -> None:
    """Write facet texts as JSON lines: ``gene``, ``facets`` by name, ``regenerated`` by name."""
    write_lines(path, (_document(item, facets.regenerated) for item in facets.genes))


def read_facets(path: Path) -> FacetTexts:
    """Read a file of ``write_facets``.

    Raises:
        DataUnavailableError: If there is no such file.
        DataError: If it is damaged or names other facets.
    """
    genes: list[GeneFacets] = []
    regenerated: dict[tuple[str, int], tuple[Neighbour, ...]] = {}
    for number, document in enumerate(read_lines(path), start=1):
        try:
            gene, facets = str(document["gene"]), document["facets"]
            if not isinstance(facets, dict) or tuple(facets) != FACETS:
                raise ValueError(f"its facets are not {', '.join(FACETS)}")
            partners = document.get("regenerated", {})
            for name, items in partners.items():  # type: ignore[attr-defined]
                regenerated[gene, FACETS.index(name)] = tuple(Neighbour(**item) for item in items)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"{path}, line {number} is damaged ({error}); write it anew") from error
        texts = tuple(None if text is None else str(text) for text in facets.values())
        genes.append(GeneFacets(gene, texts))
    return FacetTexts(tuple(genes), regenerated)


def _document(
    item: GeneFacets, regenerated: Mapping[tuple[str, int], tuple[Neighbour, ...]]
) -> dict[str, object]:
    document: dict[str, object] = {
        "gene": item.gene,
        "facets": dict(zip(FACETS, item.texts, strict=True)),
    }
    partners = {
        facet: [asdict(neighbor) for neighbor in regenerated[item.gene, position]]
        for position, facet in enumerate(FACETS)
        if (item.gene, position) in regenerated
    }
    if partners:
        document["regenerated"] = partners
    return document
