"""Perturbations that a user asks to have predicted: which genes they name, and who knows these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dygenept.data.reading.label_kinds import (
    is_control,
    is_missing,
    is_unassigned,
    looks_like_control,
    looks_like_plasmid,
)
from dygenept.data.reading.labels import parts_of
from dygenept.data.reading.unknown_targets import looks, short
from dygenept.errors import DataError, nearest
from dygenept.knowledge.genes.identity import GeneNames
from dygenept.knowledge.genes.matching import nearest_genes
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.types import CONTROL_LABEL, Condition, Perturbation

KnownTo = Callable[[Sequence[str]], Sequence[str]]


def nobody(genes: Sequence[str]) -> Sequence[str]:
    """Know no gene."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What a model's perturbations can be asked by.

    Attributes:
        names: Names of the output genes.
        targets: Target genes of the data set.
        cell_types: Cell types of the data set.
        known: Of genes that neither the data set nor the gene tables know, those that the model's
            gene embedding knows.
        allow_unknown: Predict genes that nobody knows, as average genes.
    """

    names: GeneNames
    targets: tuple[str, ...]
    cell_types: tuple[str, ...]
    known: KnownTo = nobody
    allow_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """Conditions to predict.

    Attributes:
        conditions: Each perturbation in each cell type.
        notes: Names that were read otherwise than written, and genes that nobody knows.
    """

    conditions: tuple[Condition, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reading:
    """What was found on the way."""

    read_as: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)


def asked_conditions(
    labels: Sequence[str], vocabulary: Vocabulary, cell_type: str | None = None
) -> Asked:
    """Read perturbations as a user writes them, in one cell type or in all.

    A gene that neither the data set, the gene tables nor the model's embedding knows is refused
    where it looks like something else (another separator, a guide), or where no other gene is
    asked for. Beside genes that are known it counts as an average gene, and a note says so.

    Raises:
        DataError: If a label names no gene or is control, a gene is refused as said, or the cell
            type is unknown.
    """
    if cell_type is not None and cell_type not in vocabulary.cell_types:
        hint = nearest(cell_type, vocabulary.cell_types)
        raise DataError(f"unknown cell type {cell_type!r}; {hint}")
    reading = _Reading()
    found = [_perturbation(label, vocabulary, reading) for label in dict.fromkeys(labels)]
    notes = [f"{name} is read as {gene}" for name, gene in reading.read_as.items()]
    notes += _unknown_notes(found, vocabulary, reading)
    chosen = vocabulary.cell_types if cell_type is None else (cell_type,)
    conditions = tuple(
        Condition(perturbation, of) for perturbation in dict.fromkeys(found) for of in chosen
    )
    return Asked(conditions, tuple(notes))


def _perturbation(label: str, vocabulary: Vocabulary, reading: _Reading) -> Perturbation:
    names = vocabulary.names
    written = parts_of(label)
    if not all(written):
        raise DataError(
            f"perturbation {label!r} has an empty gene; write KLF1, or KLF1+MAPK1 for both"
        )
    parts: list[str] = []
    for part in written:
        if names.has(part) or part in vocabulary.targets:
            parts.append(part)
        elif is_missing(part) or is_unassigned(part) or looks_like_plasmid(part, names):
            raise DataError(
                f"perturbation {label!r}: {part!r} names no gene; name one, such as KLF1"
            )
        elif not is_control(part) and not looks_like_control(part, names):
            parts.append(part)
    if not parts:
        raise DataError(f"{label!r} is control; name a gene, such as KLF1 or KLF1+MAPK1")
    spelt = [_spelling(part, vocabulary, reading) for part in parts]
    genes = tuple(sorted(set(spelt)))
    reading.unknown.update(gene for gene in genes if _is_unknown(gene, vocabulary))
    text = f"{spelt[0]}+{CONTROL_LABEL}" if len(spelt) == 1 else "+".join(spelt)
    return Perturbation(text, genes)


def _spelling(part: str, vocabulary: Vocabulary, reading: _Reading) -> str:
    """Return the data set's own spelling of a gene, else one that the gene tables know."""
    if part in vocabulary.targets or vocabulary.names.has(part):
        gene = part
    else:
        gene = vocabulary.names.among(vocabulary.targets, (part,))[part]
        if gene == part and load_gene_tables().resolve(part) is None:
            gene = vocabulary.names.spelling(part) or part
    if gene != part:
        reading.read_as[part] = gene
    return gene


def _is_unknown(gene: str, vocabulary: Vocabulary) -> bool:
    return (
        gene not in vocabulary.targets
        and vocabulary.names.spelling(gene) is None
        and gene not in vocabulary.known((gene,))
    )


def _unknown_notes(
    found: Sequence[Perturbation], vocabulary: Vocabulary, reading: _Reading
) -> list[str]:
    unknown = sorted(reading.unknown)
    names, allowed = vocabulary.names, "pass --allow-unknown to take it as an average gene"
    for gene in unknown if not vocabulary.allow_unknown else ():
        if like := looks(gene, names):
            called = short(gene)
            raise DataError(f"no gene is called {called!r}: it {like}; write it so, or {allowed}")
    asked = {gene for perturbation in found for gene in perturbation.genes}
    if unknown and asked == reading.unknown and not vocabulary.allow_unknown:
        gene = unknown[0]
        hint = nearest_genes(gene, (*vocabulary.targets, *load_gene_tables().protein_coding))
        raise DataError(
            f"no gene {short(gene)!r} is known to the data set, the gene tables or the model; "
            f"{hint}, or {allowed}"
        )
    return [
        f"{gene} is known to neither the data set, the gene tables nor the model: it counts as an "
        "average gene"
        for gene in unknown
    ]
