"""The shipped gene tables: symbols, aliases, Ensembl ids, and GO annotation sorted into facets.

Derived from NCBI Gene and the Gene Ontology by ``scripts/build_gene_tables.py``; versions and
licences are in ``dygenept/resources/genes/README.md``.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from dygenept.errors import DataError
from dygenept.machine.reading import reading
from dygenept.types import FACETS

if TYPE_CHECKING:
    import polars as pl

Evidence = Literal["all", "reviewed", "experimental"]
# Strength of the best evidence behind an annotation, as the table builder codes it.
EVIDENCE_RANKS: Mapping[Evidence, int] = {"experimental": 2, "reviewed": 1, "all": 0}
GO_ID = re.compile(r"GO:\d{7}")
# The facets in each mask of eight bits.
_BITS = tuple(tuple(bit for bit in range(8) if mask >> bit & 1) for mask in range(256))
TABLES: tuple[str, ...] = ("genes", "annotation", "terms")


@dataclass(frozen=True, slots=True)
class GoTerm:
    """A GO term.

    Attributes:
        name: Its name.
        definition: Its definition; empty where the table has none (terms that annotate no gene).
        aspect: ``BP``, ``MF`` or ``CC``.
    """

    name: str
    definition: str
    aspect: str


class GeneTables:
    """Human genes and their GO annotation.

    Attributes:
        symbols: All current gene symbols, sorted.
        protein_coding: Those of protein-coding genes, sorted.
        sha256: Hash of the files the tables were read from.
    """

    def __init__(self, frames: Mapping[str, pl.DataFrame], *, sha256: str) -> None:
        genes, annotation, terms = (frames[table] for table in TABLES)
        self.symbols: tuple[str, ...] = tuple(genes["symbol"].to_list())
        self.protein_coding = tuple(
            symbol
            for symbol, kind in zip(self.symbols, genes["gene_type"].to_list(), strict=True)
            if kind == "protein-coding"
        )
        self.sha256 = sha256
        self._names: list[str] = genes["name"].to_list()
        self._ensembl: list[list[str]] = genes["ensembl_ids"].to_list()
        self._aliases: list[list[str]] = genes["aliases"].to_list()
        self._gene_index = {symbol: index for index, symbol in enumerate(self.symbols)}
        # CSR: a gene's terms lie at starts[i]:starts[i + 1], the most specific first.
        counts = np.bincount(annotation["gene"].to_numpy(), minlength=genes.height)
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._annotated = annotation["term"].to_numpy().astype(np.int32)
        self._ranks = annotation["evidence"].to_numpy().astype(np.uint8)
        self._go_ids: list[str] = terms["go_id"].to_list()
        self._term_names: list[str] = terms["name"].to_list()
        self._definitions: list[str] = terms["definition"].to_list()
        self._aspects: list[str] = terms["aspect"].cast(str).to_list()
        self._parents: list[list[int]] = terms["parents"].to_list()
        self._facets: npt.NDArray[np.uint8] = terms["facets"].to_numpy()
        self._planted: npt.NDArray[np.uint8] = terms["planted_facets"].to_numpy()
        self._n_genes: npt.NDArray[np.int32] = terms["n_genes"].to_numpy()
        self._term_index = {go_id: index for index, go_id in enumerate(self._go_ids)}
        self._ancestors: dict[str, frozenset[str]] = {}

    @functools.cached_property
    def _other_names(self) -> dict[str, str | None]:
        names: dict[str, str | None] = {}
        for symbol, aliases, ensembl in zip(
            self.symbols, self._aliases, self._ensembl, strict=True
        ):
            for name in (*aliases, *ensembl):
                names[name] = None if names.get(name, symbol) != symbol else symbol
        return names

    def resolve(self, name: str) -> str | None:
        """Return the current symbol of a gene.

        Args:
            name: A symbol, an alias, an outdated symbol, or an Ensembl gene id with or without
                version. A current symbol always wins over an alias.

        Returns:
            The current symbol; None if nothing, or more than one gene, is known by this name.
        """
        if name in self._gene_index:
            return name
        if name.startswith("ENSG"):
            name = name.partition(".")[0]
        return self._other_names.get(name)

    def resolve_any_case(self, name: str) -> str | None:
        """Return the current symbol of a gene, also where upper and lower case are mixed up."""
        return self.resolve(name) or self._by_lower.get(name.lower()) or self.resolve(name.upper())

    def is_ambiguous(self, name: str) -> bool:
        """True of an outdated symbol or alias of several genes."""
        return name in self._other_names and self.resolve(name) is None

    @functools.cached_property
    def _by_lower(self) -> dict[str, str]:
        return {symbol.lower(): symbol for symbol in self.symbols}

    def name(self, symbol: str) -> str:
        """Return the full name of a gene, such as ``KLF transcription factor 1``."""
        return self._names[self._position(symbol)]

    def ensembl(self, symbol: str) -> tuple[str, ...]:
        """Return the Ensembl gene ids of a gene, without version; some have none."""
        return tuple(self._ensembl[self._position(symbol)])

    def facet_terms(
        self, symbol: str, *, evidence: Evidence = "all"
    ) -> tuple[tuple[str, ...], ...]:
        """Return the GO terms a gene is annotated with, facet by facet.

        Args:
            symbol: Current gene symbol.
            evidence: ``reviewed`` leaves out annotations made without a curator (IEA);
                ``experimental`` keeps those only from experiments.

        Returns:
            GO ids for each of the 8 facets, most specific (fewest annotated genes) first. A term
            may stand in several facets.
        """
        return self._by_facet(self._terms_of(symbol, evidence), self._facets)

    def planted_facet_terms(self, symbol: str) -> tuple[tuple[str, ...], ...]:
        """Return what ``facet_terms`` does by the facets' first roots.

        Simulated data sets are planted by them, whatever becomes of the roots.
        """
        return self._by_facet(self._terms_of(symbol, "all"), self._planted)

    def _by_facet(
        self, terms: npt.NDArray[np.int32], masks: npt.NDArray[np.uint8]
    ) -> tuple[tuple[str, ...], ...]:
        found: tuple[list[str], ...] = tuple([] for _ in FACETS)
        for term, mask in zip(terms.tolist(), masks[terms].tolist(), strict=True):
            for bit in _BITS[mask]:
                found[bit].append(self._go_ids[term])
        return tuple(map(tuple, found))

    def evidence_of(self, symbol: str) -> Mapping[str, int]:
        """Return the strongest evidence behind each GO term of a gene, as ``EVIDENCE_RANKS``."""
        position = self._position(symbol)
        part = slice(*self._starts[position : position + 2])
        terms, ranks = self._annotated[part].tolist(), self._ranks[part].tolist()
        return {self._go_ids[term]: rank for term, rank in zip(terms, ranks, strict=True)}

    def information_content(self, go_id: str) -> float:
        """Return -log of the share of genes that a term annotates: 1 for one gene, 0 for all."""
        n_genes = len(self.symbols)
        share = max(self.n_genes_of_term(go_id), 1) / n_genes
        return float(-np.log(share) / np.log(n_genes))

    def terms_of(self, symbol: str, *, evidence: Evidence = "all") -> tuple[str, ...]:
        """Return all GO terms a gene is annotated with, most specific first."""
        return tuple(self._go_ids[index] for index in self._terms_of(symbol, evidence))

    def facets_of_term(self, go_id: str) -> tuple[int, ...]:
        """Return the positions in ``FACETS`` that a GO term belongs to."""
        mask = int(self._facets[self._term_position(go_id)])
        return tuple(bit for bit in range(len(FACETS)) if mask >> bit & 1)

    def term(self, go_id: str) -> GoTerm:
        """Return a GO term."""
        index = self._term_position(go_id)
        return GoTerm(self._term_names[index], self._definitions[index], self._aspects[index])

    def term_name(self, go_id: str) -> str:
        """Return the name of a GO term."""
        return self._term_names[self._term_position(go_id)]

    def find_term(self, text: str) -> str | None:
        """Return the GO id that a text contains or whose term it names; None where it does neither.

        Args:
            text: Such as ``GO:0006355``, ``GO:0006355 regulation of …``, or a term's name in any
                case.
        """
        found = GO_ID.search(text)
        if found is not None:
            return found.group() if found.group() in self._term_index else None
        return self._terms_by_name.get(text.strip().lower())

    @functools.cached_property
    def _terms_by_name(self) -> dict[str, str]:
        return {
            name.lower(): go_id for name, go_id in zip(self._term_names, self._go_ids, strict=True)
        }

    def ancestors(self, go_id: str) -> frozenset[str]:
        """Return all terms above a GO term along ``is_a`` and ``part_of``, itself left out."""
        if (known := self._ancestors.get(go_id)) is not None:
            return known
        found: set[int] = set()
        stack = [self._term_position(go_id)]
        while stack:
            parents = self._parents[stack.pop()]
            stack.extend(parent for parent in parents if parent not in found)
            found.update(parents)
        self._ancestors[go_id] = frozenset(self._go_ids[index] for index in found)
        return self._ancestors[go_id]

    def n_genes_of_term(self, go_id: str) -> int:
        """Return how many genes are annotated with a term or with one of its descendants."""
        return int(self._n_genes[self._term_position(go_id)])

    def _terms_of(self, symbol: str, evidence: Evidence) -> npt.NDArray[np.int32]:
        position = self._position(symbol)
        part = slice(*self._starts[position : position + 2])
        is_kept = self._ranks[part] >= EVIDENCE_RANKS[evidence]
        return self._annotated[part][is_kept]

    def _position(self, symbol: str) -> int:
        position = self._gene_index.get(symbol)
        if position is None:
            current = self.resolve(symbol)
            hint = f"its current symbol is {current!r}" if current else "resolve() it first"
            raise DataError(f"{symbol!r} is not a current gene symbol; {hint}")
        return position

    def _term_position(self, go_id: str) -> int:
        position = self._term_index.get(go_id)
        if position is None:
            raise DataError(
                f"no GO term {go_id!r} in the gene tables; terms that neither annotate a human "
                "gene nor lie above one that does are left out"
            )
        return position


@functools.lru_cache(maxsize=1)
def load_gene_tables() -> GeneTables:
    """Read the shipped tables once per process (about half a second).

    Raises:
        DataError: If a file is missing or damaged.
    """
    import polars as pl

    digest = hashlib.sha256()
    frames: dict[str, pl.DataFrame] = {}
    folder = importlib.resources.files("dygenept") / "resources" / "genes"
    for table in TABLES:
        path = folder / f"{table}.parquet"
        mend = "reinstall dygenept, or in a checkout run scripts/build_gene_tables.py"
        with reading(Path(str(path)), "a gene table", mend=mend):
            content = path.read_bytes()
            frames[table] = pl.read_parquet(content)
        digest.update(content)
    return GeneTables(frames, sha256=digest.hexdigest())
