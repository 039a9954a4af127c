"""Times the DE lists of this project on a file, in a process of its own as its peer's are.

Argument: an h5ad file. Prints JSON: seconds of both lists from cells in memory, the peak of
resident memory, reading included, and both lists by label, as entries of var.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from dygenept.data.de.lists import DE_LISTS, de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.data.reading.anndata_file import read_anndata


def main() -> None:
    """Time and report."""
    data = read_anndata(Path(sys.argv[1]))
    started = time.perf_counter()
    means = pseudobulk(data)
    found = {name: de_genes(data, means, list_name=name) for name in DE_LISTS}
    seconds = time.perf_counter() - started
    lists = {
        name: {
            condition.label: [data.gene_ids[gene] for gene in row if gene >= 0]
            for condition, row in zip(data.conditions, genes.indices.tolist(), strict=True)
        }
        for name, genes in found.items()
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    origins = sorted({genes.origin for genes in found.values()})
    report = {"seconds": seconds, "peak_bytes": peak, "origins": origins, "lists": lists}
    sys.stdout.write("\n" + json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
