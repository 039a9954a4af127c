"""Facet texts: written by a plugin, checked, and kept on disk with one gene per line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dygenept.errors import DataError, PluginError
from dygenept.knowledge.graph.combined import Neighbour
from dygenept.machine.whole_files import read_lines, write_lines
from dygenept.plugin.faults import plugin_code
from dygenept.plugin.interfaces import CorpusEntry, FacetWriter, GeneFacets, ReadsCorpus
from dygenept.types import FACETS, Runtime


@dataclass(frozen=True, slots=True)
class FacetTexts:
    """The facet texts of some genes.

    Attributes:
        genes: One entry per gene.
        regenerated: Partners behind each regenerated facet, by gene and position in ``FACETS``.
    """

    genes: tuple[GeneFacets, ...]
    regenerated: Mapping[tuple[str, int], tuple[Neighbour, ...]] = field(default_factory=dict)

    @property
    def n_known(self) -> int:
        """Number of facets with a text."""
        return sum(text is not None for gene in self.genes for text in gene.texts)


def written_facets(
    writer: FacetWriter,
    genes: Sequence[str],
    runtime: Runtime,
    *,
    name: str,
    corpus: Sequence[CorpusEntry] | None = None,
) -> tuple[GeneFacets, ...]:
    """Have a writer write the facets of genes, and check what it returns.

    Each gene is named once; ``corpus`` has their entries, for a writer that reads a corpus.

    Raises:
        PluginError: If the writer returns what it must not.
    """
    with plugin_code(f"facet writer {writer.identity}"):
        if corpus is not None and isinstance(writer, ReadsCorpus):
            written = writer.write_from(corpus, runtime)
        else:
            written = writer.write(genes, runtime)
    _check_written(written, genes, name)
    return written


def write_facets(facets: FacetTexts, path: Path) -> None:
    """Write facet texts as JSON lines.

    ``gene``, ``facets`` by name, ``regenerated`` by name, and ``confidence`` in the facets' order
    where the writer gives one.
    """
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
            confidence = _read_confidence(document.get("confidence"))
            partners = document.get("regenerated", {})
            for name, items in partners.items():  # type: ignore[attr-defined]
                regenerated[gene, FACETS.index(name)] = tuple(Neighbour(**item) for item in items)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{path}, line {number} is damaged ({error}); write it again"
            ) from error
        texts = tuple(None if text is None else str(text) for text in facets.values())
        genes.append(GeneFacets(gene, texts, confidence))
    return FacetTexts(tuple(genes), regenerated)


def _read_confidence(given: object) -> tuple[float, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != len(FACETS):
        raise ValueError(f"confidence is not a list of {len(FACETS)} numbers")
    found = tuple(float(value) for value in given)
    if not all(0 < value <= 1 for value in found):
        raise ValueError("a confidence is not in (0, 1]")
    return found


def _document(
    item: GeneFacets, regenerated: Mapping[tuple[str, int], tuple[Neighbour, ...]]
) -> dict[str, object]:
    document: dict[str, object] = {
        "gene": item.gene,
        "facets": dict(zip(FACETS, item.texts, strict=True)),
    }
    if item.confidence is not None:
        document["confidence"] = list(item.confidence)
    partners = {
        facet: [asdict(neighbor) for neighbor in regenerated[item.gene, position]]
        for position, facet in enumerate(FACETS)
        if (item.gene, position) in regenerated
    }
    if partners:
        document["regenerated"] = partners
    return document


def _check_written(written: Sequence[GeneFacets], asked: Sequence[str], name: str) -> None:
    """Refuse facets of other genes than those asked for, and empty texts."""
    if tuple(item.gene for item in written) != tuple(asked):
        raise PluginError(
            f"facet set {name!r}: the writer must return one entry per gene, in order"
        )
    if any(len(item.texts) != len(FACETS) for item in written):
        raise PluginError(
            f"facet set {name!r}: the writer must return {len(FACETS)} texts per gene"
        )
    for item in written:
        if any(text is not None and not (isinstance(text, str) and text) for text in item.texts):
            raise PluginError(
                f"facet set {name!r}: a facet of {item.gene} must be a text or None, never empty"
            )
        given = item.confidence
        if given is not None and not (
            len(given) == len(FACETS) and all(0 < value <= 1 for value in given)
        ):
            raise PluginError(
                f"facet set {name!r}: confidence of {item.gene} must be {len(FACETS)} numbers in "
                "(0, 1], or None"
            )
