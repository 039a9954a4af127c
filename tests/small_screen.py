"""A small screen of counts with labels of another layout, and its preparation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

from dygenept.data.prepare.options import PrepareOptions
from dygenept.data.prepare.pipeline import Prepared, prepare_file
from dygenept.types import DataMapping

GENES = (
    "KLF1 GATA1 SPI1 STAT1 STAT2 JAK2 IRF1 CD58 EGR1 ELF1 ELK1 CREB1 SNAI1 EP300 DDIT3 "
    "ATF6 EIF2AK3 ERN1 CBL LCP2 TBCE BIN1 SET HDAC1 CD38 MAPT MT-ND1 MT-CO1"
).split()
LABELS = ("control", "KLF1", "GATA1", "SPI1", "STAT1_JAK2")
MAPPING = DataMapping(separator="_")


def counts_of(seed: int = 0, n: int = 150) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.array(LABELS)[rng.integers(0, len(LABELS), n)]
    rate = rng.gamma(1.0, 3.0, len(GENES)) + 0.2
    counts = rng.poisson(rate * rng.gamma(4.0, 0.25, (n, 1))).astype(np.float32)
    for gene in ("KLF1", "GATA1"):
        counts[labels == gene, GENES.index(gene)] = 0
    counts[:, -3] += 1
    return counts, labels


def write(path: Path, counts: np.ndarray, labels: np.ndarray, encoding: str = "csr") -> Path:
    matrix = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": np.asarray}[encoding]
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(labels),
            "lane": pd.Categorical([f"l{number % 3}" for number in range(len(labels))]),
        },
        index=[f"c{number}" for number in range(len(labels))],
    )
    anndata.AnnData(matrix(counts), obs=obs, var=pd.DataFrame(index=GENES)).write_h5ad(path)
    return path


def prepared(path: Path, **options: object) -> Prepared:
    asked = PrepareOptions(mapping=MAPPING, normalize=True)
    return prepare_file(
        path,
        path.with_name("ready.h5ad"),
        replace(asked, **options),  # type: ignore[arg-type]
    )
