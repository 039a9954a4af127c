"""Score predictions with GEARS' own evaluation functions; runs in its environment.

    python peer_gears.py CELLS.h5ad PREDICTIONS.npz > values.json

The archive holds ``labels`` (n,), ``predicted`` (n, G) and ``de_indices`` (n, 20). Package:
cell-gears 0.1.2.
"""

from __future__ import annotations

import json
import sys
import warnings

import anndata
import numpy as np
from gears.inference import compute_metrics, non_dropout_analysis

warnings.filterwarnings("ignore")


def main(cells: str, archive: str) -> None:
    given = np.load(archive, allow_pickle=False)
    labels = [str(label) for label in given["labels"]]
    adata = anndata.read_h5ad(cells)
    # GEARS averages controls in float32, which alone moves a correlation by 2e-6.
    adata.X = adata.X.astype(np.float64)
    raw = adata.obs["condition"].astype(str).to_numpy()
    swapped = {"+".join(reversed(label.split("+"))): label for label in labels}
    condition = np.array([swapped.get(label, label) for label in raw])
    adata.obs["condition"] = condition
    adata.obs["condition_name"] = condition
    genes = adata.var_names.to_numpy()
    adata.uns["top_non_dropout_de_20"] = {
        label: genes[given["de_indices"][row]] for row, label in enumerate(labels)
    }
    every = np.arange(len(genes))
    for key in ("non_zeros_gene_idx", "non_dropout_gene_idx"):
        adata.uns[key] = dict.fromkeys(labels, every)
    rows = np.flatnonzero(np.isin(condition, labels))
    place = np.array([labels.index(condition[row]) for row in rows])
    truth = adata.X[rows].toarray().astype(np.float64)
    predicted = given["predicted"][place]
    top = given["de_indices"][place]
    results = {
        "pert_cat": condition[rows],
        "pred": predicted,
        "truth": truth,
        "pred_de": np.take_along_axis(predicted, top, axis=1),
        "truth_de": np.take_along_axis(truth, top, axis=1),
    }
    _, basic = compute_metrics(results)
    further = non_dropout_analysis(adata, results)
    names = {
        "mse": (basic, "mse"),
        "mse_top20": (basic, "mse_de"),
        "pearson_top20": (basic, "pearson_de"),
        "pearson_delta_top20": (further, "pearson_delta_top20_de_non_dropout"),
        "direction_accuracy_top20": (further, "frac_correct_direction_top20_non_dropout"),
    }
    document = {
        metric: {label: float(table[label][key]) for label in labels}
        for metric, (table, key) in names.items()
    }
    json.dump(document, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
