"""Knowledge graph ``go``: genes that share terms of the Gene Ontology.

Reads ``goa_human.gaf`` with ``go-basic.obo`` beside it, ``[{gene: [[term, relation], …]}, …]`` in
JSON, or GMT; without any file, the gene tables that ship. Source: The Gene Ontology Consortium
2023, doi:10.1093/genetics/iyad031, CC BY 4.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dygenept.knowledge.graph.file_source import FileGraphSource
from dygenept.knowledge.graph.files import FileHead, FoundFiles, Layout
from dygenept.plugin import KgSourceSpec, hookimpl
from dygenept_plugins.kg_sources._json_layouts import is_json_list, read_json_sets
from dygenept_plugins.kg_sources._pairs import read_tabs
from dygenept_plugins.kg_sources._sets import SetConfig, is_gmt, memberships, read_gmt

if TYPE_CHECKING:
    import polars as pl

    from dygenept.knowledge.graph.whole_graph import SetTable, WholeGraph
    from dygenept.types import Runtime

Aspect = Literal["BP", "MF", "CC"]
ASPECTS: tuple[Aspect, ...] = ("BP", "MF", "CC")
# Letters of the annotation file's aspect column.
LETTERS = {"BP": "P", "MF": "F", "CC": "C"}
EXPERIMENTAL = ("EXP", "IDA", "IPI", "IMP", "IGI", "IEP", "HTP", "HDA", "HMP", "HGI", "HEP")
ELECTRONIC = "IEA"
NO_DATA = "ND"
# Columns of an annotation file that are read, by position.
GAF_COLUMNS = {2: "gene", 3: "relation", 4: "set", 6: "evidence", 8: "aspect"}
TABLES = Layout("gene_tables", lambda head: False)


class GoConfig(SetConfig):
    """Options of ``go``.

    Attributes:
        path: A file, or a folder with its files; None means ``kg/go`` of the data folder, and where
            nothing is there, the gene tables that ship.
        min_size: Genes that a term must have to count.
        max_size: Genes that a term may have.
        min_shared: Terms that two genes must share.
        evidence: ``reviewed`` leaves out annotations made without a curator (IEA);
            ``experimental`` keeps those only from experiments. JSON and GMT do not say.
        aspects: Aspects that count: BP, MF, CC. JSON and GMT do not say.
        propagate: Count a gene for the terms above its own too (``is_a``, ``part_of``); needs
            ``go-basic.obo``, or no file at all.
    """

    weight: float = Field(default=0.3, gt=0, le=1)
    max_size: int = Field(default=200, ge=2)
    min_shared: int = Field(default=2, ge=1)
    evidence: Literal["all", "reviewed", "experimental"] = "all"
    aspects: tuple[Aspect, ...] = Field(default=ASPECTS, min_length=1)
    propagate: bool = False


class GoGraph(FileGraphSource[GoConfig]):
    """Reads the Gene Ontology's annotation."""

    name: ClassVar[str] = "go"

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The publisher's files first."""
        return (
            Layout("gaf", _is_gaf, is_companion=is_obo),
            Layout("json", is_json_list, is_companion=is_obo),
            Layout("gmt", is_gmt, is_companion=is_obo),
        )

    def find(self) -> FoundFiles:
        """Find its files; without a ``path`` and without files, take the tables that ship."""
        from dygenept.knowledge.graph.files import find_files

        if self.config.path is None and find_files(self.path, self.layouts) is None:
            return FoundFiles(TABLES, ())
        return super().find()

    def read(self, found: FoundFiles, runtime: Runtime) -> WholeGraph:
        """Read the files of one layout."""
        from dygenept.knowledge.graph.whole_graph import graph_of_sets

        return graph_of_sets(self._sets(found), self.config.rule)

    def _sets(self, found: FoundFiles) -> SetTable:
        import polars as pl

        if found.layout is TABLES:
            return self._shipped()
        if found.layout.name == "gmt":
            self._refuse_propagation(found)
            return read_gmt(found.main[0])
        if found.layout.name == "json":
            genes, terms, relations = read_json_sets(found.main[0])
            rows = {"gene": genes, "set": terms, "relation": [str(item) for item in relations]}
            frame = pl.DataFrame(rows)
        else:
            frame = _read_gaf(found.main[0])
        n_records = frame.height
        # A relation such as NOT|involved_in says that the gene has nothing to do with the term.
        frame = frame.filter(~pl.col("relation").str.starts_with("NOT"))
        denied = n_records - frame.height
        if found.layout.name == "gaf":
            frame = frame.filter(self._is_evidence(pl.col("evidence")), self._is_asked())
        filtered = n_records - denied - frame.height
        n_left = frame.height
        if found.companions:
            ontology = read_obo(found.companions[0])
            current = pl.col("set").replace_strict(ontology.current, default=None)
            frame = frame.with_columns(set=current).drop_nulls("set")
            if self.config.propagate:
                frame = _with_ancestors(frame, ontology.ancestors)
        else:
            self._refuse_propagation(found)
        obsolete = 0 if self.config.propagate else n_left - frame.height
        return memberships(
            frame,
            n_records=n_records,
            denied_by_the_annotation=denied,
            of_other_evidence_or_aspect=filtered,
            of_obsolete_terms=obsolete,
        )

    def _shipped(self) -> SetTable:
        import polars as pl

        from dygenept.knowledge.genes.tables import load_gene_tables

        tables, config = load_gene_tables(), self.config
        rows = [
            (symbol, term)
            for symbol in tables.symbols
            for term in tables.terms_of(symbol, evidence=config.evidence)
        ]
        frame = pl.DataFrame(rows, schema=["gene", "set"], orient="row")
        aspects = {term: tables.term(term).aspect for term in frame["set"].unique()}
        asked = [term for term, aspect in aspects.items() if aspect in config.aspects]
        kept = frame.filter(pl.col("set").is_in(asked))
        n_others = frame.height - kept.height
        if config.propagate:
            kept = _with_ancestors(kept, tables.ancestors)
        return memberships(kept, n_records=frame.height, of_other_evidence_or_aspect=n_others)

    def _is_evidence(self, code: pl.Expr) -> pl.Expr:
        match self.config.evidence:
            case "experimental":
                return code.is_in(EXPERIMENTAL)
            case "reviewed":
                return ~code.is_in([ELECTRONIC, NO_DATA])
            case _:
                return code != NO_DATA

    def _is_asked(self) -> pl.Expr:
        import polars as pl

        return pl.col("aspect").is_in([LETTERS[aspect] for aspect in self.config.aspects])

    def _refuse_propagation(self, found: FoundFiles) -> None:
        from dygenept.plugin import DataUnavailableError

        if self.config.propagate:
            raise DataUnavailableError(
                f"propagate needs go-basic.obo beside {found.main[0]} and an annotation file or "
                "JSON; get both with: dygenept data fetch go"
            )


