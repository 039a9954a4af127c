"""Condition labels: which perturbation, or control, a raw label names.

Names of cell types and batches are cleaned alike: spelling splits no group.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dygenept.data.reading.encodings import Column
from dygenept.data.reading.label_kinds import (
    CONTROL_GENE,
    combination_of,
    is_control,
    is_missing,
    is_unassigned,
    looks_like_control,
    looks_like_plasmid,
)
from dygenept.data.reading.unknown_targets import listed, short, unknown_targets
from dygenept.errors import DataError
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.types import CONTROL_LABEL, Perturbation

# The plus of a protospacer's strand, as in KLF1_+_48997_.23-P1P2, joins no genes.
_PLUS = re.compile(r"\+(?!(?<=_\+)_\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRules:
    """How the labels of a file are spelt, as its owner says.

    Attributes:
        controls: Names of control beside those that are always understood.
        separator: Joins the genes of a combination, beside ``+``. A gene that contains it, such
            as ``HLA-A``, stays whole.
        guide_pattern: Regular expression of what is left out of a guide's name to give its gene,
            such as ``_[0-9]+$``; names that are genes stay whole.
        column: Column of ``obs`` with the labels, for messages.
    """

    controls: tuple[str, ...] = ()
    separator: str | None = None
    guide_pattern: str | None = None
    column: str = "condition"

    def __post_init__(self) -> None:
        """Refuse what cannot be a rule."""
        if self.separator is not None and not self.separator:
            raise DataError("the separator of combinations is empty; give one, such as _")
        try:
            re.compile(self.guide_pattern or "")
        except re.error as error:
            raise DataError(
                f"the guide pattern {self.guide_pattern!r} is not a regular expression ({error})"
            ) from error


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


def apply_rules(raw: Iterable[str], names: GeneNames, rules: LabelRules) -> dict[str, str]:
    """Write labels as ``parse_labels`` reads them, by what their owner said of them.

    Controls become ``ctrl``, separators ``+``, and guides their genes; without rules every label
    stays as it is.
    """
    labels = dict.fromkeys(raw)
    if rules == LabelRules(column=rules.column):
        return {label: label for label in labels}
    return {label: _ruled(label, names, rules) for label in labels}


def parse_labels(
    raw: Sequence[str], names: GeneNames | None = None, *, column: str = "condition"
) -> ParsedLabels:
    """Read raw condition labels as perturbations.

    Accepted are ``A+ctrl``, ``ctrl+A``, ``A``, ``A+B`` with any number of genes, and for control
    ``ctrl``, ``control``, ``non-targeting`` and ``NT``, in any case and also in place of ``ctrl``
    inside a label. What is a control by its name (``NT-1``, ``NegCtrl0``, ``AAVS1``) is read as
    control too, and said so. ``CTRL`` is a gene's symbol and counts as control only where no other
    label is a control. A plasmid beside a gene is left out.

    Args:
        raw: Raw labels; repeated ones count once.
        names: Gene names of the file. With them, several spellings of a gene (case, Ensembl id,
            outdated symbol) are one, and targets that nobody knows are named. None takes names as
            they are written.
        column: Column of ``obs`` with the labels, for messages.

    Returns:
        The perturbation of each label. Labels of one set of genes share a perturbation, whose
        label is the lexicographically smallest of them, with blanks around names left out.

    Raises:
        DataError: If a label is empty, is or contains a missing value written as text or cells
            without a perturbation (``unassigned``), or has an empty part, such as ``A+``; or if
            most targets are genes that neither ``var`` nor the gene tables know.
    """
    labels = tuple(dict.fromkeys(raw))
    parts = {label: _parts(label, column) for label in labels}
    _refuse(parts, names, column)
    odd = {
        part for part in _each(parts) if looks_like_control(part, names) and not is_control(part)
    }
    has_control = any(all(is_control(part) or part in odd for part in of) for of in parts.values())
    plain = {
        part
        for part in _each(parts)
        if is_control(part) or (part == CONTROL_GENE and not has_control)
    }
    plasmids = {part for part in _each(parts) if looks_like_plasmid(part, names)} - odd
    lone = [label for label, of in parts.items() if plasmids.issuperset(of)]
    if lone:
        raise DataError(
            f"{listed(lone)} look(s) like plasmids, not genes; if their cells are controls, pass "
            f"--control {lone[0]}, else drop them: {_dropped(lone, column)}"
        )
    dropped = plain | odd | plasmids
    written = {part for part in _each(parts) if part not in dropped}
    spelt = {name: name for name in written} if names is None else names.unified(sorted(written))
    genes = {
        label: tuple(sorted({spelt[part] for part in of if part not in dropped}))
        for label, of in parts.items()
    }
    canonical = _canonical(parts, genes, odd | plasmids, spelt)
    perturbations = {
        label: Perturbation(canonical[of], of) if of else None for label, of in genes.items()
    }
    notes = [
        *_control_notes(plain, odd, plasmids, has_control, parts),
        *_notes(parts, genes, dropped),
        *_spelling_notes(spelt),
    ]
    if names is not None:
        notes += unknown_targets(sorted(set(spelt.values())), names, column=column)
    return ParsedLabels(perturbations, tuple(notes))


def parts_of(label: str) -> tuple[str, ...]:
    """Return the names in a label, without the blanks around them; some may be empty.

    Characters that look like others or like nothing (dashes, full or zero width) become plain.
    """
    if not label.isascii():
        plain = unicodedata.normalize("NFKC", label)
        kinds = ((sign, unicodedata.category(sign)) for sign in plain)
        label = "".join("-" if kind == "Pd" else sign for sign, kind in kinds if kind != "Cf")
    return tuple(part.strip() for part in _PLUS.split(label))


def _each(parts: Mapping[str, tuple[str, ...]]) -> list[str]:
    return list(dict.fromkeys(part for of in parts.values() for part in of))


def _parts(label: str, column: str) -> tuple[str, ...]:
    parts = parts_of(label)
    if not all(parts):
        what = (
            "an empty condition label" if not label.strip() else f"condition label {short(label)!r}"
        )
        raise DataError(
            f"{what} names no gene; allowed: 'A+ctrl', 'A+B' or 'ctrl'; rename or drop its cells, "
            f"e.g. adata = adata[adata.obs[{column!r}] != {short(label)!r}]"
        )
    return parts


def _refuse(parts: Mapping[str, tuple[str, ...]], names: GeneNames | None, column: str) -> None:
    """Refuse labels of cells without a known perturbation."""
    for found, what in (
        (is_missing, "missing value(s) written as text"),
        (is_unassigned, "no perturbation (cells without a guide, or with several)"),
    ):
        labels = [
            label
            for label, of in parts.items()
            if any(found(part) and not (names is not None and names.has(part)) for part in of)
        ]
        if labels:
            raise DataError(
                f"the condition(s) {listed(labels)} name {what}; drop their cells: "
                f"{_dropped(labels, column)}"
            )


def _dropped(labels: Sequence[str], column: str) -> str:
    shown = ", ".join(map(repr, labels[:5])) + (", …" if len(labels) > 5 else "")
    return f"adata = adata[~adata.obs[{column!r}].isin([{shown}])]"


def _canonical(
    parts: Mapping[str, tuple[str, ...]],
    genes: Mapping[str, tuple[str, ...]],
    odd: set[str],
    spelt: Mapping[str, str],
) -> dict[tuple[str, ...], str]:
    """Return the label of each set of genes: the smallest, of those that spell genes as chosen."""
    smallest: dict[tuple[str, ...], tuple[int, str]] = {}
    for label, of in genes.items():
        kept = [part for part in parts[label] if part not in odd]
        if len(kept) < len(parts[label]) and len(kept) == 1:
            kept.append(CONTROL_LABEL)
        n_other = sum(spelt.get(part, part) != part for part in kept)
        candidate = (n_other, "+".join(kept))
        smallest[of] = min(smallest.get(of, candidate), candidate)
    return {of: text for of, (_, text) in smallest.items()}


def _ruled(label: str, names: GeneNames, rules: LabelRules) -> str:
    pieces: list[str] = []
    for part in _PLUS.split(label):
        pieces.extend(_pieces(part.strip(), names, rules))
    return label if pieces == [label.strip()] else "+".join(pieces)


def _pieces(part: str, names: GeneNames, rules: LabelRules) -> list[str]:
    if part in rules.controls:
        return [CONTROL_LABEL]
    if _is_whole(part, names):
        return [part]
    gene = _without_guide(part, names, rules)
    if gene != part and names.spelling(gene) is not None:
        return [gene]
    separator = rules.separator
    if separator is None or separator not in part:
        return [gene]
    found = combination_of(part, separator, names, guide_pattern=rules.guide_pattern)
    tokens = found or re.split(rf"\s*(?:{re.escape(separator)})+\s*", part)
    return [
        CONTROL_LABEL if token in rules.controls else _without_guide(token, names, rules)
        for token in tokens
    ]


def _is_whole(part: str, names: GeneNames) -> bool:
    """True of what no rule cuts: a control, or a gene by its own symbol."""
    if is_control(part) or looks_like_control(part, names) or names.has(part):
        return True
    found = names.spelling(part)
    return found is not None and found.lower() == part.lower()


def _without_guide(part: str, names: GeneNames, rules: LabelRules) -> str:
    if rules.guide_pattern is None or _is_whole(part, names):
        return part
    return re.sub(rules.guide_pattern, "", part) or part


def _control_notes(
    plain: set[str],
    odd: set[str],
    plasmids: set[str],
    has_control: bool,
    parts: Mapping[str, tuple[str, ...]],
) -> list[str]:
    notes: list[str] = []
    if spellings := sorted(plain - {CONTROL_LABEL}):
        notes.append(f"Read as control: {listed(spellings)}.")
    if odd:
        notes.append(
            f"Read as control, by the name: {listed(sorted(odd))}; rename a label that means a "
            "gene."
        )
    if has_control and (CONTROL_GENE,) in parts.values():
        notes.append(
            "'CTRL' is read as the gene CTRL, since other labels are controls; pass --control CTRL "
            "if it is control too."
        )
    if plasmids:
        notes.append(
            f"Plasmids in labels are not genes and were left out: {listed(sorted(plasmids))}."
        )
    return notes


def _notes(
    parts: Mapping[str, tuple[str, ...]],
    genes: Mapping[str, tuple[str, ...]],
    dropped: set[str],
) -> list[str]:
    notes: list[str] = []
    bare = [label for label, of in parts.items() if len(of) == 1 and genes[label]]
    if bare:
        notes.append(f"Read as single perturbations without '+ctrl': {listed(bare)}.")
    twice = [
        label
        for label, of in parts.items()
        if len([part for part in of if part not in dropped]) > len(genes[label])
    ]
    if twice:
        notes.append(f"Name one gene more than once, which counts once: {listed(twice)}.")
    padded = [label for label, of in parts.items() if "+".join(of) != label]
    odd_signs = [label for label in padded if not label.isascii()]
    if len(odd_signs) < len(padded):
        plain = [label for label in padded if label.isascii()]
        notes.append(f"Blanks around names were left out: {listed(plain)}.")
    if odd_signs:
        notes.append(f"Characters that look like others were written plainly: {listed(odd_signs)}.")
    shared: dict[tuple[str, ...], int] = {}
    for of in genes.values():
        shared[of] = shared.get(of, 0) + 1
    pooled = sum(1 for of, n_labels in shared.items() if of and n_labels > 1)
    if pooled:
        notes.append(f"Cells of several raw labels were pooled for {pooled} perturbation(s).")
    return notes


def _spelling_notes(spelt: Mapping[str, str]) -> list[str]:
    """Say which names were read as one gene, and which take the spelling of ``var``."""
    members: dict[str, list[str]] = {}
    for name, gene in spelt.items():
        members.setdefault(gene, []).append(name)
    several = [f"{' = '.join(sorted(of))}" for of in members.values() if len(of) > 1]
    notes = []
    if several:
        notes.append(f"Spellings of one gene were read as one gene: {listed(several)}.")
    respelt = [f"{of[0]} ({gene})" for gene, of in members.items() if of != [gene] and len(of) == 1]
    if respelt:
        notes.append(f"Target genes take the spelling of var: {listed(respelt)}.")
    return notes


def clean_groups(column: Column, name: str, notes: list[str]) -> Column:
    """Give spellings of one group one name.

    Blanks around a name go, missing values written as text are missing, and names that differ only
    in upper and lower case are the one that most cells have.

    Args:
        column: A column of ``obs``.
        name: Its name, for notes.
        notes: Takes what was mended, one sentence each.

    Returns:
        The column, -1 where there is no value.
    """
    n_cells = np.bincount(column.codes[column.codes >= 0], minlength=len(column.categories))
    used = [text for text, n in zip(column.categories, n_cells.tolist(), strict=True) if n]
    if missing := sorted(text for text in used if is_missing(text)):
        notes.append(f"Missing values written as text in obs[{name!r}]: {listed(missing)}.")
    blanks = {text: " ".join(text.split()) for text in used if not is_missing(text)}
    if padded := sorted(text for text, plain in blanks.items() if plain != text):
        notes.append(f"Blanks around names in obs[{name!r}] were left out: {listed(padded)}.")
    size: dict[str, int] = {}
    for text, n in zip(column.categories, n_cells.tolist(), strict=True):
        if text in blanks:
            size[blanks[text]] = size.get(blanks[text], 0) + n
    groups: dict[str, list[str]] = {}
    for plain in sorted(size, key=lambda plain: (-size[plain], plain)):
        groups.setdefault(plain.lower(), []).append(plain)
    if several := [" = ".join(of) for of in groups.values() if len(of) > 1]:
        notes.append(
            f"Names in obs[{name!r}] that differ only in case were read as one, the first: "
            f"{listed(several)}; rename them if they are not the same."
        )
    chosen = {text: groups[plain.lower()][0] for text, plain in blanks.items()}
    names = tuple(dict.fromkeys(chosen.values()))
    place = {of: code for code, of in enumerate(names)}
    codes = [place[chosen[text]] if text in chosen else -1 for text in column.categories]
    return Column(names, np.asarray([*codes, -1], dtype=np.int32)[column.codes])
