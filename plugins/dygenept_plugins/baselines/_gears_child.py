"""Trains GEARS (cell-gears 0.1.2) on the files of a task folder and predicts.

It runs in an environment of its own and imports nothing of dygenept. What it works around is said
where it is done. Further input: ``gene2go.json``, GO terms by target or output gene.
"""

from __future__ import annotations

import json
import pickle
import random
from collections import Counter
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import torch
from scipy import sparse

NAME = "task"
# GEARS' own threshold: gene pairs with a smaller Jaccard index of GO terms are not joined.
MIN_JACCARD = 0.1


def main() -> None:
    """Read the task, train, predict, and leave predictions.npz and notes.txt."""
    task = json.loads(Path("task.json").read_text())
    split = json.loads(Path("split.json").read_text())
    options = task["options"]
    terms = {
        gene: set(found) for gene, found in json.loads(Path("gene2go.json").read_text()).items()
    }
    seed_everything(task["seed"])
    cells = anndata.read_h5ad("train.h5ad")
    means, controls = conditions_of(cells)
    data = prepared(cells, split, terms, options["batch_size"])

    from gears import GEARS

    model = GEARS(data, device=task["device"], weight_bias_track=False)
    model.model_initialize(hidden_size=options["hidden_size"])
    model.train(epochs=options["epochs"], lr=options["lr"])
    # GEARS predicts from 300 random control cells; the mean of the cell types' differ.
    shift = model.ctrl_expression.detach().cpu().numpy().ravel()
    known = set(data.pert_names.tolist())
    notes: list[str] = []
    rows = []
    for item in task["predict"]:
        absent = [gene for gene in item["genes"] if gene not in known]
        if absent:
            notes.append(
                f"{item['perturbation']}: GEARS cannot represent {', '.join(absent)} (no GO term); "
                "the mean of the train perturbations stands in"
            )
            rows.append(means[item["cell_type"]])
            continue
        # Each prediction draws its control cells afresh, whatever was predicted before it.
        seed_everything(task["seed"])
        predicted = model.predict([item["genes"]])["_".join(item["genes"])]
        rows.append(predicted - shift + controls[item["cell_type"]])
    np.savez(
        "predictions.npz",
        perturbation=np.array([item["perturbation"] for item in task["predict"]]),
        cell_type=np.array([item["cell_type"] for item in task["predict"]]),
        expression=np.asarray(rows, dtype=np.float64),
    )
    Path("notes.txt").write_text("\n".join(notes))


def seed_everything(seed: int) -> None:
    """Seed the global generators that GEARS draws from."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def conditions_of(cells: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return each cell type's mean over train and validation perturbations, and its control mean.

    A cell type without perturbations takes the others' mean change on its own control.
    """
    condition = cells.obs["condition"].astype(str).to_numpy()
    cell_type = cells.obs["cell_type"].astype(str).to_numpy()
    controls, own = {}, {}
    for name in sorted(set(cell_type)):
        here = cell_type == name
        controls[name] = mean_of(cells.X, here & (condition == "ctrl"))
        labels = sorted(set(condition[here]) - {"ctrl"})
        own[name] = [mean_of(cells.X, here & (condition == label)) for label in labels]
    changes = [row - controls[name] for name, rows in own.items() for row in rows]
    means = {
        name: np.mean(own[name], axis=0) if own[name] else control + np.mean(changes, axis=0)
        for name, control in controls.items()
    }
    return means, controls


def mean_of(expression: Any, rows: np.ndarray) -> np.ndarray:
    """Mean over some cells, (G,), in double precision."""
    return np.asarray(expression[np.flatnonzero(rows)].mean(axis=0, dtype=np.float64)).ravel()


