"""Figures quoted from papers: shown beside a leaderboard, never ranked, and checked with ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from dygenept.leaderboard.columns import MISSING, JsonDocument

if TYPE_CHECKING:
    from dygenept.leaderboard.rows import LeaderboardRow

ErrorKind = Literal["stderr", "std"]
HEADING = "QUOTED from papers, not run here and not ranked"


class PublishedModel(BaseModel):
    """One model of a published table.

    Attributes:
        model: The model's name in the paper.
        values: Value by metric name.
        errors: Published error by metric name, where one was given.
        same_as: The model of this harness that is defined alike, if any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    values: dict[str, float] = Field(min_length=1)
    errors: dict[str, float] = {}
    same_as: str | None = None


class Publication(BaseModel):
    """Figures of one table about one data set.

    Attributes:
        paper: Authors, year and title.
        citation: DOI, arXiv number, or the paper's address where it has neither.
        table: Where in the paper.
        dataset: The data set's own name, as result records have it.
        error: What the published errors are; None where the table gives none.
        note: How the published protocol differs from the suite's.
        models: The rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    paper: str = Field(min_length=1)
    citation: str = Field(pattern=r"^(doi:10\.|arXiv:\d|https://)")
    table: str = Field(min_length=1)
    dataset: str
    error: ErrorKind | None = None
    note: str = ""
    models: tuple[PublishedModel, ...] = Field(min_length=1)

    def quoted(self) -> tuple[PublishedRow, ...]:
        """Return one row per model and metric."""
        return tuple(
            PublishedRow(
                model=entry.model,
                metric=metric,
                value=value,
                error=entry.errors.get(metric),
                error_kind=self.error if metric in entry.errors else None,
                dataset=self.dataset,
                paper=self.paper,
                citation=self.citation,
                table=self.table,
                note=self.note,
                same_as=entry.same_as,
            )
            for entry in self.models
            for metric, value in entry.values.items()
        )


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One quoted figure; see ``Publication`` and ``PublishedModel`` for the fields."""

    model: str
    metric: str
    value: float
    error: float | None
    error_kind: ErrorKind | None
    dataset: str
    paper: str
    citation: str
    table: str
    note: str
    same_as: str | None

    def document(self) -> JsonDocument:
        """Return the row as JSON shows it under ``references``."""
        return {**asdict(self), "quoted": True}


@dataclass(frozen=True, slots=True)
class FigureCheck:
    """A quoted figure beside ours.

    Attributes:
        quoted: The published figure.
        model: Our model that is defined alike.
        ours: Our mean over folds; None where it is missing.
        difference: Ours minus published; None where ours is missing.
        allowed: The published error, plus half of the last digit that the paper prints.
        matches: True if the difference is within what is allowed.
    """

    quoted: PublishedRow
    model: str
    ours: float | None
    difference: float | None
    allowed: float
    matches: bool

    def document(self) -> JsonDocument:
        """Return the check for JSON."""
        return {
            "dataset": self.quoted.dataset,
            "metric": self.quoted.metric,
            "published_model": self.quoted.model,
            "model": self.model,
            "published": self.quoted.value,
            "published_error": self.quoted.error,
            "ours": self.ours,
            "difference": self.difference,
            "allowed": self.allowed,
            "matches": self.matches,
            "table": self.quoted.table,
            "citation": self.quoted.citation,
        }


# Papers print three digits behind the point.
HALF_DIGIT = 0.0005


def check_figures(
    quoted: Sequence[PublishedRow], rows: Sequence[LeaderboardRow]
) -> tuple[FigureCheck, ...]:
    """Compare the published figures of models defined alike with our means over folds.

    Args:
        quoted: Published figures; those without ``same_as`` are passed over.
        rows: Rows of one leaderboard.
    """
    ours = {(row.model, row.metric): row.total.mean for row in rows}
    checks = []
    for row in quoted:
        if row.same_as is None:
            continue
        value = ours.get((row.same_as, row.metric))
        allowed = (row.error or 0.0) + HALF_DIGIT
        difference = None if value is None else value - row.value
        checks.append(
            FigureCheck(
                quoted=row,
                model=row.same_as,
                ours=value,
                difference=difference,
                allowed=allowed,
                matches=difference is not None and abs(difference) <= allowed,
            )
        )
    return tuple(checks)


def figure(row: PublishedRow | None) -> str:
    """Return a quoted figure with its error as text."""
    if row is None:
        return MISSING
    text = f"{row.value:g}"
    return text if row.error is None else f"{text} ± {row.error:g}"


def published_lines(rows: Sequence[PublishedRow]) -> list[str]:
    """Return quoted figures as lines of text, each with its source; empty without figures."""
    lines = []
    for row in rows:
        kind = "" if row.error_kind is None else f" ({row.error_kind})"
        source = f"{row.paper}, {row.table}, {row.citation}"
        lines.append(f"{row.model} (quoted), {row.metric}: {figure(row)}{kind}; {source}")
    return lines
