"""Predictions that a results folder keeps, put together over folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dygenept.errors import ResultsError, nearest
from dygenept.results.record_index import RecordHeader, RecordIndex
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore, read_kept_table
from dygenept.types import PerturbationData, Predictions

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class KeptPredictions:
    """One model's kept predictions.

    Attributes:
        records: Their records, by fold.
        table: Columns perturbation, cell_type, fold (counted from 1), then one per gene identifier:
            mean log1p expression.
    """

    records: tuple[RunRecord, ...]
    table: pl.DataFrame


def kept_predictions(
    directory: Path,
    model: str,
    *,
    dataset: str | None = None,
    suite: str | None = None,
    fold: int | None = None,
) -> KeptPredictions:
    """Read what a results folder keeps of one model.

    Args:
        directory: Results folder.
        model: Name as the leaderboard shows it.
        dataset: Data set's name, where the folder has several.
        suite: Suite with or without its version, where the folder has several.
        fold: Position of one fold; None takes all of them.

    Raises:
        ResultsError: If that model has no result, results of several benchmarks match, or no
            predictions were kept.
    """
    import polars as pl

    store, index = ResultsStore(directory), RecordIndex(directory)
    index.save()
    models = {header.model for header in index.headers.values()}
    if model not in models:
        raise ResultsError(f"no result of {model!r} in {directory}; {nearest(model, models)}")
    found = [(header, name) for name, header in index.headers.items() if header.model == model]
    found = _narrowed(found, dataset, suite)
    if fold is not None:
        folds = sorted({header.fold + 1 for header, _ in found})
        found = [(header, name) for header, name in found if header.fold == fold]
        if not found:
            raise ResultsError(
                f"no result of {model!r} on fold {fold + 1}; folds there: "
                f"{', '.join(map(str, folds))}"
            )
    found.sort(key=lambda item: (item[0].created, item[0].key))
    names = {header.fold: name for header, name in found}
    latest = {record.fold: record for record in index.read(names.values())}
    tables = [
        _read(store, record).with_columns(pl.lit(record.fold + 1, dtype=pl.Int64).alias("fold"))
        for _, record in sorted(latest.items())
    ]
    table = pl.concat(tables)
    keys = ["perturbation", "cell_type", "fold"]
    genes = [name for name in table.columns if name not in keys]
    records = tuple(record for _, record in sorted(latest.items()))
    return KeptPredictions(records, table.select([*keys, *genes]))


def _narrowed(
    named: Sequence[tuple[RecordHeader, str]], dataset: str | None, suite: str | None
) -> list[tuple[RecordHeader, str]]:
    kept = [
        (header, name)
        for header, name in named
        if dataset in (None, header.dataset)
        and suite in (None, header.suite, header.suite.partition("@")[0])
    ]
    if not kept:
        shown = sorted({f"{header.dataset} under {header.suite}" for header, _ in named})
        raise ResultsError(f"nothing matches; results there: {', '.join(shown)}")
    groups = sorted({(item.dataset, item.suite, item.split, item.split_sha256) for item, _ in kept})
    if len(groups) > 1:
        shown = [f"{name} under {of} ({split}, {sha[:8]})" for name, of, split, sha in groups]
        raise ResultsError(
            f"results of {len(groups)} benchmarks match: {', '.join(shown)}; choose with "
            "--dataset and --suite, or keep each in a folder of its own"
        )
    return kept


def _read(store: ResultsStore, record: RunRecord) -> pl.DataFrame:
    path = store.predictions_path(record)
    if path is None:
        raise ResultsError(
            f"no predictions of {record.model!r}, fold {record.fold + 1}, are kept in "
            f"{store.directory}; run the bench again with --keep-predictions --no-resume"
        )
    try:
        return read_kept_table(path)
    except ResultsError as error:
        raise ResultsError(
            f"{error}; run the bench again with --keep-predictions --no-resume"
        ) from error


def as_predictions(kept: KeptPredictions, data: PerturbationData) -> Predictions:
    """Return kept predictions over the genes of a data set.

    Raises:
        ResultsError: If a prediction is for a condition or gene that the data set does not have,
            or the same condition was held out in several folds.
    """
    known = {(item.label, item.cell_type): item for item in data.conditions}
    genes = list(data.gene_ids)
    absent = [gene for gene in genes if gene not in kept.table.columns]
    rows = list(
        zip(kept.table["perturbation"].to_list(), kept.table["cell_type"].to_list(), strict=True)
    )
    strange = [row for row in rows if row not in known]
    if absent or strange:
        what = f"gene {absent[0]!r}" if absent else f"perturbation {strange[0][0]!r}"
        raise ResultsError(f"kept predictions and {data.name!r} do not share {what}; use its file")
    if len(set(rows)) < len(rows):
        twice = next(row for row in rows if rows.count(row) > 1)
        raise ResultsError(
            f"{twice[0]!r} was held out in several folds; export one of them with --fold"
        )
    return Predictions(
        conditions=tuple(known[row] for row in rows),
        expression=kept.table.select(genes).to_numpy().astype(np.float64),
    )
