"""An audit of metrics as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from dygenept.machine.plain_text import csv_cell, fixed
from dygenept_cli import console

if TYPE_CHECKING:
    from dygenept.leaderboard.metric_audit import AuditRow
    from dygenept.runs.audit import MetricAudit

VERDICTS = {True: "calibrated", False: "not calibrated", None: "unknown"}


def show_audit(found: MetricAudit) -> None:
    """Print an audit, one line per metric, the largest range first; narrow screens get two tables.

    Args:
        found: The audit.
    """
    from rich import box
    from rich.table import Table

    from dygenept.leaderboard.boards import title
    from dygenept.leaderboard.columns import MISSING, UNCALIBRATED

    rows = sorted(found.rows, key=lambda row: -(row.dynamic_range or -2.0))

    def table_of(columns: Mapping[str, Callable[[AuditRow], str]], heading: str) -> Table:
        made = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        made.add_column("metric", overflow="fold")
        for name in columns:
            made.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            mark = UNCALIBRATED if row.calibrated is False else ""
            made.add_row(
                f"{row.metric} {'↑' if row.higher_is_better else '↓'}{mark}",
                *(value(row) for value in columns.values()),
                style="" if row.calibrated else "dim",
            )
        return made

    screen = console.stdout()
    heading = title(found.dataset, found.split)
    whole = table_of({"verdict": _verdict, **RANGE, **ATTACKS}, heading)
    wanted = screen.measure(whole, options=screen.options.update(max_width=1000)).maximum
    if wanted <= screen.width:
        screen.print(whole)
    else:
        screen.print(table_of(RANGE, heading))
        screen.print(table_of(ATTACKS, "attacks: the score that each gets"))
    screen.print(
        f"{UNCALIBRATED} not calibrated; scores: 0 the better one of perturbed_mean and "
        "control_mean, 1 perfect; ε truth: the right answer in a thousandth of its size; 2× truth: "
        f"in twice its size; gain by scaling: of {rows[0].base_model if rows else MISSING}, by "
        "0.5, 2 or 5; agreement: median Spearman with the other metrics",
        markup=False,
        highlight=False,
    )
    for row in rows:
        said = [*row.weaknesses, *([] if row.calibrated else [row.reason])]
        if said:
            screen.print(f"{row.metric}: {', '.join(said)}.", markup=False, highlight=False)


def _verdict(row: AuditRow) -> str:
    return VERDICTS[row.calibrated]


def _number(value: float | None) -> str:
    from dygenept.leaderboard.columns import MISSING

    return MISSING if value is None else fixed(value, 2)


def _interval(row: AuditRow) -> str:
    low, high = row.dynamic_range_low, row.dynamic_range_high
    return _number(low) if low is None else f"[{_number(low)}, {_number(high)}]"


RANGE: Mapping[str, Callable[[AuditRow], str]] = {
    "dynamic\nrange": lambda row: _number(row.dynamic_range),
    "95 %\ninterval": _interval,
    "n": lambda row: str(row.n_perturbations),
    "agree-\nment": lambda row: _number(row.median_spearman),
}
ATTACKS: Mapping[str, Callable[[AuditRow], str]] = {
    "shuffled\ntruth": lambda row: _number(row.shuffled),
    "random\ntrain": lambda row: _number(row.random_train),
    "ε\ntruth": lambda row: _number(row.epsilon),
    "2×\ntruth": lambda row: _number(row.doubled),
    "gain by\nscaling": lambda row: _number(row.scaling),
    "constant": lambda row: _number(row.constant),
}


def audit_document(found: MetricAudit) -> dict[str, object]:
    """Return an audit for JSON."""
    return {
        "schema_version": 1,
        "dataset": found.dataset.model_dump(mode="json", exclude={"notes"}),
        "split": found.split.model_dump(mode="json"),
        "metrics": [row.document() for row in found.rows],
    }


def audit_csv(rows: Sequence[AuditRow]) -> str:
    """Return an audit as CSV, one row per metric; the agreement of pairs is in JSON alone."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    documents = [{**row.document(), "weaknesses": "; ".join(row.weaknesses)} for row in rows]
    names = [name for name in (documents[0] if documents else {}) if name != "agreement"]
    writer.writerow(names)
    for document in documents:
        writer.writerow([csv_cell(document[name]) for name in names])
    return buffer.getvalue()
