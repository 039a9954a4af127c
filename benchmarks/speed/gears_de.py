"""Times the DE lists of cell-gears 0.1.2 on a file; run by an interpreter that has the package.

Argument: an h5ad file. Prints JSON: seconds of scanpy's ranking as GEARS calls it (``rank_s``) and
of GEARS' filters (``filter_s``), the peak of resident memory, and both lists by raw label, as
entries of var.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings

import anndata
from gears.data_utils import get_DE_genes, get_dropout_non_zero_genes

warnings.filterwarnings("ignore")


def main() -> None:
    """Time and report."""
    adata = anndata.read_h5ad(sys.argv[1])
    for name in list(adata.uns):
        del adata.uns[name]
    adata.obs["condition"] = adata.obs["condition"].astype(str)
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    started = time.perf_counter()
    adata = get_DE_genes(adata, skip_calc_de=False)
    ranked = time.perf_counter()
    adata = get_dropout_non_zero_genes(adata)
    done = time.perf_counter()
    label = dict(adata.obs[["condition_name", "condition"]].astype(str).to_numpy())
    lists = {
        name: {label[key]: [str(gene) for gene in genes] for key, genes in adata.uns[name].items()}
        for name in ("top_non_dropout_de_20", "top_non_zero_de_20")
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    report = {"rank_s": ranked - started, "filter_s": done - ranked, "peak_bytes": peak}
    sys.stdout.write("\n" + json.dumps({**report, "lists": lists}) + "\n")


if __name__ == "__main__":
    main()
