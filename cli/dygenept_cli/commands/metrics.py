"""``dygenept metrics``: what each metric is worth on a data set, as a table, CSV or JSON."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dygenept.errors import ConfigError
from dygenept.machine.plain_text import csv_cell, fixed
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.benchmark import BenchmarkFlags
from dygenept_cli.flags.environment import DataFlags
from dygenept_cli.flags.records import flag, with_flags
from dygenept_cli.help_screens import command_group

if TYPE_CHECKING:
    from dygenept.leaderboard.metric_audit import AuditRow
    from dygenept.runs.audit import MetricAudit

app = command_group("Audit the metrics on a data set.")


@app.command("audit")
@with_flags
def audit(
    *,
    benchmark: BenchmarkFlags,
    model: list[str] | None = flag(
        "Model whose rank metrics are compared by; may be given several times [default: the "
        "closed-form baselines].",
        metavar="M",
    ),
    as_csv: bool = flag("Print a CSV table.", "--csv", default=False),
    plot: Path | None = flag(
        "Draw the dynamic ranges: .svg, .png or .pdf (extra `plot`).", metavar="FILE"
    ),
    where: DataFlags,
    output: options.OutputFlags,
) -> None:
    """Say of each metric whether it can tell a good prediction from a trivial one on this data set.

    Runs the simple models, the ceilings and some attacks, and writes no results. The dynamic range
    is 0 where the ceiling is no better than the better one of perturbed_mean and control_mean, and
    1 where it is perfect; a metric is calibrated where its 95 % interval lies above 0. The other
    columns are scores on the way from that reference (0) to a perfect score (1).
    """
    from dygenept.runs.audit import audit_metrics

    if as_csv and output.as_json:
        raise ConfigError("--csv and --json cannot be combined; leave one out")
    if plot is not None:
        from dygenept.reports.plots.style import check_plot_file

        check_plot_file(plot)
        console.check_output(plot)
    environment = where.environment()
    declared = benchmark.declared(environment)
    if len(declared.datasets) > 1:
        raise ConfigError(
            f"suite {declared.name!r} has {len(declared.datasets)} data sets; say which one to "
            f"audit: --dataset {declared.datasets[0]}"
        )
    request = benchmark.request(declared, dataset=declared.datasets[0], results=Path("results"))
    with output.progress() as report:
        found = audit_metrics(request, environment, report, models=tuple(model or ()))
    if plot is not None:
        from dygenept.reports.plots.boards import calibration
        from dygenept.reports.plots.style import write_plot

        write_plot(calibration(found.dataset, found.rows), plot)
        console.note(f"chart written to {plot}")
    if output.as_json:
        console.print_json(audit_document(found))
    elif as_csv:
        sys.stdout.write(audit_csv(found.rows))
    else:
        show_audit(found)


VERDICTS = {True: "calibrated", False: "not calibrated", None: "unknown"}


def show_audit(found: MetricAudit) -> None:
    """Print an audit, one line per metric, largest range first; narrow screens get two tables."""
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
