"""What to cite of a board: the sources of its data set, its models and its metrics, as BibTeX.

Sources are what plugins and the registry declare, such as ``Norman et al. 2019, doi:10.1126/…``.
They name no titles, so entries have none: a reference manager finds the rest by the DOI.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import dygenept
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import KINDS, SPEC_CLASSES
from dygenept.results.records import RunRecord

_YEAR = re.compile(r"\b(1[89]\d\d|20\d\d)\b")
_DOI = re.compile(r"doi:\s*(10\.\S+?)[,;.]?(?=\s|$)")
_ARXIV = re.compile(r"arXiv:\s*(\d{4}\.\d{4,5})")
_BIORXIV = re.compile(r"bioRxiv\s+(\d{4}\.\d\d\.\d\d\.\d+)")
_OWN = "this project"


@dataclass(frozen=True, slots=True)
class Source:
    """One work.

    Attributes:
        text: As it was declared.
        used_for: What it is cited for, such as ``metric mse``.
    """

    text: str
    used_for: tuple[str, ...]


def sources_of(records: Iterable[RunRecord], environment: Environment) -> tuple[Source, ...]:
    """Return what boards rest on, each work once; what is this project's own is left out.

    Args:
        records: Records of one board or several.
        environment: Plugins and registry, which declare sources.
    """
    declared = {
        (kind, spec.name): spec.source
        for kind, spec_class in zip(KINDS, SPEC_CLASSES, strict=True)
        for spec in environment.manager.specs(spec_class)
    }
    found: dict[str, dict[str, None]] = {}

    def add(text: str, use: str) -> None:
        for part in re.split(r";\s+", text):
            if part and not part.startswith(_OWN) and _YEAR.search(part):
                found.setdefault(part, {})[use] = None

    for record in records:
        name = record.dataset.name
        add(_dataset_source(name, environment), f"data set {name}")
        for plugin in record.plugins:
            source = declared.get((plugin.kind, plugin.name), "")
            what = (
                "model" if plugin.kind == "baselines" else plugin.kind.replace("_", " ").rstrip("s")
            )
            add(source, f"{what} {plugin.name}")
        for metric in record.metrics:
            for kind in ("metrics", "effect_metrics"):
                add(declared.get((kind, metric.name), ""), f"metric {metric.name}")
    for text in [text for text in found if not _has_address(text)]:
        # The same work is often named once with its DOI and elsewhere without.
        whole = next((of for of in found if of.startswith(f"{text},") and _has_address(of)), None)
        if whole is not None:
            found[whole] |= found.pop(text)
    return tuple(Source(text, tuple(uses)) for text, uses in found.items())


def _has_address(text: str) -> bool:
    return any(known.search(text) for known in (_DOI, _ARXIV, _BIORXIV))


def bibtex(sources: Sequence[Source]) -> str:
    """Write sources, and this project, as BibTeX."""
    own = (
        "@software{dygenept,\n  title = {DyGenePT: a benchmark harness for models that predict "
        "gene perturbation effects},\n"
        f"  version = {{{_field(dygenept.__version__)}}}\n}}\n"
    )
    taken: dict[str, int] = {"dygenept": 1}
    entries = [own]
    for source in sources:
        fields = _fields(source.text)
        key = _key(f"{fields['author'].split()[0]}{fields['year']}")
        taken[key] = taken.get(key, 0) + 1
        if taken[key] > 1:
            key += chr(ord("a") + min(taken[key], 26) - 1)
        kind = "article" if "doi" in fields else "misc"
        lines = [f"  {name} = {{{_field(value)}}}" for name, value in fields.items()]
        lines.append(f"  note = {{{_field('used for: ' + ', '.join(source.used_for))}}}")
        entries.append(f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}\n")
    return "\n".join(entries)


def _key(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", plain.lower())


def _dataset_source(name: str, environment: Environment) -> str:
    # A simulated data set is shrunk by ``@``, and named after the one that it stands in for.
    known: Mapping[str, Mapping[str, object]] = environment.registry.datasets
    plain = name.partition("@")[0]
    for label, entry in known.items():
        aliases = entry.get("aliases")
        if plain == label or (isinstance(aliases, list) and plain in aliases):
            return str(entry.get("citation") or "")
    return ""


def _fields(text: str) -> dict[str, str]:
    year = _YEAR.search(text)
    names = text[: year.start()] if year else text
    authors = names.replace("&", " and ").strip(" ,(")
    fields = {
        "author": re.sub(r"\s*et al\.?", " and others", authors).replace(", ", " and ").strip()
        or "unknown",
        "year": year.group() if year else "",
    }
    if found := _DOI.search(text):
        fields["doi"] = found.group(1)
    elif found := _ARXIV.search(text):
        fields |= {"eprint": found.group(1), "archiveprefix": "arXiv"}
    elif found := _BIORXIV.search(text):
        fields["doi"] = f"10.1101/{found.group(1)}"
    fields["howpublished"] = text
    return fields


def _field(text: str) -> str:
    """Escape what BibTeX and LaTeX would read as their own."""
    return re.sub(
        r"([{}#$%&_~^\\])",
        lambda found: f"\\{found.group()}" if found.group() in "#$%&_{}" else " ",
        text,
    )
