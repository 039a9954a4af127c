"""``dygenept compare``: is one model better than another, over the same perturbations?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from dygenept.errors import ConfigError, nearest
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.options import ResultsFlags

if TYPE_CHECKING:
    from dygenept.leaderboard.columns import JsonDocument
    from dygenept.leaderboard.comparisons import ComparisonRow
    from dygenept.results.records import RunRecord


def compare(
    models: Annotated[
        list[str], typer.Argument(metavar="A B [C …]", help="Models as the leaderboard names them.")
    ],
    wanted: ResultsFlags,
    as_json: options.JsonOption = False,
) -> None:
    """Compare model A with B (and with C …), paired over the same perturbations.

    Shows the mean difference A minus B over the perturbations that both were scored on, its 95 %
    interval and a two-sided p value, which needs six perturbations to be below 0.05; with more than
    two models, p is Holm-corrected over the models that A is compared with. Where there are several
    cell types, their choice adds to the interval.
    """
    from dygenept.leaderboard.comparisons import compare_models
    from dygenept_cli.views.boards import chosen_boards
    from dygenept_cli.views.comparisons import show_comparison

    if len(set(models)) < 2:
        raise ConfigError("name two different models, such as: dygenept compare ridge additive")
    metrics = wanted.metrics
    with chosen_boards(wanted.results, dataset=wanted.dataset, metrics=metrics) as present:
        boards = [
            records
            for records in present
            if models[0] in records.models and len(records.models & set(models)) > 1
        ]
        if not boards:
            _refuse(wanted, models, {name for records in present for name in records.models})
        found = [
            (
                records[0],
                compare_models(
                    tuple(records.of_models(models)),
                    [name for name in models if name in records.models],
                    metrics=metrics,
                ),
            )
            for records in boards
        ]
    if as_json:
        console.print_json({"comparisons": [_document(first, rows) for first, rows in found]})
        return
    for first, rows in found:
        show_comparison(first, rows)


def _refuse(wanted: ResultsFlags, models: Sequence[str], present: Collection[str]) -> NoReturn:
    """Say which model has no result, or that no leaderboard has results of several."""
    for name in models:
        if name not in present:
            raise ConfigError(f"no result of model {name!r}; {nearest(name, present)}")
    raise ConfigError(
        f"no leaderboard of {wanted.results} has results of {' and '.join(models)} together"
    )


def _document(first: RunRecord, rows: Sequence[ComparisonRow]) -> JsonDocument:
    return {
        "dataset": first.dataset.model_dump(mode="json", exclude={"notes"}),
        "split": first.split.model_dump(mode="json"),
        "suite": first.suite,
        "rows": [row.document() for row in rows],
    }
