"""An audit of metrics as a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dygenept_cli import console

if TYPE_CHECKING:
    from dygenept.leaderboard.metric_audit import AuditRow
    from dygenept.runs.audit import MetricAudit

VERDICTS = {True: "calibrated", False: "not calibrated", None: "unknown"}


def show_audit(found: MetricAudit) -> None:
    """Print an audit, one line per metric, the largest range first."""
    from rich.table import Table

    from dygenept.leaderboard.boards import title
    from dygenept.leaderboard.columns import MISSING
    from dygenept.machine.figures import fixed

    def number(value: float | None) -> str:
        return MISSING if value is None else fixed(value, 2)

    rows = sorted(found.rows, key=lambda row: -(row.dynamic_range or -2.0))
    table = Table(
        title=title(found.dataset, found.split),
        caption="scores: 0 the better one of perturbed_mean and control_mean, 1 perfect; ε truth: "
        "the right answer in a thousandth of its size; 2× truth: in twice its size; gain by "
        f"scaling: of {rows[0].base_model if rows else MISSING}, by 0.5, 2 or 5; agreement: median "
        "Spearman with the other metrics",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("metric", overflow="fold")
    for heading in ("verdict", "dynamic\nrange", "95 %\ninterval", "n", "shuffled\ntruth"):
        table.add_column(heading, no_wrap=True)
    for heading in ("random\ntrain", "ε\ntruth", "2×\ntruth", "gain by\nscaling"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("constant", "agree-\nment"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        low, high = row.dynamic_range_low, row.dynamic_range_high
        table.add_row(
            f"{row.metric} {'↑' if row.higher_is_better else '↓'}",
            VERDICTS[row.calibrated],
            number(row.dynamic_range),
            MISSING if low is None else f"[{number(low)}, {number(high)}]",
            str(row.n_perturbations),
            number(row.shuffled),
            number(row.random_train),
            number(row.epsilon),
            number(row.doubled),
            number(row.scaling),
            number(row.constant),
            number(row.median_spearman),
            style="" if row.calibrated else "dim",
        )
    screen = console.stdout()
    screen.print(table)
    for row in rows:
        said = [*row.weaknesses, *([] if row.calibrated else [row.reason])]
        if said:
            screen.print(f"{row.metric}: {', '.join(said)}.", markup=False, highlight=False)


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
    from dygenept.machine.plain_text import csv_cell

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    documents = [{**row.document(), "weaknesses": "; ".join(row.weaknesses)} for row in rows]
    names = [name for name in (documents[0] if documents else {}) if name != "agreement"]
    writer.writerow(names)
    for document in documents:
        writer.writerow([csv_cell(document[name]) for name in names])
    return buffer.getvalue()