def _is_gaf(head: FileHead) -> bool:
    rows = [line for line in head.lines if line and not line.startswith("!")]
    return head.first.startswith("!gaf-version") or (
        bool(rows) and rows[0].count("\t") >= 14 and rows[0].split("\t")[4].startswith("GO:")
    )


def _read_gaf(path: Path) -> pl.DataFrame:
    import polars as pl

    frame = read_tabs(
        path, has_header=False, comment_prefix="!", quote_char=None, columns=list(GAF_COLUMNS)
    )
    frame.columns = list(GAF_COLUMNS.values())
    return frame.with_columns(pl.col("relation").fill_null("")).drop_nulls(["gene", "set"])


def _with_ancestors(
    frame: pl.DataFrame, ancestors: Callable[[str], frozenset[str]]
) -> pl.DataFrame:
    """Add the terms above each term."""
    import polars as pl

    terms = frame["set"].unique().to_list()
    above = pl.DataFrame(
        {"set": terms, "up": [[term, *sorted(ancestors(term))] for term in terms]}
    ).explode("up")
    return frame.join(above, on="set").select("gene", set="up").unique()


@hookimpl
def dygenept_kg_sources() -> list[KgSourceSpec]:
    """Return the knowledge graph ``go``."""
    return [
        KgSourceSpec(
            name="go",
            summary="Gene Ontology: genes that share specific terms; works offline",
            source="The Gene Ontology Consortium 2023, doi:10.1093/genetics/iyad031",
            config=GoConfig,
            factory=GoGraph,
        )
    ]


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
