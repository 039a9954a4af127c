"""The Gene Ontology's own file: terms, their spaces, other ids and what lies above them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dygenept.knowledge.graph.files import FileHead

INHERITED = "part_of"


@dataclass(frozen=True, slots=True)
class Ontology:
    """Terms that are in use.

    Attributes:
        current: Id of the term that an id stands for: itself, or the one it was merged into.
        parents: Terms right above a term, along ``is_a`` and ``part_of``.
    """

    current: Mapping[str, str]
    parents: Mapping[str, tuple[str, ...]]
    _above: dict[str, frozenset[str]] = field(default_factory=dict)

    def ancestors(self, term: str) -> frozenset[str]:
        """Return all terms above a term, itself left out."""
        if (known := self._above.get(term)) is not None:
            return known
        found: set[str] = set()
        stack = [term]
        while stack:
            above = [parent for parent in self.parents.get(stack.pop(), ()) if parent not in found]
            found.update(above)
            stack.extend(above)
        self._above[term] = frozenset(found)
        return self._above[term]


def is_obo(head: FileHead) -> bool:
    """True for an OBO file."""
    return head.first.startswith("format-version:")


def read_obo(path: Path) -> Ontology:
    """Read the terms of an OBO file; obsolete ones are left out."""
    from dygenept.knowledge.graph.files import read_bytes

    current: dict[str, str] = {}
    parents: dict[str, tuple[str, ...]] = {}
    for stanza in read_bytes(path).decode("utf-8", errors="replace").split("\n\n"):
        lines = stanza.strip().splitlines()
        if not lines or lines[0].strip() != "[Term]":
            continue
        tags = [line.partition(": ")[::2] for line in lines[1:]]
        if ("is_obsolete", "true") in tags:
            continue
        ids = [_first_word(value) for tag, value in tags if tag == "id"]
        others = [_first_word(value) for tag, value in tags if tag == "alt_id"]
        for term in ids[:1]:
            current.update(dict.fromkeys([term, *others], term))
            parents[term] = tuple(
                [_first_word(value) for tag, value in tags if tag == "is_a"]
                + [
                    _first_word(value.partition(" ")[2])
                    for tag, value in tags
                    if tag == "relationship" and value.startswith(f"{INHERITED} ")
                ]
            )
    return Ontology(current, parents)


def _first_word(text: str) -> str:
    return text.split(maxsplit=1)[0] if text.strip() else ""
