"""Trains STAMP (cell-stamp 0.1.2) on the files of a task folder and predicts.

It runs in an environment of its own. Training is the package's ``STAMP.train``; the three levels it
learns from are made here, as the authors' ``DataProcess`` does, which the package does not contain.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from dygenept_child import (
    Answer,
    Order,
    Profiles,
    profiles_of,
    read_gene_vectors,
    read_order,
    seed_everything,
    target_genes,
)
from scipy import sparse, stats

# The authors add this to log1p values before fold changes are taken.
PSEUDO = 0.1
MIN_CELLS = 2


class Levels(NamedTuple):
    """What STAMP learns from, each (n, G): is differential, is up, fold change."""

    is_de: np.ndarray
    is_up: np.ndarray
    fold_change: np.ndarray


def main() -> None:
    """Read the task, train a model for each cell type, predict, and leave the answer."""
    import anndata

    order = read_order()
    cells = anndata.read_h5ad("train.h5ad")
    profiles = profiles_of(cells)
    vectors = read_gene_vectors()
    answer = Answer()
    notebook, n_unknown = notebook_of(order.gene_symbols, vectors)
    if n_unknown:
        answer.notes.append(
            f"{n_unknown} of {len(order.gene_symbols)} output genes have no vector and are read as "
            "an average gene"
        )
    models = {
        cell_type: trained(cells, profiles, cell_type, order, (notebook, vectors))
        for cell_type in sorted({asked.cell_type for asked in order.predict})
    }
    for asked in order.predict:
        absent = [gene for gene in asked.genes if gene not in vectors]
        model = models[asked.cell_type]
        if absent:
            answer.add_mean(asked, profiles, f"STAMP has no vector of {', '.join(absent)}")
        elif model is None:
            answer.add_mean(asked, profiles, f"no train perturbation in {asked.cell_type} to learn")
        else:
            levels = predicted(model, embedded(asked.genes, vectors))
            answer.add(asked, put_together(levels, profiles.controls[asked.cell_type]))
    answer.write()


def notebook_of(
    symbols: Sequence[str], vectors: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, int]:
    """Return the vector of each output gene, (G, D), the mean where there is none, and how many."""
    average = np.mean(list(vectors.values()), axis=0)
    rows = [vectors.get(symbol, average) for symbol in symbols]
    return np.asarray(rows, dtype=np.float32), sum(symbol not in vectors for symbol in symbols)


def embedded(genes: Sequence[str], vectors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean vector of the perturbed genes, (D,), as STAMP's data set takes it."""
    return np.asarray(np.mean([vectors[gene] for gene in genes], axis=0), dtype=np.float32)


def levels_of(cells: Any, labels: Sequence[str], cell_type: str, max_p: float) -> Levels:
    """Compare each perturbation with the control cells of its cell type."""
    here = cells.obs["cell_type"].astype(str).to_numpy() == cell_type
    condition = cells.obs["condition"].astype(str).to_numpy()
    expression = sparse.csr_matrix(cells.X)
    control = moments(expression, here & (condition == "ctrl"))
    basal = np.expm1(control[0] + PSEUDO)
    levels = []
    for label in labels:
        own = moments(expression, here & (condition == label))
        fold = np.expm1(own[0] + PSEUDO) / basal
        levels.append((adjusted_p(own, control) <= max_p, fold >= 1, fold))
    return Levels(*(np.asarray(part, dtype=np.float32) for part in zip(*levels, strict=True)))


