"""Labels that differ but name one set of target genes: other spellings, guides, separators."""

from __future__ import annotations

from collections.abc import Mapping

from dygenept.data.reading.label_kinds import (
    combination_of,
    guide_of,
    guides_of,
    is_control,
    looks_like_control,
    separator_of,
)
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.types import PerturbationData


def twin_labels(data: PerturbationData) -> Mapping[str, str]:
    """Return the set of target genes of each label that shares it with another one.

    Reading a file gives the spellings of a gene one label already; guides and separators it only
    names, and data sets that plugins make may contain anything.

    Returns:
        Genes joined by ``+``, by label; labels that are alone are left out.
    """
    names = GeneNames(data.gene_symbols, data.gene_ids)
    perturbations = data.perturbations
    single = names.unified(data.target_genes)
    genes_of = {gene: _genes(gene, single[gene], names) for gene in data.target_genes}
    whole = names.unified(dict.fromkeys(part for of in genes_of.values() for part in of))
    sets = {
        item.label: "+".join(
            sorted({whole[part] for gene in item.genes for part in genes_of[gene]})
        )
        for item in perturbations
    }
    n_labels: dict[str, int] = {}
    for genes in sets.values():
        n_labels[genes] = n_labels.get(genes, 0) + 1
    return {label: genes for label, genes in sets.items() if n_labels[genes] > 1}


def _genes(name: str, spelling: str, names: GeneNames) -> tuple[str, ...]:
    """Return the genes behind a name: itself, that of a guide, or those of a combination."""
    if names.has(spelling) or names.spelling(spelling) is not None:
        return (spelling,)
    if (guide := guide_of(name, names)) is not None:
        return (guide.gene,)
    if (separator := separator_of(name, names)) is not None:
        parts = combination_of(name, separator, names)
        kept = [p for p in parts if not (is_control(p) or looks_like_control(p, names))]
        return tuple(names.spelling(part) or part for part in kept)
    if (guides := guides_of(name, names)) is not None:
        return guides.genes
    return (name,)
