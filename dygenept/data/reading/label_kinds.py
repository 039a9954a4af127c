"""What a name in a condition label is, where it is not a gene: control, missing, plasmid, guide.

And which labels name one set of target genes, by other spellings, guides or separators.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dygenept.knowledge.genes.identity import GeneNames
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.types import CONTROL_LABEL, PerturbationData

CONTROL_SPELLINGS = (CONTROL_LABEL, "control", "non-targeting", "NT")
_LOWER_SPELLINGS = frozenset(spelling.lower() for spelling in CONTROL_SPELLINGS)
# CTRL is the symbol of a human gene (chymotrypsin like), so upper case by itself says nothing.
CONTROL_GENE = "CTRL"

SEPARATORS = ("__", "--", "_", ",", ";", "|", "&", ":", "/", " ", "-", ".")
# Genes have these in their names (GATA1-AS1), so only genes by their current symbols lie between.
IN_GENES = ("-", ".")
_MOST_TOKENS = 16

MISSING_TEXTS = frozenset("|nan|none|<na>|na|n/a|#n/a|null|nil|nat|missing|-|.|?|*".split("|"))
# Cells of no known perturbation, or of several: neither control nor a gene.
_UNASSIGNED = re.compile(
    r"un(assigned|mapped|known|determined|identified|classified|defined|labell?ed)"
    r"|no[ _.-]?(guides?|s?grnas?|assignment|calls?|umis?|barcodes?|signal)"
    r"|not[ _.-]?(assigned|detected|called)|(multi(ple(ts?)?)?|doublet|dublet|singlet)s?"
    r"|multi(ple)?[ _.-]?(guide|s?grna|perturbation)s?|ambiguous|undetected|negative|empty"
)
# Around a control's name: what it is, where it lies, which one it is; never a gene.
# Possessive (*+), so that a long label of digits takes no time.
_BEFORE = (
    r"(?:(?:\d+x?|one|two|human|mouse|hs|mm|sg|sh|si(?!te)|s?grna|guide|crispri?|chr[\dxy]++"
    r"|p(?=[_-]))[ _.-]*)*+"
)
_BEHIND = (
    r"(?:[ _.-]*(?:targeting|controls?|ctrl|guides?|s?grna|sg|for|human|mouse|hs|mm|sites?|regions?"
    r"|oligo|rep|g(?=[ _.-]*\d)|\d+|p[a-z]{2,3}\d{3,4}|p1p2|p1|p2|[acgt]{15,}))*+"
    r"(?:_[+-]_[^|]*)?"
)
_CONTROL = (
    _BEFORE + r"(?:non?t?[ _.-]?target(?:ing|ed|s)?|neg(?:ative)?[ _.-]?(?:con|c)tro?ls?"
    r"|safe[ _.-]?(?:targeting|target|harbou?r|cutting|cut)|scrambled?|inter[ _.-]?genic"
    r"|non?[ _.-]?(?:genic|gene|sites?)|non[ _.-]?silencing|empty[ _.-]?vector"
    r"|(?:sites?|random)(?=[ _.-]*\d)|scr(?=[\d _.-]|$)"
    r"|ctrls?|controls?|nt|ntc|nt[ _.-]?(?:ctrl|control)|neg|negative(?=[ _.-]?\d)|aavs1|rosa26"
    r"|e?gfp|lacz|luciferase|mcherry|(?:ctl|luc|(?:tag)?bfp)(?=[ _.-]|$))" + _BEHIND
)
_UNTREATED = (
    r"mock(?:[ _.-]?(?:treated|transfected|infected))?|dmso(?:[ _.-]?tf)?|vehicle|vector|pbs|wt"
    r"|wild[ _.-]?type|parental"
    r"|(?:un|non[ _.-]?)(?:treated|perturbed|infected|transduced|transfected|edited)"
)
# One, or several guides of one cell, as in NegCtrl10_NegCtrl0__NegCtrl10_NegCtrl0 and NT|NT.
_CONTROLS = re.compile(
    rf"(?:{_CONTROL}|{_UNTREATED})(?:[ _.,;:/&|-]+(?:{_CONTROL}|{_UNTREATED}))*+"
)
_PLASMID = re.compile(r"p[A-Z]{2,3}\d{3,4}(-\d+)?")

_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_DATE = re.compile(
    rf"\d{{1,2}}[-/ ]{_MONTH}([-/ ]\d{{2,4}})?|{_MONTH}[-/ ]\d{{1,4}}|\d{{4}}-\d\d-\d\d( [\d:]+)?",
    re.IGNORECASE,
)

# What a guide's name has before or behind its gene, the most telling first.
_GUIDE_PREFIXES = (
    "",
    r"^(?:p[_-])?sg(?:RNA)?[_-]?",
    r"^(?:g|gRNA|crRNA|guide)[_-]",
    r"^s[hi](?:RNA)?[_-]?(?=[A-Z])",
    r"^\d+_",
    r"^TFORF\d+-",
)
_GUIDE_SUFFIXES = (
    "",
    r"_[+-]_[^|]*$",
    r"_\d+$",
    r"-\d+$",
    r"\.\d+$",
    r"g\d+$",
    r"[#:]\d+$",
    r" ?\(\d+\)$",
    r"[_.-](?:sg|g|gRNA|sgRNA|guide)[_.-]?\d+$",
    r"[_.-](?:P1P2|P1|P2)(?![A-Za-z0-9]).*$",
    r"[_.-][ACGT]{15,}$",
    r"(?:_\d+)+$",
    r"_[A-H]$",
    r"_p[A-Z]{2,3}\d{3,4}(?:-\d+)?$",
    r"[ _.-](?:KO|KD|OE|ko|kd|oe|TSS)$",
)


@dataclass(frozen=True, slots=True)
class Guide:
    """A guide's name.

    Attributes:
        gene: Its gene.
        pattern: Regular expression of what is left out of the name to get there.
    """

    gene: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Guides:
    """Several guides of one cell.

    Attributes:
        genes: Their genes, in order; controls are left out.
        separator: What stands between the guides.
        pattern: Regular expression of what is left out of each to give its gene.
    """

    genes: tuple[str, ...]
    separator: str
    pattern: str


def is_missing(name: str) -> bool:
    """True of a missing value that was written as text."""
    return name.strip().lower() in MISSING_TEXTS


def is_date(name: str) -> bool:
    """True of a date, such as a spreadsheet makes of MARCH1 (``1-Mar``) or SEPT2 (``2-Sep``)."""
    return _DATE.fullmatch(name) is not None


def is_unassigned(name: str) -> bool:
    """True of cells whose perturbation is not known, or that have several."""
    return _UNASSIGNED.fullmatch(name.strip().lower()) is not None


def is_control(name: str) -> bool:
    """True of the conventional spellings of control, in any case but for the gene ``CTRL``."""
    return name != CONTROL_GENE and name.lower() in _LOWER_SPELLINGS


def looks_like_control(name: str, names: GeneNames | None = None) -> bool:
    """True of what is a control by its name (non-targeting, safe harbour, reporter, untreated).

    A name that ``var`` has is a gene. Aliases are not asked: ``NT-3`` is the third non-targeting
    guide far more often than neurotrophin 3, and ``AAVS1`` a safe harbour.
    """
    if name == CONTROL_GENE or (names is not None and names.has(name)):
        return False
    return _CONTROLS.fullmatch(name.lower()) is not None


def looks_like_plasmid(name: str, names: GeneNames | None = None) -> bool:
    """True of a vector's name, such as ``pDS255``."""
    if _PLASMID.fullmatch(name) is None:
        return False
    return names is None or names.spelling(name) is None