def moments(expression: Any, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean and unbiased variance of some cells' expression, (G,) each, and their number."""
    own = expression[np.flatnonzero(rows)].astype(np.float64)
    n = own.shape[0]
    mean = np.asarray(own.mean(axis=0)).ravel()
    square = np.asarray(own.multiply(own).mean(axis=0)).ravel()
    return mean, np.maximum(square - mean**2, 0.0) * n / max(n - 1, 1), n


def adjusted_p(
    one: tuple[np.ndarray, np.ndarray, int], other: tuple[np.ndarray, np.ndarray, int]
) -> np.ndarray:
    """P values of Welch's t test, adjusted by Benjamini and Hochberg, (G,); 1 for a flat gene."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p = stats.ttest_ind_from_stats(
            one[0], np.sqrt(one[1]), one[2], other[0], np.sqrt(other[1]), other[2], equal_var=False
        ).pvalue
    return np.asarray(stats.false_discovery_control(np.nan_to_num(p, nan=1.0), method="bh"))


def put_together(levels: Levels, control: np.ndarray) -> np.ndarray:
    """Return mean log1p expression, (G,), from levels, (1, G) each, and the control."""
    size = np.abs(np.log(np.maximum(levels.fold_change[0].astype(np.float64), 1e-6)))
    fold = np.exp(np.where(levels.is_up[0] > 0.5, size, -size))
    changed = np.log1p(fold * np.expm1(control + PSEUDO)) - PSEUDO
    return np.where(levels.is_de[0] > 0.5, np.maximum(changed, 0.0), control)


def trained(
    cells: Any,
    profiles: Profiles,
    cell_type: str,
    order: Order,
    embedding: tuple[np.ndarray, Mapping[str, np.ndarray]],
) -> Any:
    """Train STAMP on a cell type; None where it has no train perturbation that STAMP can read."""
    notebook, vectors = embedding
    parts = {part: usable(cells, profiles, cell_type, part, vectors) for part in ("train", "val")}
    if not parts["train"]:
        return None
    parts["val"] = parts["val"] or parts["train"]
    data = {}
    for part, labels in parts.items():
        inputs = np.stack([embedded(target_genes(label), vectors) for label in labels])
        data[part] = inputs, levels_of(cells, labels, cell_type, order.options["max_p"])
    seed_everything(order.seed)
    module = stamp_module(order.device)
    module.PerturbDataSet = Perturbations
    folder = Path("stamp") / str(order.cell_types.index(cell_type))
    folder.mkdir(parents=True)
    model = module.STAMP(configuration(data, notebook, order, folder))
    model.train()
    return model


def usable(
    cells: Any, profiles: Profiles, cell_type: str, part: str, vectors: Mapping[str, np.ndarray]
) -> list[str]:
    """Perturbations of a part that have vectors, and cells enough for a t test."""
    here = cells.obs["cell_type"].astype(str) == cell_type
    sizes = cells.obs["condition"].astype(str)[here].value_counts()
    return [
        label
        for label, name, of in zip(
            profiles.labels, profiles.cell_types, profiles.parts, strict=True
        )
        if (name, of) == (cell_type, part)
        and sizes[label] >= MIN_CELLS
        and all(gene in vectors for gene in target_genes(label))
    ]


def stamp_module(device: str) -> Any:
    """Import STAMP; it would choose the second GPU where none is named beforehand."""
    number = device.partition(":")[2] or "0"
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", number if device.startswith("cuda") else "")
    os.environ.setdefault("MPLBACKEND", "Agg")
    # The package's name for the class hides the module of the same name.
    return importlib.import_module("stamp.STAMP")


def configuration(
    data: Mapping[str, Any], notebook: np.ndarray, order: Order, folder: Path
) -> dict[str, Any]:
    """Return STAMP's configuration: the example's, with this task's sizes and options."""
    import joblib

    path = folder / "gene_embeddings.joblib"
    # STAMP reads this file by joblib alone; it was written a moment ago, by this process.
    joblib.dump(notebook, path)
    options = order.options
    return {
        "dataset": {
            "Training_dataset": data["train"],
            "Validation_dataset": data["val"],
            "Gene_embedding": str(path),
        },
        "Train": {
            "Sampling": {"batch_size": options["batch_size"], "sample_shuffle": True},
            "Model_Parameter": {
                "First_level": {
                    "in_features": notebook.shape[1],
                    "out_features": notebook.shape[0],
                },
                "Second_level": {
                    "hid1_features_2": 128,
                    "hid2_features_2": 64,
                    "hid3_features_2": 32,
                },
                "Third_level": {"in_feature_3": 32, "hid1_features_3": 16, "hid2_features_3": 8},
                "device": "cuda" if order.device.startswith("cuda") else "cpu",
            },
            "Trainer_parameter": {
                "random_seed": order.seed % 2**32,
                "epoch": options["epochs"],
                "learning_rate": options["lr"],
            },
            "output_dir": str(folder),
        },
        "Inference": {"Sampling": {"batch_size": 256, "sample_shuffle": False}},
    }


class Perturbations:
    """What STAMP trains on, in place of its own data set, whose targets must be output genes."""

    def __init__(self, data: tuple[np.ndarray, Levels], notebook: Any) -> None:
        self.inputs, self.levels = data

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, item: int) -> tuple[Any, Any]:
        """Return STAMP's layout: (name, embedding) and the three levels, (1, G) each."""
        return (str(item), self.inputs[item]), tuple(part[item][None] for part in self.levels)


def predicted(model: Any, vector: np.ndarray) -> Levels:
    """Predict the three levels of a perturbation, (1, G) each, from the best epochs' networks."""
    import torch

    later = model.best_model_secondthirdlevel
    inputs = torch.from_numpy(vector)[None].to(model.device)
    with torch.no_grad():
        first = model.best_model_firstlevel.eval()(inputs)
        second, mask, hidden = later.second_level_layer.eval()(first, inputs)
        third, _ = later.third_level_layer.eval()(hidden, mask)
    parts = (first, second.squeeze(-1), third.squeeze(-1))
    return Levels(*(part.cpu().numpy() for part in parts))


if __name__ == "__main__":
    main()
