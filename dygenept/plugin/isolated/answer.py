"""Reads what a child left: predictions, notes; refuses wrong shapes, NaN and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dygenept.errors import ChildError
from dygenept.machine.reading import read_arrays, read_parquet, reading
from dygenept.types import Condition, DoubleArray, Task

STEM = "predictions"
SUFFIXES = (".parquet", ".npz", ".csv", ".tsv")
NOTES = "notes.txt"
MAX_NOTES = 5_000


def read_answer(folder: Path, conditions: Sequence[Condition], task: Task) -> DoubleArray:
    """Return the predicted mean expression of each condition, (n, G), log1p scale.

    A table (parquet, csv, tsv) has the columns ``perturbation``, ``cell_type`` (not needed where
    there is one cell type) and one column per gene, named as in ``gene_ids``, in any order. An npz
    file contains ``perturbation`` (n,), ``cell_type`` (n,) and ``expression`` (n, G) in the order
    of ``gene_ids``. Further conditions than those asked for are left out.

    Raises:
        ChildError: If there is no such file, or more than one; it cannot be read; a gene, a
            condition or a value is missing, or a value is NaN or infinite.
    """
    found = [folder / f"{STEM}{suffix}" for suffix in SUFFIXES]
    found = [path for path in found if path.is_file()]
    if len(found) != 1:
        raise ChildError(
            f"it must leave one file of {', '.join(STEM + suffix for suffix in SUFFIXES)}, and "
            f"left {', '.join(path.name for path in found) or 'none'}"
        )
    path = found[0]
    with reading(path, "predictions", error=ChildError, mend="docs/isolated.md says how"):
        labels, types, values = (
            _from_npz(path) if path.suffix == ".npz" else _from_table(path, task.gene_ids)
        )
        values = np.asarray(values, dtype=np.float64)
    n_genes = len(task.gene_ids)
    if values.ndim != 2 or values.shape != (len(labels), n_genes):
        raise ChildError(
            f"its {path.name} has expression of shape {values.shape} for {len(labels)} "
            f"conditions; expected ({len(labels)}, {n_genes})"
        )
    rows = _rows(labels, types, task, path.name)
    return _selected(values, rows, conditions, path.name)


def read_notes(folder: Path) -> tuple[str, ...]:
    """Return the lines of ``notes.txt``, if there is one: what the child wants recorded."""
    path = folder / NOTES
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip())[:MAX_NOTES]


def _rows(
    labels: Sequence[str], types: Sequence[str] | None, task: Task, name: str
) -> dict[tuple[str, str], int]:
    if types is None:
        if len(task.cell_types) != 1:
            raise ChildError(f"its {name} has no cell_type, and the task has several cell types")
        types = [task.cell_types[0]] * len(labels)
    rows: dict[tuple[str, str], int] = {}
    for row, key in enumerate(zip(labels, types, strict=True)):
        if key in rows:
            raise ChildError(f"its {name} predicts {key[0]!r} in {key[1]!r} twice")
        rows[key] = row
    return rows


def _selected(
    values: DoubleArray,
    rows: dict[tuple[str, str], int],
    conditions: Sequence[Condition],
    name: str,
) -> DoubleArray:
    keys = [(item.label, item.cell_type) for item in conditions]
    absent = [key[0] for key in keys if key not in rows]
    if absent:
        raise ChildError(
            f"its {name} lacks {len(absent)} of the {len(keys)} conditions asked for: "
            f"{', '.join(absent[:5])}{' …' if len(absent) > 5 else ''}"
        )
    picked = values[[rows[key] for key in keys]]
    is_bad = ~np.isfinite(picked).all(axis=1)
    if is_bad.any():
        bad = [keys[row][0] for row in np.flatnonzero(is_bad)]
        raise ChildError(
            f"its {name} contains NaN or infinite values for {len(bad)} conditions: "
            f"{', '.join(bad[:5])}{' …' if len(bad) > 5 else ''}"
        )
    return picked


def _from_npz(path: Path) -> tuple[list[str], list[str] | None, DoubleArray]:
    opened = read_arrays(path)
    types = opened["cell_type"].tolist() if "cell_type" in opened else None
    labels = list(map(str, opened["perturbation"].tolist()))
    if types is not None and len(types) != len(labels):
        raise ValueError(f"{len(types)} cell types for {len(labels)} perturbations")
    return (
        labels,
        None if types is None else list(map(str, types)),
        opened["expression"].astype(np.float64),
    )


def _from_table(
    path: Path, gene_ids: Sequence[str]
) -> tuple[list[str], list[str] | None, DoubleArray]:
    import polars as pl

    if path.suffix == ".parquet":
        frame = read_parquet(path)
    else:
        separator = "\t" if path.suffix == ".tsv" else ","
        frame = pl.read_csv(path, separator=separator, infer_schema=False)
    if "perturbation" not in frame.columns:
        raise ChildError(f"its {path.name} has no column perturbation")
    absent = [gene for gene in gene_ids if gene not in set(frame.columns)]
    if absent:
        raise ChildError(
            f"its {path.name} lacks {len(absent)} of {len(gene_ids)} genes: "
            f"{', '.join(absent[:5])}{' …' if len(absent) > 5 else ''}"
        )
    labels = frame["perturbation"].cast(pl.String).to_list()
    types = frame["cell_type"].cast(pl.String).to_list() if "cell_type" in frame else None
    values = frame.select(pl.col(list(gene_ids)).cast(pl.Float64)).fill_null(float("nan"))
    return labels, types, values.to_numpy()
