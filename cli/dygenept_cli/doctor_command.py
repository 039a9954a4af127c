"""``dygenept doctor``: what works on this machine, and what mends the rest."""

from __future__ import annotations

from typing import Annotated

import typer

from dygenept_cli import options

MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def doctor(
    network: Annotated[
        bool,
        typer.Option("--network", help="Also try to reach the host of the published data sets."),
    ] = False,
    data_dir: options.DataDirOption = None,
    registry: options.RegistryOption = None,
    plugin: options.PluginOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Check Python, packages, devices, plugins, data, caches and models.

    Exit code 0: no problem; 1: something should be mended.
    """
    from dataclasses import asdict

    from rich.table import Table

    from dygenept.runs.doctor import diagnose
    from dygenept_cli import context

    environment = context.load_environment(registry, plugin, data_dir=data_dir)
    checks = diagnose(environment, network=network)
    n_problems = sum(check.status == "problem" for check in checks)
    if as_json:
        context.print_json(
            {
                "schema_version": 1,
                "n_problems": n_problems,
                "checks": [asdict(check) for check in checks],
            }
        )
    else:
        table = Table(title=f"{n_problems} problem(s)", title_justify="left")
        for column in ("area", "name", "status", "detail"):
            table.add_column(column, overflow="fold", no_wrap=column != "detail")
        for check in checks:
            table.add_row(check.area, check.name, MARKS[check.status], check.detail)
        context.stdout().print(table, markup=False)
    if n_problems:
        raise typer.Exit(1)
