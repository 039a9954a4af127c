"""A preparation from end to end: the passes over a file, the ready file and its manifest."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from dygenept.data.batches import batch_factors
from dygenept.data.prepare.choosing import (
    FoldOf,
    choosing,
    choosing_conditions,
    chosen_on,
    kept_by_name,
)
from dygenept.data.prepare.documents import BatchHandling, Manifest, Source
from dygenept.data.prepare.filters import filter_cells, filter_genes
from dygenept.data.prepare.knock_down import TargetMoves, target_columns, target_moves
from dygenept.data.prepare.matched_targets import match_targets
from dygenept.data.prepare.options import PrepareOptions
from dygenept.data.prepare.passes import GeneSums, Report, Scaling, sum_cells, sum_genes, sum_groups
from dygenept.data.prepare.variable_genes import normalized_dispersions, top_variable
from dygenept.data.prepare.writing import ReadyFile, write_ready
from dygenept.data.reading.h5ad import (
    genes_chosen_on,
    open_h5ad,
    says_simulated,
    simulated_draw,
    wanted_of,
)
from dygenept.data.reading.labelled import LabelledFile, read_labelled
from dygenept.errors import ConfigError, DataError, ResultsError
from dygenept.machine.checksums import size_and_sha256
from dygenept.machine.places import followed
from dygenept.types import BoolArray, DoubleArray, IntArray, no_report

MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a preparation made.

    Attributes:
        path: The ready file.
        manifest: What was done.
        moves: How targets moved; None where no modality was given.
        conditions: Label and cell type of each condition that ``moves`` counts.
    """

    path: Path
    manifest: Manifest
    moves: TargetMoves | None
    conditions: tuple[tuple[str, str], ...]


def prepare_file(
    path: Path,
    output: Path,
    options: PrepareOptions,
    *,
    fold_of: FoldOf | None = None,
    report: Report = no_report,
) -> Prepared:
    """Read a file in blocks, filter, scale and choose genes, and write a ready file.

    The file is only read. Nothing larger than a block of cells, and a few numbers per cell and per
    gene, is in memory.

    Args:
        path: The file, of any layout that ``read_anndata`` reads.
        output: The ready file; written whole or not at all.
        options: The steps.
        fold_of: Cuts the fold of the kept cells whose train cells, beside controls, choose variable
            genes; None for control cells alone, which suits every split.
        report: Gets the cells so far of each pass.

    Raises:
        DataError: If the file breaks a rule, or nothing passes the filters.
        ConfigError: If the output is the file itself, or a step lacks what it needs.
    """
    if followed(output) == followed(path) or (output.exists() and output.samefile(path)):
        raise ConfigError(f"{output} is the file itself, which stays as it is; name another")
    options.check_counts(path)
    notes: list[str] = []
    counts: dict[str, int] = {}
    with open_h5ad(path, wanted=wanted_of(options.mapping.layer)) as file:
        found = read_labelled(file, path, options.mapping, notes)
        sums, said = sum_cells(found, report, normalize=options.normalize)
        notes += said
        if options.max_mito is not None and not sums.has_mito:
            notes.append("No gene symbol begins with MT-, so --max-mito left nothing out.")
        if found.batches is not None and options.batches == "none":
            notes.append(
                "The column of batches is left out, so that controls of the ready file are not "
                "matched by batch; --batches controls keeps it."
            )
        cells = found.cells
        kept = filter_cells(sums, cells.condition_codes, cells.cell_type_codes, options, counts)
        target = None
        if options.normalize:
            positive = sums.totals[kept & (sums.totals > 0)]
            target = options.target_sum or float(np.median(positive))
        scaling = Scaling(cells=None if target is None else _cell_factors(sums.totals, target))
        scaling, batch_record = _batches(found, kept, scaling, options, report)
        fold = None if fold_of is None else fold_of(kept_by_name(found, kept, name=path.stem))
        chooses = kept & choosing(found, fold)
        columns = target_columns(cells.conditions, found.genes.symbols)
        genes = sum_genes(found, kept, scaling, chooses, columns, report)
        # Where cells choose genes, those that are held out have no say in a filter either.
        restricts = fold is not None or options.n_variable is not None
        seen = genes.n_choosing if restricts else genes.n_cells
        kept_genes = filter_genes(seen, options, counts)
        dispersions, is_variable = _variable(genes, chooses, kept_genes, options, notes)
        if options.modality and options.batches == "controls":
            genes = match_targets(found, kept, scaling, genes, columns, report)
        moves = _moves(found, kept, genes, columns, options)
        is_target = np.zeros(len(kept_genes), dtype=np.bool_)
        if options.keeps_targets:
            wanted = {gene for of in cells.conditions for gene in of.genes}
            is_target = np.asarray([symbol in wanted for symbol in found.genes.symbols])
        written = kept_genes & (is_variable | is_target)
        manifest: Manifest = {
            "version": MANIFEST_VERSION,
            "source": _source(path),
            "options": _asked(options, found),
            "total": target,
            "left_out": counts,
            "cells": {"in": found.n_rows, "kept": int(kept.sum())},
            "genes": {
                "in": len(kept_genes),
                "kept": int(written.sum()),
                "variable": int((written & is_variable).sum()),
                "targets_beside": int((written & ~is_variable).sum()),
            },
            "variable_genes": None if options.n_variable is None else chosen_on(chooses, fold),
            "batches": batch_record,
            "targets": None if moves is None else moves.summary(),
            "notes": [*found.parsed.notes, *notes],
        }
        # What chose the genes of the file that is read has chosen those of the ready one too.
        earlier = genes_chosen_on(file, cells.conditions)
        chose = options.n_variable is not None or options.min_cells > 0
        own = choosing_conditions(found, kept, fold) if chose else ()
        ready = ReadyFile(
            kept=kept,
            genes=written,
            is_variable=is_variable,
            dispersions=dispersions,
            n_values=int(genes.n_cells[written].sum()),
            batch=found.batches if options.batches == "controls" else None,
            is_simulated=says_simulated(file),
            draw=simulated_draw(file) if says_simulated(file) else None,
            chosen_on=tuple(sorted(earlier.union(own))),
        )
        _check_room(output, ready.n_values, int(kept.sum()))
        try:
            write_ready(output, found, scaling, ready, json.dumps(manifest, sort_keys=True), report)
        except OSError as error:
            if error.errno is None:
                raise
            # Inside this block it would be taken for damage of the file that is read.
            raise ResultsError(f"cannot write {output}: {error.strerror}") from error
    of = tuple(
        (cells.conditions[row].label, cells.conditions[row].cell_type) for row in _rows(moves)
    )
    return Prepared(output, manifest, moves, of)


