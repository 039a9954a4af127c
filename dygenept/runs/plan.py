"""What a run would do and take, before it reads an expression value: ``bench --dry-run``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dygenept.data.memory import CellsSize, check_memory
from dygenept.data.outlines import OutlinedDataset, outline_data
from dygenept.errors import ConfigError, DataError
from dygenept.machine.threads import n_processors
from dygenept.model.resolve import resolve_models
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import MetricSpec
from dygenept.results.records import RunRecord
from dygenept.runs import plan_costs as costs
from dygenept.runs.executors import executor_of
from dygenept.runs.plan_coefficients import GIB, MEASURED
from dygenept.runs.plan_jobs import assumed_folds, fold_sizes, planned_folds, recorded_jobs
from dygenept.runs.plan_models import ModelPlan, ModelPlanner
from dygenept.runs.ray_executor import check_ranks
from dygenept.runs.readiness import with_file_hashes
from dygenept.runs.run_context import check_request, n_tables_of, run_device
from dygenept.runs.runner import BenchRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPlan:
    """What a run on one data set would do.

    Attributes:
        request: What was asked for.
        dataset: The data set, as far as it is known.
        size: Sizes that costs were computed from; None where too little is known.
        folds: Sizes of the folds; one average fold where ``are_folds_cut`` is False.
        n_folds: How many folds there are.
        are_folds_cut: The split was made; else the folds are those that were asked for.
        machine: Where it would compute.
        models: Each model.
        scored: Metrics that would be scored.
        doubts: What is assumed or not known, one sentence each.
    """

    request: BenchRequest
    dataset: OutlinedDataset
    size: costs.DataSize | None
    folds: tuple[costs.FoldSize, ...]
    n_folds: int
    are_folds_cut: bool
    machine: costs.Machine
    models: tuple[ModelPlan, ...]
    scored: costs.Scored
    doubts: tuple[str, ...]

    @property
    def n_jobs(self) -> int:
        """Jobs in all, those of models that cannot run here left out."""
        return self.n_folds * sum(model.lacks is None for model in self.models)

    @property
    def n_recorded(self) -> int:
        """Jobs whose record is there."""
        return sum(model.n_recorded for model in self.models if model.lacks is None)

    def seconds_of(self, model: ModelPlan) -> float | None:
        """Seconds of a model's jobs that are still to do; None where that is not known."""
        left = self.n_folds - model.n_recorded
        if model.lacks is not None or not left:
            return 0.0
        return None if model.seconds is None else left * sum(model.seconds.values())

    @property
    def shared_seconds(self) -> Mapping[str, float] | None:
        """Seconds of what jobs share, by part; None without sizes."""
        if self.size is None:
            return None
        keeps = self.request.keep_predictions
        found = dict(costs.shared_seconds(self.size, self.scored, keeps=keeps))
        of_folds = [costs.distance_seconds(fold, self.size, self.scored) for fold in self.folds]
        is_done = self.n_recorded == self.n_jobs
        return {**found, "distances": 0.0 if is_done else sum(of_folds)}

    @property
    def seconds(self) -> float | None:
        """Seconds of the whole run, one job after another, added up over threads.

        None where a part is not known.
        """
        parts = [self.seconds_of(model) for model in self.models]
        shared = self.shared_seconds
        if shared is None or any(part is None for part in parts):
            return None
        before = sum(shared.values()) + costs.embedding_seconds(self.n_texts)
        return before + sum(part for part in parts if part is not None)

    @property
    def least_seconds(self) -> float | None:
        """The same by the clock, if all processors shared evenly what is estimated of them."""
        whole, n_cores = self.seconds, max(1, self.machine.n_cores)
        if whole is None:
            return None
        left = 0.0
        for model in self.models:
            # Recorded by the clock, or of the GPU: more processors make neither shorter.
            is_elsewhere = self.machine.has_gpu and model.gradient_steps is not None
            if model.basis == "recorded" or is_elsewhere:
                left += self.seconds_of(model) or 0.0
        return left + (whole - left) / n_cores

    @property
    def n_texts(self) -> int:
        """Facet texts that would be embedded first, since no run has embedded them."""
        return len(frozenset().union(*(model.texts for model in self.models)))

    @property
    def memory_bytes(self) -> int | None:
        """Peak memory of one process; None where that is not known."""
        needed = [model.memory_bytes for model in self.models if model.lacks is None]
        known = [amount for amount in needed if amount is not None]
        return max(known) if known and len(known) == len(needed) else None

    @property
    def limited_bytes(self) -> int | None:
        """The same of a process under the limit on memory; of models that are not refused."""
        limit = self.request.memory
        needed = [model.limited_bytes for model in self.models if model.lacks is None]
        known = [amount for amount in needed if amount is not None and amount <= (limit or 0)]
        return max(known, default=None)

    @property
    def n_processes(self) -> int:
        """Processes that run jobs at once."""
        return max(1, min(self.request.jobs, self.n_jobs - self.n_recorded))

    @property
    def disk_bytes(self) -> Mapping[str, int | None]:
        """Bytes that the run would write, at most: ``records``, ``predictions`` and ``cache``."""
        cache = sum(
            model.encoder.cache_bytes
            for model in self.models
            if model.lacks is None
            and model.encoder is not None
            and model.encoder.cache_place == "disk"
        )
        if self.size is None:
            return {"records": None, "predictions": None, "cache": None}
        size, n_folds = self.size, max(1, len(self.folds))
        share = (self.n_jobs - self.n_recorded) / n_folds
        records = sum(costs.record_bytes(fold, self.scored.n_metrics) for fold in self.folds)
        kept = sum(costs.prediction_bytes(fold, size) for fold in self.folds)
        truth = size.n_conditions * size.n_genes * 8
        keeps = self.request.keep_predictions
        return {
            "records": int(records * share),
            "predictions": int(kept * share) + truth if keeps else 0,
            "cache": cache,
        }


