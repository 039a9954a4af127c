"""Small valid files of cells, submissions, answers, records and splits."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fuzz.text_seeds import seed

SOURCE = Path(__file__).resolve().parents[1]
SHAPE = {"n_genes": 20, "n_cells": 3, "n_controls": 8, "n_singles": 4, "n_doubles": 1}


def toy() -> Any:
    from dygenept.testing import ToyShape, toy_data

    return toy_data(ToyShape(**SHAPE))


@seed("h5ad", "h5ad_gzip")
def _(folder: Path) -> None:
    import anndata

    from dygenept.testing import ToyShape, write_toy_h5ad

    path = write_toy_h5ad(folder / "cells.h5ad", ToyShape(**SHAPE))
    if folder.name.endswith("gzip"):
        adata = anndata.read_h5ad(path)
        adata.layers["counts"] = adata.X.copy()
        adata.X = adata.X.toarray()
        adata.write_h5ad(path, compression="gzip")


@seed("zarr_v2", "zarr_v3")
def _(folder: Path) -> None:
    import warnings

    import anndata
    import numpy as np

    from dygenept.testing import ToyShape, write_toy_h5ad

    path = write_toy_h5ad(folder / "cells.h5ad", ToyShape(**SHAPE))
    adata = anndata.read_h5ad(path)
    adata.layers["counts"] = adata.X.toarray()
    # Texts as they are, since pandas may keep them as categories.
    adata.obs["note"] = np.array(["a note"] * adata.n_obs, dtype=object)
    version = int(folder.name[-1])
    with warnings.catch_warnings(), anndata.settings.override(zarr_write_format=version):
        # zarr itself says what may become of its formats of texts.
        warnings.simplefilter("ignore")
        adata.write_zarr(folder / "cells.zarr")
    path.unlink()
    # Else what each array says of itself would not be read.
    (folder / "cells.zarr" / ".zmetadata").unlink(missing_ok=True)


def submission() -> tuple[list[str], list[str], Any]:
    import numpy as np

    data = toy()
    labels = [item.label for item in data.perturbations]
    values = np.random.default_rng(0).random((len(labels), data.n_genes)).astype(np.float32)
    return labels, list(data.gene_symbols), values


@seed("submission_csv", "submission_tsv", "submission_parquet")
def _(folder: Path) -> None:
    import polars as pl

    labels, genes, values = submission()
    table = pl.DataFrame(
        {"perturbation": labels, "cell_type": ["toy_a"] * len(labels), "fold": [1] * len(labels)}
    )
    table = table.hstack(pl.DataFrame(dict(zip(genes, values.T.tolist(), strict=True))))
    kind = folder.name.rpartition("_")[2]
    if kind == "parquet":
        table.write_parquet(folder / "sub.parquet")
    else:
        table.write_csv(folder / f"sub.{kind}", separator="\t" if kind == "tsv" else ",")


@seed("submission_long")
def _(folder: Path) -> None:
    import polars as pl

    labels, genes, values = submission()
    rows = [
        (label, gene, values[row, column])
        for row, label in enumerate(labels)
        for column, gene in enumerate(genes)
    ]
    pl.DataFrame(rows, schema=["perturbation", "gene", "delta"], orient="row").write_csv(
        folder / "sub.csv"
    )


@seed("submission_npz")
def _(folder: Path) -> None:
    import numpy as np

    labels, genes, values = submission()
    folds, types = np.ones(len(labels), int), np.array(["toy_a"] * len(labels))
    np.savez(
        folder / "sub.npz",
        perturbations=np.array(labels),
        genes=np.array(genes),
        values=values,
        folds=folds,
        cell_types=types,
    )


@seed("submission_h5ad")
def _(folder: Path) -> None:
    import anndata
    import pandas as pd

    labels, genes, values = submission()
    obs = pd.DataFrame(
        {"condition": labels, "cell_type": "toy_a", "fold": 1},
        index=[f"r{n}" for n in range(len(labels))],
    )
    anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=genes)).write_h5ad(folder / "sub.h5ad")


@seed("answer_parquet", "answer_csv", "answer_npz")
def _(folder: Path) -> None:
    import numpy as np
    import polars as pl

    data = toy()
    labels = [condition.label for condition in data.conditions]
    types = [condition.cell_type for condition in data.conditions]
    values = np.random.default_rng(0).random((len(labels), data.n_genes))
    if folder.name.endswith("npz"):
        np.savez(
            folder / "predictions.npz",
            perturbation=np.array(labels),
            cell_type=np.array(types),
            expression=values,
        )
        return
    table = pl.DataFrame({"perturbation": labels, "cell_type": types})
    table = table.hstack(pl.DataFrame(dict(zip(data.gene_ids, values.T.tolist(), strict=True))))
    if folder.name.endswith("csv"):
        table.write_csv(folder / "predictions.csv")
    else:
        table.write_parquet(folder / "predictions.parquet")


@seed("kept")
def _(folder: Path) -> None:
    import numpy as np

    from dygenept.results.store import ResultsStore
    from dygenept.types import Predictions

    data = toy()
    values = np.random.default_rng(0).random((len(data.conditions), data.n_genes))
    ResultsStore(folder).write_predictions(
        "a" * 32, Predictions(tuple(data.conditions), values), data.gene_ids
    )
    (folder / "predictions" / f"{'a' * 32}.parquet").rename(folder / "kept.parquet")
    shutil.rmtree(folder / "predictions")


@seed("record")
def _(folder: Path) -> None:
    shutil.copy(SOURCE / "core/results/fixtures/simulated_record_v1.json", folder / "record.json")


@seed("split")
def _(folder: Path) -> None:
    from dygenept.data.splits import split_to_json
    from dygenept.testing.toy import toy_fold
    from dygenept.types import Split

    data = toy()
    split = Split("kfold", 1, 42, data.sha256, (toy_fold(data),))
    (folder / "split.json").write_text(split_to_json(split))


@seed("truth")
def _(folder: Path) -> None:
    from dataclasses import fields

    import numpy as np

    from dygenept.data.simulated.truth import PlantedTruth

    shapes: dict[str, Any] = {
        "delta": (2, 5), "log_fold": (2, 5), "responsible": (2,), "responsible_by_state": (2, 2),
        "priority": (2, 8), "state_shares": (2,), "state_codes": (6,), "program_facets": (3,),
        "program_effects": (3, 5), "target_programs": (2, 8),
        "target_neighbourhood": (2,), "target_hidden": (2,), "strength": (2,), "response": (2,),
        "source_shares": (5,),
    }  # fmt: skip
    whole = ("responsible", "responsible_by_state", "priority", "program_facets", "target_programs",
             "target_neighbourhood", "target_hidden")  # fmt: skip
    arrays: dict[str, Any] = {
        name: np.zeros(shape, "i4" if name in whole else "i1" if name == "state_codes" else "f4")
        for name, shape in shapes.items()
    }
    names = {
        "labels": 2,
        "target_genes": 2,
        "program_terms": 3,
        "facet_names": 8,
        "source_names": 5,
    }
    arrays |= {name: np.array([f"{name}{n}" for n in range(size)]) for name, size in names.items()}
    assert set(arrays) == {field.name for field in fields(PlantedTruth)}
    np.savez_compressed(folder / "cells.truth.npz", **arrays)