def guide_of(name: str, names: GeneNames) -> Guide | None:
    """Return the gene of a guide's name, such as ``sgKLF1-2`` or ``KLF1_+_48997_.23-P1P2``.

    None where the name is a gene itself, or nothing that could be left out gives one.
    """
    if names.spelling(name) is not None or is_date(name):
        return None
    # An alias of several genes, such as HSP70-2, is not a guide of what is before its number.
    if load_gene_tables().is_ambiguous(name):
        return None
    # What does not fit changes nothing beside another; most fit no name, which saves the time.
    suffixes = [suffix for suffix in _GUIDE_SUFFIXES if re.search(suffix, name)]
    for prefix in _GUIDE_PREFIXES:
        for suffix in suffixes if re.search(prefix, name) else ():
            pattern = "|".join(part for part in (prefix, suffix) if part)
            rest = re.sub(pattern, "", name) if pattern else name
            gene = names.spelling(rest) if rest != name else None
            # Genes have such ends too (her4.1): only what is a gene by its own symbol has guides.
            is_sure = suffix not in (r"-\d+$", r"\.\d+$") or names.is_own(rest)
            if gene is not None and is_sure:
                return Guide(gene, pattern)
    return None


def guides_of(name: str, names: GeneNames) -> Guides | None:
    """Return the genes of several guides in one name, such as ``KLF1_+_1.23-P1|JUN_-_2.23-P2``.

    Genes and controls may stand beside guides. None where the name is anything else.
    """
    if names.spelling(name) is not None:
        return None
    for separator in SEPARATORS:
        parts = [part.strip() for part in name.split(separator)]
        if separator in IN_GENES or not 1 < len(parts) <= _MOST_TOKENS:
            continue
        genes: list[str] = []
        patterns: set[str] = set()
        for part in parts:
            if is_control(part) or looks_like_control(part, names):
                continue
            guide = guide_of(part, names)
            gene = guide.gene if guide is not None else names.spelling(part)
            if gene is None:
                break
            genes.append(gene)
            patterns.update(() if guide is None else (guide.pattern,))
        else:
            if patterns:
                return Guides(tuple(genes), separator, "|".join(sorted(patterns)))
    return None


