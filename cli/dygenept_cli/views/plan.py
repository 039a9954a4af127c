"""What ``dygenept bench --dry-run`` shows: the plan of a run, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dygenept.runs.plan_costs import embedding_seconds
from dygenept_cli.views.listing import listing, show_facts, show_table

if TYPE_CHECKING:
    from dygenept.runs.plan import BenchPlan
    from dygenept.runs.plan_models import ModelPlan

_UNKNOWN = "?"


def show_plan(plan: BenchPlan) -> None:
    """Print a plan: the data set, the jobs, each model, and what the whole takes."""
    found, outline = plan.dataset, plan.dataset.outline
    size, disk = plan.size, plan.disk_bytes
    left = plan.n_jobs - plan.n_recorded
    at_most = "at most " if outline.is_bound else ""
    values = None if outline.n_values is None else f"{at_most}{outline.n_values:,}"
    where = "on disk" if found.is_on_disk else "not on disk"
    show_facts(
        (
            ("data set", f"{found.name} ({where})"),
            ("cells", f"{count(outline.n_cells)}, control {count(outline.n_controls)}"),
            ("genes", count(outline.n_genes)),
            ("perturbations", count(outline.n_perturbations)),
            ("stored values", values or _UNKNOWN),
            ("split", _split(plan)),
            ("jobs", f"{left} to compute, {plan.n_recorded} recorded in {plan.request.results}"),
            ("device", f"{plan.machine.device}, {plan.machine.n_cores} processor(s)"),
        )
    )
    under = ("under limit",) if plan.request.memory is not None else ()
    columns = ("folds", "steps", "cache", "memory", *under, "time")
    table = listing(None, ("model", *columns), right=columns)
    for model in plan.models:
        table.add_row(*_row(plan, model))
    show_table(table)
    matrix = None if size is None else size.matrix_bytes
    show_facts(
        (
            ("matrix", amount(matrix)),
            (
                "peak memory",
                f"{amount(plan.limited_bytes or plan.memory_bytes)} in each of "
                f"{plan.n_processes} process(es)",
            ),
            (
                "to download",
                "nothing" if found.download_bytes == 0 else amount(found.download_bytes),
            ),
            ("records", amount(disk["records"])),
            ("predictions", f"{amount(disk['predictions'])} at most"),
            ("cache on disk", "none" if disk["cache"] == 0 else amount(disk["cache"])),
            ("texts to embed", _texts(plan)),
            ("before the first job", _shared(plan)),
            ("time", _time(plan)),
        )
    )


def count(number: int | None) -> str:
    """Write a number of things."""
    return _UNKNOWN if number is None else f"{number:,}"


def amount(n_bytes: int | None) -> str:
    """Write bytes in the unit that suits them."""
    if n_bytes is None:
        return _UNKNOWN
    for unit, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20)):
        if n_bytes >= size:
            return f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes / 1024:.0f} KiB"


def duration(seconds: float | None) -> str:
    """Write seconds in the unit that suits them, two digits each."""
    if seconds is None:
        return _UNKNOWN
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return (
                f"{seconds / length:,.2g} {unit}"
                if seconds < 100 * length
                else (f"{seconds / length:,.0f} {unit}")
            )
    return f"{seconds:.2g} s"


def _shared(plan: BenchPlan) -> str:
    shared = plan.shared_seconds
    return f"about {duration(None if shared is None else sum(shared.values()))}"


def _time(plan: BenchPlan) -> str:
    """Say the time of one thread, and by the clock if all processors shared it evenly."""
    text = f"about {duration(plan.seconds)} of one processor, one job after another"
    if plan.seconds is None or plan.machine.n_cores < 2:
        return text
    least = duration(plan.least_seconds)
    return f"{text}; by the clock at least {least} on {plan.machine.n_cores}"


def _texts(plan: BenchPlan) -> str:
    if not plan.n_texts:
        return "none"
    return f"{plan.n_texts:,} of target genes, about {duration(embedding_seconds(plan.n_texts))}"


def _split(plan: BenchPlan) -> str:
    sizes = ""
    if plan.folds:
        first = plan.folds[0]
        sizes = f"; the first {first.n_train:,} / {first.n_val:,} / {first.n_test:,}"
    assumed = "" if plan.are_folds_cut else " (assumed)"
    return f"{plan.request.split}, {plan.n_folds} fold(s){sizes}{assumed}"


def _row(plan: BenchPlan, model: ModelPlan) -> tuple[str, ...]:
    left = plan.n_folds - model.n_recorded
    seconds, folds = plan.seconds_of(model), str(left)
    if model.lacks is not None:
        # What it would take where its weights and packages are.
        folds = "none"
        seconds = None if model.seconds is None else plan.n_folds * sum(model.seconds.values())
    cache = "" if model.encoder is None else amount(model.encoder.cache_bytes)
    mark = "" if model.basis != "recorded" else " (recorded)"
    return (
        model.name,
        folds,
        "" if model.gradient_steps is None else f"{model.gradient_steps:,}",
        cache if model.encoder is not None and model.encoder.cache_place != "off" else "",
        amount(model.memory_bytes),
        *((amount(model.limited_bytes),) if plan.request.memory is not None else ()),
        f"{duration(seconds)}{mark}",
    )
