"""Which names are one gene: those of a file's ``var``, and those that the gene tables know."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from dygenept.knowledge.genes.tables import load_gene_tables

ENSEMBL_ID = re.compile(r"ENS[A-Z]*G\d{6,}(\.\d+)?")


class GeneNames:
    """Names of genes as one file spells them, with the shipped tables behind them.

    A name that ``var`` has is that gene, whatever the tables say: a screen of another species, or
    with symbols of its own, needs no table. The tables are read only for other names.
    """

    def __init__(self, symbols: Sequence[str], ids: Sequence[str] = ()) -> None:
        """Index the names of a file.

        Args:
            symbols: Gene symbols of ``var``; repeated ones are told apart by their ids.
            ids: Index of ``var``, one per symbol, or nothing.
        """
        n_times = Counter(symbols)
        self._symbols = frozenset(symbols)
        self._by_id = {
            gene_id: symbol if n_times[symbol] == 1 else gene_id
            for gene_id, symbol in zip(ids, symbols, strict=False)
        }
        for gene_id, symbol in tuple(self._by_id.items()):
            if ENSEMBL_ID.fullmatch(gene_id):
                self._by_id.setdefault(gene_id.partition(".")[0], symbol)
        self._by_lower: dict[str, str | None] = {}
        for symbol in self._symbols:
            lower = symbol.lower()
            self._by_lower[lower] = None if lower in self._by_lower else symbol

    def has(self, name: str) -> bool:
        """True if ``var`` has this very symbol or id."""
        return name in self._symbols or name in self._by_id

    def is_own(self, name: str) -> bool:
        """True of a symbol in any case, as ``var`` or, beside human ones, the tables have it."""
        found = self.spelling(name)
        if found is None or found.lower() != name.lower():
            return self.has(name)
        return found in self._symbols or self.are_upper_case

    @functools.cached_property
    def are_upper_case(self) -> bool:
        """True if most symbols of ``var`` are in upper case, as human ones are."""
        return 2 * sum(symbol.isupper() for symbol in self._symbols) >= len(self._symbols)

    def spelling(self, name: str) -> str | None:
        """Return the gene that a name stands for.

        Args:
            name: A symbol in any case, an alias, or an Ensembl id with or without version.

        Returns:
            The symbol in ``var``, else the current symbol; None where nobody knows the name.
        """
        if name in self._symbols:
            return name
        here = self._by_id.get(name)
        if here is None and ENSEMBL_ID.fullmatch(name):
            here = self._by_id.get(name.partition(".")[0])
        return here or self._by_lower.get(name.lower()) or load_gene_tables().resolve_any_case(name)

    def unified(self, names: Iterable[str]) -> dict[str, str]:
        """Return one spelling for the names that are one gene.

        A name that ``var`` has in another spelling (case, Ensembl id) takes that spelling. Of
        several names of one gene, that of ``var`` stays, else the current symbol; two names that
        ``var`` has as two genes stay two. Everything else stays as it is.
        """
        asked = tuple(dict.fromkeys(names))
        elsewhere = [name for name in asked if name not in self._symbols]
        keys = self._keys(asked, elsewhere)
        members: dict[str, list[str]] = {}
        for name in asked:
            members.setdefault(keys[name], []).append(name)
        return {name: self._chosen(key, of) for key, of in members.items() for name in of}

    def among(self, targets: Sequence[str], names: Iterable[str]) -> dict[str, str]:
        """Return each name as the targets of a data set spell it, where one of them is that gene.

        A name of another gene takes the spelling of ``var``, or stays as it is.
        """
        asked = tuple(names)
        unified = self.unified((*targets, *asked))
        here = {unified[target]: target for target in reversed(targets)}
        return {name: here.get(unified[name], unified[name]) for name in asked}

    def _keys(self, asked: Sequence[str], elsewhere: Sequence[str]) -> Mapping[str, str]:
        keys = {name: name for name in asked}
        if not elsewhere:
            return keys
        # An outdated symbol that var has and the current one that it lacks are one gene.
        here: dict[str, str] = {}
        for name in asked:
            if name in self._symbols:
                here.setdefault(load_gene_tables().resolve_any_case(name) or name, name)
        for name in elsewhere:
            found = self.spelling(name) or name
            keys[name] = found if found in self._symbols else here.get(found, found)
        return keys

    def _chosen(self, key: str, of: Sequence[str]) -> str:
        is_here = key in self._symbols or key in self._by_id.values()
        return key if is_here or len(of) > 1 else of[0]
