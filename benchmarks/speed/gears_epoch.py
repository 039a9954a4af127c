"""Times cell-gears 0.1.2 on a file; run by the interpreter of an environment that has it.

Arguments: an h5ad file, a JSON file of GO terms by gene, an empty folder. Prints JSON: seconds of
preparation (reading, its own DE lists, cell graphs, gene graphs) and of one pass over its training
cells (its evaluations left out), the number of these cells and the peak of resident memory.
"""

# ruff: noqa: E402 - cell-gears is imported after what it calls is mended
from __future__ import annotations

import json
import os
import pickle
import resource
import sys
import time
from pathlib import Path

import anndata
import pandas as pd

# scipy's and pandas' newer releases dropped what cell-gears 0.1.2 calls.
pd.Series.nonzero = lambda series: series.to_numpy().nonzero()

import gears.gears as trainer
from gears import GEARS, PertData


def main() -> None:
    """Prepare, train one epoch and report."""
    file, terms, folder = (Path(argument).resolve() for argument in sys.argv[1:4])
    os.chdir(folder)
    (folder / "data").mkdir(exist_ok=True)
    known = {gene: set(ids) for gene, ids in json.loads(terms.read_text()).items()}
    (folder / "data" / "gene2go_all.pkl").write_bytes(pickle.dumps(known))
    started = time.perf_counter()
    cells = PertData("./data", default_pert_graph=False)
    cells.new_data_process(dataset_name="speed", adata=anndata.read_h5ad(file))
    cells.load(data_path="./data/speed")
    cells.prepare_split(split="no_test", seed=1)
    cells.get_dataloader(batch_size=32, test_batch_size=128)
    model = GEARS(cells, device="cpu")
    model.model_initialize(hidden_size=64)
    prepared = time.perf_counter()

    evaluated = 0.0
    evaluate = trainer.evaluate

    def timed(*arguments, **options):
        nonlocal evaluated
        before = time.perf_counter()
        found = evaluate(*arguments, **options)
        evaluated += time.perf_counter() - before
        return found

    trainer.evaluate = timed
    model.train(epochs=1)
    done = time.perf_counter()
    sys.stdout.write(
        "\n"
        + json.dumps(
            {
                "preparation_s": prepared - started,
                "epoch_s": done - prepared - evaluated,
                "evaluation_s": evaluated,
                "n_cells": len(cells.dataloader["train_loader"].dataset),
                "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
            }
        )
        + "\n"
    )


main()
