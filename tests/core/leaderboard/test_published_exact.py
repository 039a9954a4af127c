"""Quoted figures, and ours beside them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from dygenept.leaderboard.published import (
    Publication,
    PublishedModel,
    check_figures,
    published_lines,
)
from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]

QUOTED = Publication(
    paper="Somebody 2024",
    citation="doi:10.1/x",
    table="Table 1",
    dataset="toy",
    error="stderr",
    note="other folds",
    models=(
        PublishedModel(
            model="Theirs",
            values={"pearson_delta": 0.5, "mse": 0.1},
            errors={"pearson_delta": 0.01},
            same_as="ours",
        ),
        PublishedModel(model="Elsewhere", values={"pearson_delta": 0.9}),
    ),
)


def test_a_quoted_figure_is_printed_with_its_source() -> None:
    first, second, third = QUOTED.quoted()
    assert first.document() == {
        "model": "Theirs",
        "metric": "pearson_delta",
        "value": 0.5,
        "error": 0.01,
        "error_kind": "stderr",
        "dataset": "toy",
        "paper": "Somebody 2024",
        "citation": "doi:10.1/x",
        "table": "Table 1",
        "note": "other folds",
        "same_as": "ours",
        "quoted": True,
    }
    assert (second.metric, second.error, second.error_kind) == ("mse", None, None)
    assert (third.model, third.same_as) == ("Elsewhere", None)


def test_a_line_says_of_which_kind_an_error_is_where_there_is_one() -> None:
    assert published_lines(QUOTED.quoted()) == [
        "Theirs (quoted), pearson_delta: 0.5 ± 0.01 (stderr); Somebody 2024, Table 1, doi:10.1/x",
        "Theirs (quoted), mse: 0.1; Somebody 2024, Table 1, doi:10.1/x",
        "Elsewhere (quoted), pearson_delta: 0.9; Somebody 2024, Table 1, doi:10.1/x",
    ]


def test_a_citation_must_be_one() -> None:
    with pytest.raises(ValidationError, match="citation"):
        Publication.model_validate({**QUOTED.model_dump(), "citation": "somewhere"})


@pytest.mark.parametrize(
    ("ours", "matches"),
    [(0.5, True), (0.5104, True), (0.5106, False), (0.4896, True), (0.4894, False)],
)
def test_ours_matches_within_the_published_error_and_half_a_digit(
    record: MakeRecord, ours: float, matches: bool
) -> None:
    rows = leaderboard_rows([record(model="ours", values=(ours,))])
    first, second = check_figures(QUOTED.quoted(), rows)
    assert first.document() == {
        "dataset": "toy",
        "metric": "pearson_delta",
        "published_model": "Theirs",
        "model": "ours",
        "published": 0.5,
        "published_error": 0.01,
        "ours": ours,
        "difference": pytest.approx(ours - 0.5),
        "allowed": pytest.approx(0.0105),
        "matches": matches,
        "table": "Table 1",
        "citation": "doi:10.1/x",
    }
    assert (second.ours, second.difference, second.matches) == (None, None, False)
    assert second.allowed == 0.0005


def test_figures_are_passed_over_one_by_one() -> None:
    first, second, third = QUOTED.quoted()
    found = check_figures([third, first], [])
    assert [item.quoted for item in found] == [first]
    assert check_figures([third], []) == ()
    assert [item.quoted for item in check_figures([first, third, second], [])] == [first, second]