def _source(path: Path) -> Source:
    size, sha256 = size_and_sha256(path)
    return {"file": str(path), "size": size, "sha256": sha256}


def _check_room(output: Path, n_values: int, n_cells: int) -> None:
    """Refuse a disk that is too small before HDF5 finds out, which it does not always survive."""
    needed = n_values * 8 + n_cells * 64
    folder = followed(output).parent
    free = shutil.disk_usage(next(of for of in (folder, *folder.parents) if of.exists())).free
    if free < needed:
        raise ResultsError(
            f"cannot write {output}: it takes about {needed / 1e6:,.1f} MB, and "
            f"{free / 1e6:,.1f} MB are free; name another place"
        )


def _cell_factors(totals: DoubleArray, target: float) -> DoubleArray:
    return target / np.where(totals > 0, totals, target)


def _batches(
    found: LabelledFile, kept: BoolArray, scaling: Scaling, options: PrepareOptions, report: Report
) -> tuple[Scaling, BatchHandling]:
    if options.batches == "none":
        return scaling, {"handling": "none"}
    if found.batches is None:
        raise ConfigError(f"--batches {options.batches} needs the column: --batch-column COLUMN")
    record: BatchHandling = {
        "handling": options.batches,
        "column": found.mapping.batch_column,
        "n_batches": len(found.batches.categories),
    }
    if options.batches == "controls":
        return scaling, record
    cells, n_batches = found.cells, len(found.batches.categories)
    pairs = cells.cell_type_codes * n_batches + found.batches.codes
    rows = np.where(found.batches.codes < 0, -1, pairs).astype(np.int32)
    of_controls = np.where(cells.condition_codes < 0, rows, -1).astype(np.int32)
    n_rows = len(cells.cell_types) * n_batches
    sums = sum_groups(found, kept, scaling, (of_controls, n_rows), report)
    n_controls = np.bincount(of_controls[kept & (of_controls >= 0)], minlength=n_rows)
    factors, n_limited = batch_factors(sums, n_controls.astype(np.int32), n_batches=n_batches)
    record["factors_limited"] = n_limited
    return Scaling(cells=scaling.cells, batches=factors, rows=rows), record


def _variable(
    genes: GeneSums,
    chooses: BoolArray,
    kept_genes: BoolArray,
    options: PrepareOptions,
    notes: list[str],
) -> tuple[DoubleArray, BoolArray]:
    dispersions = np.full(len(kept_genes), np.nan)
    if options.n_variable is None:
        return dispersions, kept_genes
    n = int(chooses.sum())
    if n < 2:
        raise DataError("fewer than two cells could choose variable genes; leave --variable out")
    means = genes.sums / n
    variances = np.maximum(genes.squares / n - means**2, 0.0) * n / (n - 1)
    dispersions[kept_genes] = normalized_dispersions(means[kept_genes], variances[kept_genes])
    is_variable = top_variable(dispersions, options.n_variable)
    if (n_found := int(is_variable.sum())) < min(options.n_variable, int(kept_genes.sum())):
        notes.append(
            f"Only {n_found:,} genes vary over the {n:,} cells that choose variable genes, of "
            f"{options.n_variable:,} that were asked for."
        )
    return dispersions, is_variable


def _moves(
    found: LabelledFile,
    kept: BoolArray,
    genes: GeneSums,
    columns: IntArray,
    options: PrepareOptions,
) -> TargetMoves | None:
    if not options.modality:
        return None
    cells = found.cells
    sizes = np.bincount(
        cells.condition_codes[kept & (cells.condition_codes >= 0)], minlength=len(cells.conditions)
    )
    rows = np.flatnonzero((columns >= 0) & (sizes > 0)).astype(np.int32)
    types = np.asarray(
        [cells.cell_types.index(cells.conditions[row].cell_type) for row in rows], int
    )
    is_control = kept & (cells.condition_codes < 0)
    n_controls = np.bincount(cells.cell_type_codes[is_control], minlength=len(cells.cell_types))
    own = (genes.targets[rows], genes.target_squares[rows], sizes[rows].astype(np.int32))
    control = (
        genes.controls[types, columns[rows]],
        genes.control_squares[types, columns[rows]],
        n_controls[types].astype(np.int32),
    )
    return target_moves(own, control, rows=rows, direction=options.direction)


def _rows(moves: TargetMoves | None) -> list[int]:
    return [] if moves is None else moves.rows.tolist()


def _asked(options: PrepareOptions, found: LabelledFile) -> dict[str, object]:
    return {**asdict(options), "mapping": found.mapping.given()}
