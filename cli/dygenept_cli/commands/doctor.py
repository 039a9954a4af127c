"""``dygenept doctor``: what works on this machine, and how to fix the rest."""

from __future__ import annotations

from typing import Annotated

import typer

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.environment import DataFlags

MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def doctor(
    *,
    network: Annotated[
        bool,
        typer.Option("--network", help="Also try to reach the host of the published data sets."),
    ] = False,
    where: DataFlags,
    as_json: options.JsonOption = False,
) -> None:
    """Check Python, packages, devices, plugins, data, caches and models.

    Exit code 0: no problem; 1: something should be fixed.
    """
    from dataclasses import asdict

    from dygenept.runs.doctor import diagnose
    from dygenept_cli.views.listing import listing, show_table

    checks = diagnose(where.environment(), network=network)
    n_problems = sum(check.status == "problem" for check in checks)
    if as_json:
        document = {"n_problems": n_problems, "checks": [asdict(check) for check in checks]}
        console.print_json(document)
    else:
        columns = ("area", "name", "status", "detail")
        table = listing(f"{n_problems} problem(s)", columns, whole=columns[:3])
        for check in checks:
            table.add_row(check.area, check.name, MARKS[check.status], check.detail)
        show_table(table)
    if n_problems:
        raise typer.Exit(1)
