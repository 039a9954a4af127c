"""Times cell-eval 0.8.2 on two files; run by the interpreter of an environment that has it.

Arguments: real cells and predicted cells (h5ad, ``target`` in obs, control ``ctrl``), and an empty
folder. Prints JSON: seconds of its DE tests of both files and of mse, pearson_delta,
discrimination_score_l1 and overlap_at_N alone (``same_s``), and of its DE tests and full profile
(``full_s``). Both are run on three perturbations first, so that nothing is compiled in the timing,
and the faster of two runs counts.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import anndata
from cell_eval import MetricsEvaluator
from cell_eval.metrics import metrics_registry

warnings.filterwarnings("ignore")
SAME = {"mse", "pearson_delta", "discrimination_score_l1", "overlap_at_N"}


def evaluate(
    real: anndata.AnnData, predicted: anndata.AnnData, folder: Path, *, same: bool
) -> float:
    """Build cell-eval's evaluator, compute, and return seconds."""
    skipped = [name for name in metrics_registry.list_metrics() if name not in SAME]
    started = time.perf_counter()
    evaluator = MetricsEvaluator(
        predicted.copy(),
        real.copy(),
        control_pert="ctrl",
        pert_col="target",
        outdir=str(folder),
    )
    evaluator.compute(profile="full", skip_metrics=skipped if same else None, write_csv=False)
    return time.perf_counter() - started


def main() -> None:
    """Warm up, time and report."""
    real, predicted = (anndata.read_h5ad(file) for file in sys.argv[1:3])
    folder = Path(sys.argv[3])
    few = sorted(set(real.obs["target"]) - {"ctrl"})[:3]
    first = [cells[cells.obs["target"].isin(["ctrl", *few])].copy() for cells in (real, predicted)]
    for same in (True, False):
        evaluate(*first, folder, same=same)
    seconds = {
        name: min(evaluate(real, predicted, folder, same=same) for _ in range(2))
        for name, same in (("same_s", True), ("full_s", False))
    }
    sys.stdout.write("\n" + json.dumps(seconds) + "\n")


if __name__ == "__main__":
    main()
