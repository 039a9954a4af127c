"""What each model of a planned run would take: steps, cache, memory and seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from dygenept.data.memory import TABLES, CellsSize
from dygenept.data.outlines import OutlinedDataset
from dygenept.errors import ConfigError
from dygenept.knowledge.pending_texts import unembedded_texts
from dygenept.model.resolve import ResolvedModel
from dygenept.model.start.left_out import MANY_PERTURBATIONS
from dygenept.plugin.environment import Environment
from dygenept.results.records import RunRecord
from dygenept.runs import plan_costs as costs
from dygenept.runs.plan_coefficients import MEASURED
from dygenept.runs.readiness import require_buildable
from dygenept.types import EncoderFootprint, FitSize, FitWork, IntArray, no_report

# Parts that few train perturbations are held out in, in turn, by a start and a trial of the steps.
HELD_OUT_PARTS = 4
# Of a model in closed form that does not say what its fit takes.
ASSUMED_PASSES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """What one model would take; None where that is not known.

    Attributes:
        name: Shown name.
        role: Its role on boards.
        n_recorded: Folds whose record is in the results folder already.
        lacks: Why it cannot run here; None where it can.
        memory_bytes: Peak memory of a process that runs it.
        limited_bytes: The same under the limit on memory that was asked for; None where there is
            none, and for what it is not known.
        gradient_steps: Gradient steps of one fold, if training does not stop early.
        encoder: What its cell encoder takes.
        seconds: Seconds of one fold, by part: of one thread where they are estimated (of the GPU
            for what an assembly computes there), by the clock where they are recorded.
        basis: Where the seconds are from: ``recorded`` (the mean of its records in the folder),
            ``estimated`` by the cost model, or ``unknown``.
        texts: Facet texts that no run has embedded yet, each with the identity of its encoder.
    """

    name: str
    role: str
    n_recorded: int
    lacks: str | None
    memory_bytes: int | None
    limited_bytes: int | None
    gradient_steps: int | None
    encoder: EncoderFootprint | None
    seconds: Mapping[str, float] | None
    basis: str
    texts: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class ModelPlanner:
    """Plans models one by one; what is assumed on the way is added to ``doubts``."""

    environment: Environment
    dataset: OutlinedDataset
    size: costs.DataSize | None
    folds: tuple[costs.FoldSize, ...]
    machine: costs.Machine
    doubts: list[str]
    scored: costs.Scored
    keeps: bool = True
    limit: int | None = None
    n_tables: int = TABLES

    def plan(self, model: ResolvedModel, records: Mapping[tuple[str, int], RunRecord]) -> ModelPlan:
        """Plan one model."""
        own = [record for (name, _), record in records.items() if name == model.name]
        lacks = self._lacks(model)
        work = self._work(model)
        seconds, basis = self._seconds(model, work, own)
        memory = None
        if self.size is not None and self.folds:
            largest = max(self.folds, key=lambda fold: fold.n_train_cells)
            baseline, of_fold = model.baseline, self._fit_size(largest, self.size)
            fit = None if baseline is None else baseline.fit_work(of_fold)
            memory = costs.process_bytes(
                self.size,
                largest if model.needs_cells else None,
                scoring=costs.scoring_bytes(self.folds, self.size, self.scored, fit),
                n_tables=self.n_tables,
                has_torch=model.assembly is not None,
            )
            if work is not None and work.encoder and work.encoder.cache_place == "memory":
                memory += work.encoder.cache_bytes
        texts = self._texts(model) if lacks is None and len(own) < len(self.folds) else frozenset()
        if memory is not None and texts:
            memory += MEASURED.embed_bytes
        return ModelPlan(
            name=model.name,
            role=model.role,
            n_recorded=len(own),
            lacks=lacks,
            memory_bytes=memory,
            limited_bytes=self._limited(model, MEASURED.embed_bytes if texts else 0),
            gradient_steps=None if work is None else work.steps,
            encoder=None if work is None else work.encoder,
            seconds=seconds,
            basis=basis,
            texts=texts,
        )

    def _texts(self, model: ResolvedModel) -> frozenset[tuple[str, str]]:
        """Return the facet texts that it would embed first; none where genes are not known."""
        data = self.dataset.outline.data
        name = None if model.baseline is None else model.baseline.knowledge
        if model.assembly is not None:
            name = model.assembly.facets
        if data is None or name is None:
            return frozenset()
        environment = self.environment
        runtime = environment.runtime(no_report)
        return unembedded_texts(
            name, sorted(data.target_genes), environment=environment, runtime=runtime
        )

    def _limited(self, model: ResolvedModel, embedding: int) -> int | None:
        """Return peak memory under the limit, what the model says it takes itself included.

        Args:
            model: The model.
            embedding: Bytes that embedding its texts takes before.
        """
        cells = CellsSize.of(self.dataset.outline)
        if self.limit is None or self.size is None or cells is None or not self.folds:
            return None
        cells = replace(cells, n_tables=self.n_tables)
        streams = self.dataset.streams
        given = 0
        if model.needs_cells:
            largest = max(self.folds, key=lambda fold: fold.n_train_cells)
            given = costs.given_bytes(self.size, largest)
        if model.assembly is not None:
            return cells.under(self.limit, streams=streams) + given + MEASURED.torch_bytes
        if model.baseline is None:
            return None
        in_files = cells.files_tables(self.limit, streams=streams)
        sizes = (self._fit_size(fold, self.size, in_files=in_files) for fold in self.folds)
        n_bytes = max(model.baseline.fit_bytes(size) for size in sizes)
        # Texts are embedded before the fit.
        n_bytes = max(n_bytes, embedding)
        return cells.under(self.limit, streams=streams, n_bytes=n_bytes) + given

    def _fit_size(
        self, fold: costs.FoldSize, size: costs.DataSize, *, in_files: bool = False
    ) -> FitSize:
        data = self.dataset.outline.data
        return FitSize(
            n_known=fold.n_train + fold.n_val,
            n_held_out=fold.n_test,
            n_genes=size.n_genes,
            n_targets=size.n_conditions if data is None else len(data.target_genes),
            in_files=in_files,
        )

    def _lacks(self, model: ResolvedModel) -> str | None:
        try:
            require_buildable(model, self.environment)
        except ConfigError as error:
            return str(error)
        return None if model.baseline is None else model.baseline.plugin.missing()

    def _seconds(
        self, model: ResolvedModel, work: costs.Work | None, own: Sequence[RunRecord]
    ) -> tuple[Mapping[str, float] | None, str]:
        if own:
            timings = [record.timings for record in own]
            return {
                "fit": fmean(timing.fit_s for timing in timings),
                "predict": fmean(timing.predict_s for timing in timings),
                "score": fmean(timing.score_s for timing in timings),
            }, "recorded"
        if self.size is None or not self.folds:
            return None, "unknown"
        size = self.size
        fold = max(self.folds, key=lambda fold: fold.n_train)
        taken: dict[str, float] = {}
        if model.needs_cells:
            taken["cells"] = costs.cells_seconds(size)
        if model.assembly is not None and work is not None:
            if work.encoder is None:
                self.doubts.append(
                    f"The cell encoder of {model.name} does not say what it takes; its time and "
                    "cache are left out."
                )
            scored = costs.job_seconds(fold, size, self.scored, FitWork(), keeps=self.keeps)
            fitted = costs.assembly_seconds(work, fold, size, self.machine)
            return {**scored, **taken, **fitted}, "estimated"
        steps = self._fit_work(model, fold, size)
        if steps is None:
            self.doubts.append(f"Nothing is known of how long {model.name} takes.")
            return None, "unknown"
        scored = costs.job_seconds(fold, size, self.scored, steps, keeps=self.keeps)
        return {**scored, **taken}, "estimated"

    def _fit_work(
        self, model: ResolvedModel, fold: costs.FoldSize, size: costs.DataSize
    ) -> FitWork | None:
        """Return the steps of a baseline's fit; some passes where it is known to be quick."""
        if model.baseline is None or model.baseline.spec.environment is not None:
            return None
        found = model.baseline.fit_work(self._fit_size(fold, size))
        if found is None and model.baseline.spec.closed_form:
            self.doubts.append(
                f"{model.name} does not say what its fit takes; {ASSUMED_PASSES} passes over the "
                "means are assumed."
            )
            return FitWork(passes=ASSUMED_PASSES * size.n_conditions * size.n_genes)
        return found

    def _work(self, model: ResolvedModel) -> costs.Work | None:
        """Return what training an assembly consists of; None for a baseline or without sizes."""
        if model.assembly is None or self.size is None or not self.folds:
            return None
        options, cell = model.assembly.training, model.assembly.cell_encoder
        fold = max(self.folds, key=lambda fold: fold.n_train_cells)
        of_cells = options.target == "cell"
        n_rows = fold.n_train_cells if of_cells else fold.n_train
        per_step = (
            options.batch_size if of_cells else options.batch_size // options.cells_per_condition
        )
        steps = options.steps_per_epoch or -(-n_rows // max(1, per_step))
        footprint = cell.spec.footprint
        encoder = None
        if footprint is not None:
            encoder = footprint(cell.options, self._expressed(), self.machine.device)
        used = options.n_prediction_cells or self.size.n_controls
        return costs.Work(
            steps=steps * options.epochs * options.n_members,
            epochs=options.epochs,
            batch_rows=options.batch_size,
            prediction_cells=min(used, self.size.n_controls) * options.n_members,
            has_start=bool(options.warm_start),
            n_parts=1 if fold.n_train + fold.n_val >= MANY_PERTURBATIONS else HELD_OUT_PARTS,
            judges_steps=bool(options.warm_start) and options.keep_steps == "if_better",
            encoder=encoder,
        )

    def _expressed(self) -> IntArray:
        """Return the expressed genes of each control cell, assumed where no file says them."""
        known = self.dataset.outline.control_values
        if known is not None:
            return known
        if self.size is None:
            return np.zeros(0, dtype=np.int32)
        each = self.size.n_values // max(1, self.size.n_cells)
        return np.full(self.size.n_controls, each, dtype=np.int32)
