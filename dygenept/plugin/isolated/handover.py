"""Writes the folder that a child reads: task, split, cells, means; ``docs/isolated.md``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dygenept.errors import PluginError
from dygenept.types import CONTROL_LABEL, Condition, Task

Input = Literal["cells", "means"]

TASK, SPLIT = "task.json", "split.json"
CELLS = "train.h5ad"
MEANS, CONTROLS, PREDICT = "means.tsv", "controls.tsv", "predict.tsv"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Order:
    """What a child is asked for.

    Attributes:
        conditions: Conditions to predict, in order.
        options: The plugin's options, JSON-ready.
        inputs: ``cells`` writes single cells (h5ad), ``means`` writes mean expression (TSV).
        files: Further files by name.
    """

    conditions: tuple[Condition, ...]
    options: Mapping[str, object]
    inputs: tuple[Input, ...]
    files: Mapping[str, bytes]


def write_order(order: Order, task: Task, folder: Path) -> None:
    """Write everything that a child may know; nothing in it depends on held-out expression.

    Raises:
        PluginError: If cells are wanted and the task has none.
    """
    for name, content in order.files.items():
        (folder / name).write_bytes(content)
    _write_json(folder / TASK, _task_document(order, task))
    _write_json(
        folder / SPLIT,
        {
            "train": sorted({item.label for item in task.train}),
            "val": sorted({item.label for item in task.val}),
            "test": sorted({item.label for item in order.conditions}),
        },
    )
    if "cells" in order.inputs:
        write_cells(task, folder / CELLS)
    if "means" in order.inputs:
        _write_means(order.conditions, task, folder)


def write_cells(task: Task, path: Path) -> None:
    """Write train, validation and control cells as AnnData in GEARS' layout.

    Cells are as they are. Where controls are matched by batch, a column says whose a cell's are.

    Raises:
        PluginError: If the task has no cells.
    """
    import anndata
    import pandas as pd

    cells = task.cells
    if cells is None:
        raise PluginError("an isolated model that reads cells must declare needs_cells")
    # The last entry is where the code -1 of control cells points to.
    labels = np.array([*(item.label for item in task.known), CONTROL_LABEL], dtype=object)
    parts = np.array([*["train"] * len(task.train), *["val"] * len(task.val), "control"], object)
    codes = cells.condition_codes
    types = np.array(task.cell_types, dtype=object)[cells.cell_type_codes]
    columns: dict[str, object] = {
        "condition": pd.Categorical(labels[codes]),
        "cell_type": pd.Categorical(types),
        "control": (codes == -1).astype(np.int64),
        "part": pd.Categorical(parts[codes]),
    }
    if cells.batch_codes is not None:
        columns["batch"] = cells.batch_codes
    adata = anndata.AnnData(
        X=cells.expression,
        obs=pd.DataFrame(
            columns, index=pd.Index(np.asarray(cells.cell_ids, dtype=object).astype(str))
        ),
        var=pd.DataFrame({"gene_name": list(task.gene_symbols)}, index=list(task.gene_ids)),
    )
    adata.write_h5ad(path)


def _task_document(order: Order, task: Task) -> dict[str, object]:
    files = {"split": SPLIT}
    if "cells" in order.inputs:
        files["cells"] = CELLS
    if "means" in order.inputs:
        files |= {"means": MEANS, "controls": CONTROLS, "predict": PREDICT}
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": task.dataset,
        "seed": task.runtime.seed,
        "device": task.runtime.device,
        "options": dict(order.options),
        "cell_types": list(task.cell_types),
        "gene_ids": list(task.gene_ids),
        "gene_symbols": list(task.gene_symbols),
        "target_genes": list(task.target_genes),
        "predict": [
            {"perturbation": item.label, "genes": list(item.genes), "cell_type": item.cell_type}
            for item in order.conditions
        ],
        "files": files,
    }


def _write_means(conditions: Sequence[Condition], task: Task, folder: Path) -> None:
    """Write tab-separated tables without quotes, a header first, numbers with 7 digits."""
    parts = ["train"] * len(task.train) + ["val"] * len(task.val)
    rows = [
        (item.label, item.cell_type, part, str(int(n_cells)))
        for item, part, n_cells in zip(task.known, parts, task.n_cells, strict=True)
    ]
    head = ("perturbation", "cell_type", "part", "n_cells")
    _write_table(folder / MEANS, (*head, *task.gene_ids), rows, task.means)
    types = [(cell_type,) for cell_type in task.cell_types]
    _write_table(folder / CONTROLS, ("cell_type", *task.gene_ids), types, task.control_means)
    asked = [(item.label, item.cell_type, "+".join(item.genes)) for item in conditions]
    _write_table(folder / PREDICT, ("perturbation", "cell_type", "genes"), asked, None)


def _write_table(
    path: Path,
    head: Sequence[str],
    labels: Sequence[Sequence[str]],
    values: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None,
) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("\t".join(head) + "\n")
        for row, label in enumerate(labels):
            numbers = [] if values is None else [f"{value:.7g}" for value in values[row].tolist()]
            stream.write("\t".join([*label, *numbers]) + "\n")


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
