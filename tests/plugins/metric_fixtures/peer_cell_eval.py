"""Score predictions with cell-eval's and scanpy's own functions; runs in their environment.

    python peer_cell_eval.py CELLS.h5ad PREDICTIONS.npz > values.json

The archive holds ``labels`` (n,), ``predicted`` (n, G), ``truth``, ``control`` and ``reference``
(n, G). Packages: cell-eval 0.8.2 (with pdex 0.3.0) and scanpy 1.11.5.
"""

from __future__ import annotations

import json
import sys
import warnings

import anndata
import numpy as np
import polars as pl
import scanpy as sc
from cell_eval._types import PerturbationAnndataPair, initialize_de_comparison
from cell_eval.metrics._anndata import discrimination_score, mae, mse, pearson_delta
from cell_eval.metrics._de import (
    DEDirectionMatch,
    DESigGenesRecall,
    DESpearmanLFC,
    compute_pr_auc,
)
from pdex import pdex
from scipy.spatial.distance import cdist
from scipy.stats import pearsonr, wasserstein_distance
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import rbf_kernel

warnings.filterwarnings("ignore")


def gene_of(label: str) -> str:
    """Name a single perturbation as its gene, so that cell-eval finds its target gene."""
    genes = [gene for gene in label.split("+") if gene != "ctrl"]
    return genes[0] if len(genes) == 1 else label