def prepared(
    cells: Any, split: dict[str, list[str]], terms: dict[str, set[str]], batch_size: int
) -> Any:
    """Give GEARS the cells, the split and the GO graph without any download."""
    from gears import PertData

    output = cells.var["gene_name"].astype(str).tolist()
    targets = {gene for labels in split.values() for label in labels for gene in label.split("+")}
    # Without terms a gene has no place in GEARS' perturbation graph, and neither have its cells.
    kept = cells.obs["condition"].astype(str).map(lambda label: is_known(label, terms))
    cells = cells[kept.to_numpy()].copy()
    cells.X = sparse.csr_matrix(cells.X)
    usable = enough_cells(cells)
    cells = cells[usable].copy()
    folder = Path("gears")
    folder.mkdir()
    # Whatever is in place is not downloaded; these files are ours, made a moment ago.
    (folder / "gene2go_all.pkl").write_bytes(pickle.dumps(terms))
    genes = sorted({*output, *targets} & set(terms))
    (folder / "genes.pkl").write_bytes(pickle.dumps(genes))
    data = PertData(str(folder), gene_set_path=str(folder / "genes.pkl"), default_pert_graph=False)
    write_go_graph(genes, terms)
    data.new_data_process(dataset_name=NAME, adata=cells)
    present = set(cells.obs["condition"].astype(str))
    # no_test: a part for test cells is not looked for, since the harness provides none.
    data.split, data.seed, data.subgroup, data.train_gene_set_size = "no_test", 1, None, 0.75
    data.set2conditions = {
        "train": [*(label for label in split["train"] if label in present), "ctrl"],
        "val": [label for label in split["val"] if label in present],
    }
    if not data.set2conditions["val"]:
        data.set2conditions["val"] = [data.set2conditions["train"][0]]
    data.get_dataloader(batch_size=batch_size, test_batch_size=batch_size)
    return data


def is_known(label: str, terms: dict[str, set[str]]) -> bool:
    """True if GEARS can represent a condition: at most two genes, each with GO terms."""
    genes = [gene for gene in label.split("+") if gene != "ctrl"]
    return len(genes) <= 2 and all(gene in terms for gene in genes)


def enough_cells(cells: Any) -> np.ndarray:
    """Mark cells of groups of two or more: scanpy's t test in GEARS stops at a group of one."""
    columns = (cells.obs[name].astype(str) for name in ("condition", "cell_type"))
    groups = list(zip(*columns, strict=True))
    sizes = Counter(groups)
    return np.array([sizes[group] > 1 for group in groups])


def write_go_graph(genes: list[str], terms: dict[str, set[str]]) -> None:
    """Write the GO graph where GEARS looks for one: its own takes minutes, pair by pair.

    The edges are GEARS': Jaccard index of the genes' terms above 0.1, a gene with itself too.
    """
    names = sorted({term for gene in genes for term in terms[gene]})
    column = {term: number for number, term in enumerate(names)}
    pairs = [(row, column[term]) for row, gene in enumerate(genes) for term in terms[gene]]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    member = sparse.csr_matrix((np.ones(len(pairs)), (rows, columns)), (len(genes), len(names)))
    shared = (member @ member.T).tocoo()
    sizes = np.asarray(member.sum(axis=1)).ravel()
    jaccard = shared.data / (sizes[shared.row] + sizes[shared.col] - shared.data)
    is_edge = jaccard > MIN_JACCARD
    order = np.lexsort((shared.col[is_edge], shared.row[is_edge]))
    symbols = np.array(genes, dtype=object)
    Path("data").mkdir(exist_ok=True)
    pd.DataFrame(
        {
            "source": symbols[shared.row[is_edge][order]],
            "target": symbols[shared.col[is_edge][order]],
            "importance": jaccard[is_edge][order],
        }
    ).to_csv(Path("data") / f"go_essential_{NAME}.csv", index=False)


if __name__ == "__main__":
    # pandas lost this method; scipy before 1.15 is asked for, and this keeps later ones working.
    pd.Series.nonzero = lambda series: series.to_numpy().nonzero()
    main()
