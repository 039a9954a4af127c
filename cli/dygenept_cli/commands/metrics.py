"""``dygenept metrics``: what each metric is worth on a data set."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from dygenept.errors import ConfigError
from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.benchmark import BenchmarkFlags
from dygenept_cli.flags.environment import DataFlags
from dygenept_cli.flags.records import flag, with_flags

app = typer.Typer(
    help="Audit the metrics on a data set.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def metrics() -> None:
    """Audit the metrics on a data set."""


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
    from dygenept_cli.views.audit import audit_csv, audit_document, show_audit

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
