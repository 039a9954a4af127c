"""Which gene belongs to which planted program: one program a GO term, read from the gene tables.

A program stands for one GO term in one facet. A gene's program in a facet is its most specific
annotated term among the chosen ones, so every gene of a program names that term in its facet
text, and held-out genes can be predicted from text.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dygenept.types import FACETS, BoolArray, IntArray

if TYPE_CHECKING:
    from dygenept.knowledge.genes.tables import GeneTables

# A broader term says little about a gene; a narrower one is shared by too few genes.
MIN_TERM_GENES = 20
MAX_TERM_GENES = 2_000
MIN_PROGRAMS_PER_FACET = 2
MAX_PROGRAMS_PER_FACET = 12


@dataclass(frozen=True, slots=True)
class GenePrograms:
    """The genes that may be perturbed, and the programs that they belong to.

    Attributes:
        genes: Protein-coding gene symbols with an Ensembl id, sorted, (n,).
        is_known: True where the gene has GO terms in the facet, (n, K).
        program: Program of the gene in the facet, -1 where it has none, (n, K).
        terms: GO id of each program, (n_programs,).
        term_facets: Facet of each program, (n_programs,).
    """

    genes: tuple[str, ...]
    is_known: BoolArray
    program: IntArray
    terms: tuple[str, ...]
    term_facets: IntArray


def programs_per_facet(n_targets: int) -> int:
    """Return how many programs a facet has, so that about four targets share each one."""
    wanted = round(n_targets / (4 * len(FACETS)))
    return min(MAX_PROGRAMS_PER_FACET, max(MIN_PROGRAMS_PER_FACET, wanted))


@functools.lru_cache(maxsize=4)
def assign_programs(tables: GeneTables, *, n_per_facet: int) -> GenePrograms:
    """Choose the terms of each facet's programs and sort the genes into them.

    The terms of a facet are chosen greedily, each the one that is annotated to the most genes
    which no chosen term covers yet, among terms of 20 to 2,000 genes. No random draw is made, and
    the answer is kept, since reading the facets of all genes takes a second or two.
    """
    genes = tuple(sorted(gene for gene in tables.protein_coding if tables.ensembl(gene)))
    annotated = [tables.planted_facet_terms(gene) for gene in genes]
    is_known = np.array([[bool(terms) for terms in facets] for facets in annotated])
    program = np.full((len(genes), len(FACETS)), -1, dtype=np.int32)
    chosen: list[str] = []
    chosen_facets: list[int] = []
    for facet in range(len(FACETS)):
        members: dict[str, set[int]] = {}
        for position, facets in enumerate(annotated):
            for term in facets[facet]:
                members.setdefault(term, set()).add(position)
        terms = _cover(
            {
                term: positions
                for term, positions in members.items()
                if len(positions) >= MIN_TERM_GENES
                and tables.n_genes_of_term(term) <= MAX_TERM_GENES
            },
            n_terms=n_per_facet,
        )
        first = len(chosen)
        number = {term: first + offset for offset, term in enumerate(terms)}
        for position, facets in enumerate(annotated):
            # Terms come most specific first, so the first hit is the most specific program.
            program[position, facet] = next(
                (number[term] for term in facets[facet] if term in number), -1
            )
        chosen.extend(terms)
        chosen_facets.extend([facet] * len(terms))
    is_known.setflags(write=False)
    program.setflags(write=False)
    return GenePrograms(
        genes=genes,
        is_known=is_known,
        program=program,
        terms=tuple(chosen),
        term_facets=np.array(chosen_facets, dtype=np.int32),
    )


def _cover(members: Mapping[str, set[int]], *, n_terms: int) -> list[str]:
    """Pick terms one after another, each adding the most genes; ties go to the smaller GO id."""
    left = {term: set(members[term]) for term in sorted(members)}
    picked: list[str] = []
    while left and len(picked) < n_terms:
        best = max(left, key=lambda term: len(left[term]))
        covered = left.pop(best)
        picked.append(best)
        for genes in left.values():
            genes -= covered
    return picked