def plan_bench(request: BenchRequest, environment: Environment) -> BenchPlan:
    """Plan a run; nothing is fetched, simulated, built, fitted or written.

    Raises:
        DygeneptError: What a run would refuse before it reads values: an unknown name, a damaged
            file, an option that does not fit.
    """
    check_request(request, environment)
    models = tuple(
        with_file_hashes(model, environment)
        for model in resolve_models(
            request.models, environment, request.overrides, request.variants
        )
    )
    found = outline_data(request, environment)
    device = run_device(models, environment)
    machine = costs.Machine(device=device, n_cores=n_processors(), memory_bytes=_memory())
    doubts = _refused_executor(request)
    n_tables, scored = n_tables_of(request, environment), _scored(request, environment)
    size = _size(found, doubts)
    if size is not None and request.memory is not None:
        size = _within(size, found, request.memory, n_tables)
    records: Mapping[tuple[str, int], RunRecord] = {}
    folds, n_folds, cut = assumed_folds(request, size), request.n_folds, False
    if found.outline.data is not None:
        planned = planned_folds(request, environment, found.outline.data)
        folds = fold_sizes(planned.split.folds, found.outline.data)
        n_folds, cut = len(folds), True
        records = recorded_jobs(request, environment, found, models)
    else:
        doubts.append(
            "The data set is not on disk, so its folds are those that were asked for, of equal "
            "size, and records of it in the results folder are not looked up."
            if not found.is_table
            else "A table of effects is not read, so its folds and costs are not known."
        )
    planner = ModelPlanner(
        environment=environment,
        dataset=found,
        size=size,
        folds=folds,
        machine=machine,
        doubts=doubts,
        scored=scored,
        keeps=request.keep_predictions,
        limit=request.memory,
        n_tables=n_tables,
    )
    plans = tuple(planner.plan(model, records) for model in models)
    if device.startswith("cuda"):
        doubts.append(
            f"No GPU was measured: {MEASURED.gpu_flop:.0e} operations per second are assumed."
        )
    if any(model.texts for model in plans):
        doubts.append(
            "Only texts of the data set's target genes were looked up in the cache of embeddings; "
            "those of genes that inform unknown facets come on top."
        )
    doubts += (*_too_large(plans, machine), *_under_limit(request, found, plans, n_tables))
    return BenchPlan(
        request=request,
        dataset=found,
        size=size,
        folds=folds,
        n_folds=n_folds,
        are_folds_cut=cut,
        machine=machine,
        models=plans,
        scored=scored,
        doubts=tuple(dict.fromkeys(doubts)),
    )


def _refused_executor(request: BenchRequest) -> list[str]:
    """Say why the run would not start here; a plan may be for another machine.

    Raises:
        ConfigError: If there is no such executor.
    """
    executor = executor_of(request.executor, request.jobs)
    try:
        check_ranks(request.ranks, executor)
    except ConfigError as error:
        return [f"The run would be refused: {error}."]
    return []