def combination_of(
    name: str, separator: str, names: GeneNames, *, guide_pattern: str | None = None
) -> tuple[str, ...]:
    """Cut a name into genes and controls at a separator; a gene may contain the separator itself.

    Missing values written as text are cut off too, so that they are seen to be missing. With a
    pattern, guides count as genes too.

    Returns:
        The parts, two or more; empty where the name is a gene as a whole, or a part is none.
    """
    if separator not in name or names.spelling(name) is not None:
        return ()
    tokens = [token for part in name.split(separator) if (token := part.strip())]
    if len(tokens) > _MOST_TOKENS:
        return ()

    def is_gene(part: str) -> bool:
        for text in (part, re.sub(guide_pattern, "", part) if guide_pattern else part):
            if names.spelling(text) is not None and (
                separator not in IN_GENES or names.is_own(text)
            ):
                return True
        return False

    def is_name(part: str) -> bool:
        is_none = is_missing(part) or is_unassigned(part) or is_control(part)
        return is_none or looks_like_control(part, names) or is_gene(part)

    parts = _segments(tokens, separator, is_name)
    return parts if len(parts) > 1 and any(is_gene(part) for part in parts) else ()


def separator_of(name: str, names: GeneNames) -> str | None:
    """Return the separator that cuts a name into genes; None where none does."""
    return next((sep for sep in SEPARATORS if combination_of(name, sep, names)), None)


def _segments(
    tokens: Sequence[str], separator: str, is_name: Callable[[str], bool]
) -> tuple[str, ...]:
    """Join tokens to genes and controls, the longest first; empty if one is none."""
    found: dict[int, tuple[str, ...]] = {}
    for start in range(len(tokens) - 1, -1, -1):
        for stop in range(len(tokens), start, -1):
            if stop < len(tokens) and stop not in found:
                continue
            head = separator.join(tokens[start:stop])
            if is_name(head):
                found[start] = (head, *found.get(stop, ()))
                break
    return found.get(0, ())


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
