"""Gene symbols, found by what a column contains."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.knowledge.genes.tables import load_gene_tables
from dygenept.types import PerturbationData

GENES = ("KLF1", "MAPK1", "CEBPA", "JUN", "FOS", "MYC", "ACTB", "GAPDH", "GATA1", "RPL3")
PLAIN_IDS = tuple(load_gene_tables().ensembl(gene)[0] for gene in GENES)
IDS = tuple(f"{gene_id}.{n}" for n, gene_id in enumerate(PLAIN_IDS))
FOREIGN = tuple(f"ENSG{9 * 10**10 + n}" for n in range(len(GENES)))


def read(
    path: Path, index: tuple[str, ...], labels: tuple[str, ...] = GENES[:3], **columns: object
) -> PerturbationData:
    repeated = [label for label in ("ctrl", *labels) for _ in range(6)]
    counts = np.random.default_rng(0).poisson(4.0, (len(repeated), len(GENES))) + 1.0
    values = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 100).astype(np.float32)
    cells = [f"cell{i}" for i in range(len(repeated))]
    anndata.AnnData(
        sparse.csr_matrix(values),
        obs=pd.DataFrame({"condition": repeated, "cell_type": "K562"}, index=cells),
        var=pd.DataFrame(columns, index=list(index)),
    ).write_h5ad(path)
    return read_anndata(path)


def absent(data: PerturbationData) -> list[str]:
    return [note for note in data.notes if "not among the output genes" in note]


@pytest.mark.parametrize(
    "column", ["gene_name", "gene_short_name", "hgnc_symbol", "Symbol", "gene", "name", "x"]
)
@pytest.mark.parametrize("labels", [GENES[:3], IDS[:3], PLAIN_IDS[:3]])
def test_targets_are_found_by_symbol_and_by_id(
    tmp_path: Path, column: str, labels: tuple[str, ...]
) -> None:
    kinds = {"gene_type": "protein_coding", "chromosome": "1"}
    data = read(tmp_path / "a.h5ad", IDS, labels, **{column: list(GENES)}, **kinds)
    assert data.gene_symbols == GENES
    assert set(data.target_genes) == set(GENES[:3])
    assert not absent(data)


def test_versioned_ids_alone_are_translated(tmp_path: Path) -> None:
    data = read(tmp_path / "a.h5ad", IDS)
    assert data.gene_symbols == GENES
    assert any("10 of 10 Ensembl ids were translated" in note for note in data.notes)
    assert not absent(data)


def test_ids_that_nobody_knows_ask_for_the_column(tmp_path: Path) -> None:
    data = read(tmp_path / "a.h5ad", FOREIGN)
    assert any("--symbol-column" in note for note in data.notes)
    assert not absent(data)


def test_a_usual_column_of_ids_gives_way_to_one_of_symbols(tmp_path: Path) -> None:
    data = read(tmp_path / "a.h5ad", FOREIGN, gene_name=list(FOREIGN), short=list(GENES))
    assert data.gene_symbols == GENES


def test_a_usual_column_that_names_nothing_gives_way_to_the_index(tmp_path: Path) -> None:
    data = read(tmp_path / "a.h5ad", GENES, gene_name=[f"b'{gene}'" for gene in GENES])
    assert data.gene_symbols == GENES


def test_symbols_in_the_index_stay_whatever_else_is_there(tmp_path: Path) -> None:
    data = read(tmp_path / "a.h5ad", GENES, other=[*GENES[1:], GENES[0]], gene_ids=list(IDS))
    assert data.gene_symbols == GENES


def test_ids_of_labels_beside_symbols_in_the_index_are_matched(tmp_path: Path) -> None:
    data = read(tmp_path / "a.h5ad", GENES, FOREIGN[:3], gene_ids=list(FOREIGN))
    assert set(data.target_genes) == set(GENES[:3])
    assert any("var['gene_ids']" in note for note in data.notes)
