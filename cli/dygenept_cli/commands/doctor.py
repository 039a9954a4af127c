"""``dygenept doctor``: what works on this machine, and how to fix the rest."""

from __future__ import annotations

from dataclasses import asdict

import typer

from dygenept_cli import console
from dygenept_cli.flags import options
from dygenept_cli.flags.environment import MachineFlags
from dygenept_cli.flags.records import flag

MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def doctor(
    *,
    network: bool = flag("Also try to reach the host of the published data sets.", default=False),
    gpu: bool = flag(
        "Train a few steps on the GPU and compare with the CPU; nothing else.", default=False
    ),
    where: MachineFlags,
    as_json: options.JsonOption = False,
) -> None:
    """Check Python, packages, devices, plugins, data, caches and models.

    Exit code 0: no problem; 1: something should be fixed.
    """
    if gpu:
        _check_gpu(where, as_json=as_json)
        return

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


def _check_gpu(where: MachineFlags, *, as_json: bool) -> None:
    """Show how training steps on the device compare with those on the CPU."""
    from dygenept.runs.gpu_check import check_gpu
    from dygenept_cli.views.listing import listing, show_table

    checks = list(check_gpu(where.environment()))
    n_problems = sum(not check.is_ok for check in checks)
    if as_json:
        rows = [{**asdict(check), "is_ok": check.is_ok} for check in checks]
        console.print_json({"n_problems": n_problems, "steps": rows})
    else:
        columns = ("setting", "status", "ms per step", "TFLOP/s", "loss differs by", "allowed")
        table = listing(f"{n_problems} problem(s)", columns, whole=columns)
        for check in checks:
            status = MARKS["ok" if check.is_ok else "problem"]
            gap, allowed = f"{check.gap:.2%}", f"{check.tolerance:.1%}"
            table.add_row(
                check.name, status, f"{check.step_ms:.1f}", f"{check.tflops:.3g}", gap, allowed
            )
        show_table(table)
    if n_problems:
        raise typer.Exit(1)
