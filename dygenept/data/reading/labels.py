"""Condition labels: which perturbation, or control, a raw label names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dygenept.errors import DataError
from dygenept.types import CONTROL_LABEL, Perturbation

CONTROL_SPELLINGS = (CONTROL_LABEL, "control", "non-targeting", "NT")
_LOWER_SPELLINGS = frozenset(spelling.lower() for spelling in CONTROL_SPELLINGS)
# CTRL is the symbol of a human gene (chymotrypsin like), so upper case by itself says nothing.
_CONTROL_GENE = "CTRL"


@dataclass(frozen=True, slots=True)
class ParsedLabels:
    """What the raw labels of a data set name.

    Attributes:
        perturbations: The perturbation of each raw label in order of first appearance; None for
            control.
        notes: Spellings that were accepted, one sentence each.
    """

    perturbations: Mapping[str, Perturbation | None]
    notes: tuple[str, ...]


def parse_labels(raw: Sequence[str]) -> ParsedLabels:
    """Read raw condition labels as perturbations.

    Accepted are ``A+ctrl``, ``ctrl+A``, ``A``, ``A+B`` with any number of genes, and for control
    ``ctrl``, ``control``, ``non-targeting`` and ``NT``, in any case and also in place of ``ctrl``
    inside a label. ``CTRL`` is a gene's symbol and counts as control only where no other label
    is a control.

    Args:
        raw: Raw labels; repeated ones count once.

    Returns:
        The perturbation of each label. Labels of one set of genes share a perturbation, whose
        label is the lexicographically smallest of them, with blanks around names left out.

    Raises:
        DataError: If a label is empty or has an empty part, such as ``A+``.
    """
    labels = tuple(dict.fromkeys(raw))
    parts = {label: _parts(label) for label in labels}
    has_control = any(all(_is_control(part) for part in of) for of in parts.values())
    genes = {
        label: tuple(sorted({part for part in of if not _is_control(part, upper=not has_control)}))
        for label, of in parts.items()
    }
    smallest: dict[tuple[str, ...], str] = {}
    for label, of in genes.items():
        spelt = "+".join(parts[label])
        smallest[of] = min(smallest.get(of, spelt), spelt)
    perturbations = {
        label: Perturbation(smallest[of], of) if of else None for label, of in genes.items()
    }
    return ParsedLabels(perturbations, tuple(_notes(parts, genes)))


def _parts(label: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in label.split("+"))
    if not all(parts):
        what = "an empty condition label" if not label.strip() else f"condition label {label!r}"
        raise DataError(
            f"{what} names no gene; allowed: 'A+ctrl', 'A+B' or 'ctrl'; rename or drop its cells, "
            f"e.g. adata = adata[adata.obs['condition'] != {label!r}]"
        )
    return parts


def _is_control(part: str, *, upper: bool = False) -> bool:
    if part == _CONTROL_GENE:
        return upper
    return part.lower() in _LOWER_SPELLINGS


def _notes(parts: Mapping[str, tuple[str, ...]], genes: Mapping[str, tuple[str, ...]]) -> list[str]:
    notes: list[str] = []
    spellings = sorted(
        {
            part
            for label, of in parts.items()
            for part in of
            if part != CONTROL_LABEL and part not in genes[label]
        }
    )
    if spellings:
        notes.append(f"Read as control: {_listed(spellings)}.")
    bare = [label for label, of in parts.items() if len(of) == 1 and genes[label]]
    if bare:
        notes.append(f"Read as single perturbations without '+ctrl': {_listed(bare)}.")
    twice = [
        label
        for label, of in parts.items()
        if len([part for part in of if part in genes[label]]) > len(genes[label])
    ]
    if twice:
        notes.append(f"Name one gene more than once, which counts once: {_listed(twice)}.")
    padded = [label for label, of in parts.items() if "+".join(of) != label]
    if padded:
        notes.append(f"Blanks around names were left out: {_listed(padded)}.")
    shared: dict[tuple[str, ...], int] = {}
    for of in genes.values():
        shared[of] = shared.get(of, 0) + 1
    pooled = sum(1 for of, n_labels in shared.items() if of and n_labels > 1)
    if pooled:
        notes.append(f"Cells of several raw labels were pooled for {pooled} perturbation(s).")
    return notes


def _listed(labels: Sequence[str], limit: int = 3) -> str:
    shown = ", ".join(repr(label) for label in labels[:limit])
    more = len(labels) - limit
    return f"{shown} and {more} more" if more > 0 else shown