def main(cells: str, archive: str) -> None:
    given = np.load(archive, allow_pickle=False)
    labels = [str(label) for label in given["labels"]]
    adata = anndata.read_h5ad(cells)
    adata.var_names = adata.var["gene_name"].astype(str).to_numpy()
    raw = adata.obs["condition"].astype(str).to_numpy()
    swapped = {"+".join(reversed(label.split("+"))): label for label in labels}
    condition = np.array([swapped.get(label, label) for label in raw])
    adata.obs["target"] = [gene_of(label) for label in condition]
    adata.X = adata.X.toarray().astype(np.float64)
    is_control = condition == "ctrl"
    names = [gene_of(label) for label in labels]

    predicted = anndata.AnnData(
        np.concatenate([adata.X[is_control], given["predicted"]]),
        obs={"target": ["ctrl"] * int(is_control.sum()) + names},
        var=adata.var[[]],
    )
    pair = PerturbationAnndataPair(adata, predicted, pert_col="target", control_pert="ctrl")
    values = {
        "mse": mse(pair),
        "mae": mae(pair),
        "pearson_delta": pearson_delta(pair),
        "perturbation_discrimination": discrimination_score(pair, metric="l1"),
        "perturbation_discrimination_l2": discrimination_score(pair, metric="l2"),
        "perturbation_discrimination_cosine": discrimination_score(pair, metric="cosine"),
    }

    real = pdex(
        adata, groupby="target", mode="ref", reference="ctrl", is_log1p=True, epsilon=0.0, threads=1
    )
    change = given["predicted"] - given["control"]
    table = pl.DataFrame(
        {
            "target": np.repeat(names, adata.n_vars),
            "feature": np.tile(adata.var_names.to_numpy(), len(names)),
            "log2_fold_change": (change / np.log(2)).ravel(),
            "p_value": np.zeros(change.size),
            "fdr": np.zeros(change.size),
        }
    )
    comparison = initialize_de_comparison(real, table)
    counts = {
        name: int((real.filter(pl.col("target") == name)["fdr"] < 0.05).sum()) for name in names
    }
    values["n_significant"] = counts
    overlap = comparison.compute_overlap(k=None, metric="overlap", fdr_threshold=0.05)
    values["de_overlap"] = {name: overlap[name] for name in names if counts[name]}

    with np.errstate(divide="ignore"):
        fold = np.log2(np.expm1(given["predicted"]) / np.expm1(given["control"]))
    # A predicted mean has no p value: the larger its fold change, the smaller it is made.
    order = np.abs(fold).argsort(axis=1).argsort(axis=1) / adata.n_vars
    folds = table.with_columns(
        log2_fold_change=pl.Series(fold.ravel()), fdr=pl.Series(10.0 ** (-9.0 * order.ravel()))
    )
    all_found = folds.with_columns(fdr=pl.lit(0.0))
    by_fold = initialize_de_comparison(real, all_found)
    overlap = by_fold.compute_overlap(k=None, metric="overlap", fdr_threshold=0.05)
    values["des"] = {name: overlap[name] for name in names if counts[name]}
    values["de_sign_match"] = DEDirectionMatch()(by_fold)
    values["de_spearman_lfc"] = {
        name: value for name, value in DESpearmanLFC()(by_fold).items() if counts[name] > 1
    }
    areas = compute_pr_auc(initialize_de_comparison(real, folds))
    values["de_auprc"] = {name: areas[name] for name in names if counts[name]}

    cells = given["cells"].astype(np.float64)
    guessed = anndata.AnnData(
        np.concatenate([adata.X[is_control], *cells]),
        obs={"target": ["ctrl"] * int(is_control.sum()) + list(np.repeat(names, cells.shape[1]))},
        var=adata.var[[]],
    )
    found = pdex(
        guessed,
        groupby="target",
        mode="ref",
        reference="ctrl",
        is_log1p=True,
        epsilon=0.0,
        threads=1,
    )
    both = initialize_de_comparison(real, found)
    overlap = both.compute_overlap(k=None, metric="overlap", fdr_threshold=0.05)
    values["des_cells"] = {name: overlap[name] for name in names if counts[name]}
    values["de_recall_cells"] = DESigGenesRecall()(both)
    values["de_sign_match_cells"] = DEDirectionMatch()(both)
    values["de_spearman_lfc_cells"] = {
        name: value for name, value in DESpearmanLFC()(both).items() if counts[name] > 1
    }
    areas = compute_pr_auc(both)
    values["de_auprc_cells"] = {name: areas[name] for name in names if counts[name]}
    values["mmd"], values["wasserstein"] = {}, {}
    for row, name in enumerate(names):
        own = adata.X[adata.obs["target"] == name]
        values["mmd"][name] = np.mean(
            [
                rbf_kernel(cells[row], cells[row], gamma).mean()
                + rbf_kernel(own, own, gamma).mean()
                - 2 * rbf_kernel(cells[row], own, gamma).mean()
                for gamma in (2, 1, 0.5, 0.1, 0.01, 0.005)
            ]
        )
        values["wasserstein"][name] = np.mean(
            [wasserstein_distance(a, b) for a, b in zip(cells[row].T, own.T, strict=True)]
        )

    perturbed = adata[~is_control].copy()
    sc.tl.rank_genes_groups(
        perturbed, "target", method="t-test_overestim_var", reference="rest", use_raw=False
    )
    ranked = perturbed.uns["rank_genes_groups"]
    values["wmse"], values["energy_distance"] = {}, {}
    values["pearson_delta_perturbed_ref"] = {}
    values["weighted_r2_delta"], values["weighted_r2_delta_perturbed_ref"] = {}, {}
    for row, name in enumerate(names):
        order = adata.var_names.get_indexer(ranked["names"][name])
        scores = np.empty(adata.n_vars)
        scores[order] = np.abs(ranked["scores"][name])
        weights = ((scores - scores.min()) / (scores.max() - scores.min())) ** 2
        for metric, of in (("", "control"), ("_perturbed_ref", "reference")):
            sides = (given[side][row] - given[of][row] for side in ("truth", "predicted"))
            values[f"weighted_r2_delta{metric}"][name] = r2_score(*sides, sample_weight=weights)
        error = (given["predicted"][row] - given["truth"][row]) ** 2
        values["wmse"][name] = float((weights * error).sum() / weights.sum())
        moved, own = adata.X[is_control] + change[row], adata.X[adata.obs["target"] == name]
        values["energy_distance"][name] = float(
            2 * cdist(moved, own).mean() - cdist(moved, moved).mean() - cdist(own, own).mean()
        )
        sides = (given[side][row] - given["reference"][row] for side in ("predicted", "truth"))
        values["pearson_delta_perturbed_ref"][name] = float(pearsonr(*sides).statistic)
    back = dict(zip(names, labels, strict=True))
    document = {
        metric: {back[str(name)]: float(value) for name, value in of.items()}
        for metric, of in values.items()
    }
    json.dump(document, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
