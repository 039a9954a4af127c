"""``dygenept compare``: is one model better than another, over the same perturbations?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dygenept_cli import options

if TYPE_CHECKING:
    from dygenept.leaderboard.columns import JsonDocument
    from dygenept.leaderboard.comparisons import ComparisonRow
    from dygenept.results.records import RunRecord


def compare(
    models: Annotated[
        list[str], typer.Argument(metavar="A B [C …]", help="Models as the leaderboard names them.")
    ],
    results: options.ResultsOption = Path("results"),
    dataset: options.DatasetFilterOption = None,
    metric: options.MetricFilterOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Compare model A with B (and with C …) by a paired bootstrap over perturbations.

    Shows the mean difference A minus B over the perturbations that both were scored on, its 95 %
    interval (2,000 seeded draws or more) and a two-sided p value; with more than two models, p is
    Holm-corrected over the models that A is compared with.
    """
    from dygenept.errors import ConfigError
    from dygenept.leaderboard.comparisons import compare_models
    from dygenept_cli import context
    from dygenept_cli.boards import chosen_boards

    if len(set(models)) < 2:
        raise ConfigError("name two different models, such as: dygenept compare ridge additive")
    metrics = tuple(metric or ())
    boards = [
        records
        for records in chosen_boards(results, dataset=dataset, metrics=metrics)
        if len({record.model for record in records} & set(models)) > 1
    ]
    if not boards:
        _no_board(results, dataset, models)
    found = [
        (records[0], compare_models(records, _present(models, records), metrics=metrics))
        for records in boards
    ]
    if as_json:
        context.print_json(
            {"schema_version": 1, "comparisons": [_document(first, rows) for first, rows in found]}
        )
        return
    for first, rows in found:
        _print(first, rows)


def _present(models: Sequence[str], records: Sequence[RunRecord]) -> list[str]:
    """Keep the models of this leaderboard; the first one asked for must be among them."""
    here = {record.model for record in records}
    return [name for name in models if name in here or name == models[0]]


def _no_board(results: Path, dataset: str | None, models: Sequence[str]) -> None:
    from dygenept.errors import ConfigError, nearest
    from dygenept_cli.boards import chosen_boards

    present = {
        record.model
        for records in chosen_boards(results, dataset=dataset, metrics=())
        for record in records
    }
    for name in models:
        if name not in present:
            raise ConfigError(f"no result of model {name!r}; {nearest(name, present)}")
    raise ConfigError(f"no leaderboard of {results} has results of {' and '.join(models)} together")


def _document(first: RunRecord, rows: Sequence[ComparisonRow]) -> JsonDocument:
    return {
        "dataset": first.dataset.model_dump(mode="json", exclude={"notes"}),
        "split": first.split.model_dump(mode="json"),
        "suite": first.suite,
        "rows": [row.document() for row in rows],
    }


def _print(first: RunRecord, rows: Sequence[ComparisonRow]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from dygenept.leaderboard.boards import title
    from dygenept.leaderboard.columns import number
    from dygenept_cli import context

    others = list(dict.fromkeys(row.other for row in rows))
    names = f"A = {rows[0].model}" if rows else ""
    names += f", B = {others[0]}" if len(others) == 1 else ""
    table = Table(
        title=escape(f"{title(first.dataset, first.split)}\n{names}"),
        caption="paired bootstrap over the same perturbations; –: cannot be told apart"
        + ("; p Holm-corrected over models" if len(others) > 1 else ""),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    # Beside a second model name, only the metric's can give way in a narrow terminal.
    table.add_column("metric", overflow="fold", no_wrap=len(others) == 1)
    if len(others) > 1:
        table.add_column("B", overflow="fold", min_width=10)
    table.add_column("A - B", justify="right", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("wins", no_wrap=True)
    for row in rows:
        winner = "A" if row.better == row.model else "B"
        table.add_row(
            f"{row.metric} {'↑' if row.higher_is_better else '↓'}",
            *([escape(row.other)] if len(others) > 1 else []),
            number(row.difference),
            f"\\[{number(row.ci_low)}, {number(row.ci_high)}]",
            f"{row.p_holm:.3f}",
            "–" if row.better is None else winner,
        )
    context.stdout().print(table)