def _size(found: OutlinedDataset, doubts: list[str]) -> costs.DataSize | None:
    """Return sizes; what the data set does not say is assumed and named."""
    outline, c = found.outline, MEASURED
    n_cells, n_genes, n_perturbations = outline.n_cells, outline.n_genes, outline.n_perturbations
    if n_cells is None or n_genes is None or n_perturbations is None:
        if not found.is_table:
            counts = {"cells": n_cells, "genes": n_genes, "perturbations": n_perturbations}
            lacking = [what for what, n in counts.items() if n is None]
            doubts.append(
                f"Nobody says how many {' and '.join(lacking)} there are, so nothing is estimated; "
                "`dygenept data fetch` it, or write the counts into its registry entry."
            )
        return None
    n_values, n_controls = outline.n_values, outline.n_controls
    if n_values is None:
        n_values = int(c.density * n_cells * n_genes)
        doubts.append(
            f"The number of stored values is not known; {c.density:.1%} of the matrix is assumed."
        )
    elif outline.is_bound:
        doubts.append(
            "The matrix is not stored by cells, so its stored values are counted as if none were "
            "zero: memory and times are upper bounds."
        )
    if n_controls is None:
        n_controls = int(c.control_share * n_cells)
        doubts.append(
            f"The number of control cells is not known; {c.control_share:.1%} is assumed."
        )
    data = outline.data
    return costs.DataSize(
        n_cells=n_cells,
        n_genes=n_genes,
        n_conditions=n_perturbations if data is None else len(data.conditions),
        n_controls=n_controls,
        n_values=n_values,
        n_types=1 if data is None else len(data.cell_types),
        n_offsets=outline.n_offsets,
    )


def _within(
    size: costs.DataSize, found: OutlinedDataset, limit: int, n_tables: int
) -> costs.DataSize:
    """Say what is in files under a limit on memory."""
    cells = CellsSize.of(found.outline)
    if cells is None:
        return size
    cells = replace(cells, n_tables=n_tables)
    peak = cells.under(limit, streams=found.streams)
    return replace(
        size,
        is_stored=peak in (cells.streamed, cells.bounded),
        is_filed=cells.files_tables(limit, streams=found.streams),
    )


def _too_large(models: Sequence[ModelPlan], machine: costs.Machine) -> list[str]:
    """Name models whose processes do not fit into the machine's memory."""
    limit = machine.memory_bytes
    names = [m.name for m in models if limit and m.memory_bytes and m.memory_bytes > limit]
    if limit is None or not names:
        return []
    return [
        f"This machine has {limit / GIB:,.3g} GiB of memory, less than {' and '.join(names)} "
        "would take."
    ]


def _under_limit(
    request: BenchRequest, found: OutlinedDataset, models: Sequence[ModelPlan], n_tables: int
) -> list[str]:
    """Say what a limit on memory would make of the run."""
    size, limit = CellsSize.of(found.outline), request.memory
    if limit is None or size is None:
        return []
    size = replace(size, n_tables=n_tables)
    try:
        check_memory(found.name, size, limit, streams=found.streams)
    except DataError as error:
        return [f"The run would be refused: {error}."]
    said: list[str] = []
    peak = size.under(limit, streams=found.streams)
    if peak != size.in_memory:
        at_most = "at most " if size.is_bound else ""
        files = []
        if peak != size.without_tables:
            files.append(
                f"cells are kept in a temporary file of {at_most}{size.stored / 1e9:,.2f} GB"
            )
        if peak in (size.bounded, size.without_tables):
            n_bytes = size.stored_tables
            files.append(
                f"arrays of conditions x genes are kept in files of at most {n_bytes / 1e9:,.2f} GB"
            )
        said.append(
            f"Not everything fits into --memory: {' and '.join(files)}, with a peak of about "
            f"{peak / GIB:,.2f} GiB."
        )
    names = [model.name for model in models if (model.limited_bytes or 0) > limit]
    if names:
        said.append(
            f"{' and '.join(names)} would be refused under --memory, since what it takes by itself "
            "does not fit beside the rest."
        )
    return said


def _scored(request: BenchRequest, environment: Environment) -> costs.Scored:
    """Count the metrics that a run on cells scores; those for few control cells are not known."""
    known = environment.manager.specs(MetricSpec)
    asked = [spec for spec in known if spec.name in request.metrics]
    specs = asked or [spec for spec in known if spec.boards == "default"]
    n_cells = sum(spec.uses_cells for spec in specs)
    n_rows = sum(spec.by_row and not spec.uses_cells for spec in specs)
    return costs.Scored(
        n_rows=n_rows,
        n_ranks=len(specs) - n_cells - n_rows,
        n_cells=n_cells,
        uses_tests=any(spec.uses_de_tests for spec in specs),
    )


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
