"""Write gears_0_1_2.json: what cell-gears 0.1.2 itself makes of Norman's labels.

Run it with a Python that has cell-gears 0.1.2, anndata, scipy<1.15, pandas<3, torch_geometric and
requests:

    python make_gears_manifests.py .../gears/norman_gears_condition_cell_counts.tsv

The labels and their order of appearance decide a GEARS split, so the data set is one empty cell a
label. ``simulation_single`` is taken from ``DataSplitter`` itself and over the singles alone,
because ``prepare_split`` stops at it with an error.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

SEEDS = range(31)
ORDERS = ("sorted", "reversed", "shuffled")
FULL_SEED = 1
SPLITS = (
    "simulation",
    "simulation_single",
    "combo_seen0",
    "combo_seen1",
    "combo_seen2",
    "single",
    "no_test",
)


def main(labels_file: Path, output: Path) -> None:
    with labels_file.open(newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        labels = sorted({row["condition"] for row in rows} - {"ctrl"})
    document: dict[str, Any] = {"labels": labels, "orders": {}, "full": {}, "digests": {}}
    for order in ORDERS:
        positions = positions_of(len(labels), order)
        document["orders"][order] = positions
        appearing = [labels[position] for position in positions]
        for split in SPLITS:
            made = {seed: gears_split(appearing, split, seed) for seed in SEEDS}
            document["digests"].setdefault(order, {})[split] = [
                digest(made[seed]) for seed in SEEDS
            ]
            if order == "shuffled":
                document["full"][split] = {"seed": FULL_SEED, **made[FULL_SEED]}
    output.write_text(json.dumps(document, indent=None, separators=(",", ":")) + "\n")


def positions_of(n_labels: int, order: str) -> list[int]:
    if order == "shuffled":
        return np.random.default_rng(0).permutation(n_labels).tolist()
    forward = list(range(n_labels))
    return forward if order == "sorted" else forward[::-1]


def digest(split: dict[str, Any]) -> str:
    canonical = json.dumps(split, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def gears_split(labels: list[str], split: str, seed: int) -> dict[str, Any]:
    import anndata
    import pandas as pd
    from gears import PertData
    from gears.data_utils import DataSplitter
    from scipy import sparse

    if split == "simulation_single":
        labels = [label for label in labels if "ctrl" in label]
    conditions = ["ctrl", *labels]
    cells = anndata.AnnData(
        sparse.csr_matrix((len(conditions), 1), dtype=np.float32),
        obs=pd.DataFrame(
            {"condition": pd.Categorical(conditions)},
            index=[str(number) for number in range(len(conditions))],
        ),
    )
    groups: dict[str, list[str]] = {}
    if split == "simulation_single":
        DataSplitter(cells, split_type=split).split_data(
            train_gene_set_size=0.75, combo_seen2_train_frac=0.75, seed=seed
        )
    else:
        with tempfile.TemporaryDirectory() as folder:
            data = PertData.__new__(PertData)
            data.adata, data.dataset_path, data.dataset_name = cells, folder, "norman"
            data.prepare_split(split=split, seed=seed)
            if data.subgroup:
                groups = data.subgroup["test_subgroup"]
    parts = cells.obs["split"].astype(object)
    made: dict[str, Any] = {
        part: sorted(set(cells.obs["condition"][parts == part]) - {"ctrl"})
        for part in ("train", "val", "test")
    }
    made["subgroups"] = {name: sorted(set(members)) for name, members in sorted(groups.items())}
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).with_name("gears_0_1_2.json"))
