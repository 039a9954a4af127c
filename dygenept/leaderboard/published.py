"""Figures quoted from papers: shown beside a leaderboard, never ranked, and held against ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from dygenept.leaderboard.rows import LeaderboardRow

ErrorKind = Literal["stderr", "std"]


class PublishedModel(BaseModel):
    """One model of a published table.

    Attributes:
        model: The model's name in the paper.
        values: Value by metric name.
        errors: Published error by metric name, where one was given.
        same_as: The model of this harness that is defined alike, where there is one.
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
        """Return one row a model and metric."""
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

    def document(self) -> dict[str, object]:
        """Return the row as JSON shows it under ``references``."""
        return {**asdict(self), "quoted": True}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A quoted figure held against ours.

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

    def document(self) -> dict[str, object]:
        """Return the comparison as JSON."""
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


def compare(
    quoted: Sequence[PublishedRow], rows: Sequence[LeaderboardRow]
) -> tuple[Comparison, ...]:
    """Hold our means over folds against the published figures of models defined alike.

    Args:
        quoted: Published figures; those without ``same_as`` are passed over.
        rows: Rows of one leaderboard.
    """
    ours = {(row.model, row.metric): row.mean for row in rows}
    comparisons = []
    for figure in quoted:
        if figure.same_as is None:
            continue
        value = ours.get((figure.same_as, figure.metric))
        allowed = (figure.error or 0.0) + HALF_DIGIT
        difference = None if value is None else value - figure.value
        comparisons.append(
            Comparison(
                quoted=figure,
                model=figure.same_as,
                ours=value,
                difference=difference,
                allowed=allowed,
                matches=difference is not None and abs(difference) <= allowed,
            )
        )
    return tuple(comparisons)
