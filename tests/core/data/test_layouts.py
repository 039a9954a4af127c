"""Columns of obs that hold perturbations, told by their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.in_memory import read_in_memory
from dygenept.errors import DataError
from dygenept.types import DataMapping

GENES = ("KLF1", "MAPK1", "CEBPA", "JUN", "FOS", "MYC", "ACTB", "GAPDH", "HLA-A", "RPL3")
LABELS = ("KLF1", "MAPK1", "CEBPA", "JUN")


def screen(labels: list[str], **columns: Any) -> anndata.AnnData:
    """Make log1p expression of cells with these labels in obs['label'], and further columns."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(4.0, (len(labels), len(GENES))) + 1.0
    values = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 100)
    obs = pd.DataFrame({"label": labels, **columns}, index=[f"cell{i}" for i in range(len(labels))])
    var = pd.DataFrame(index=list(GENES))
    return anndata.AnnData(sparse.csr_matrix(values.astype(np.float32)), obs=obs, var=var)


def cells(*labels: str, n: int = 6) -> list[str]:
    return [label for label in labels for _ in range(n)]


def written(adata: anndata.AnnData, path: Path, **renamed: str) -> Path:
    adata.obs = adata.obs.rename(columns=renamed)
    adata.write_h5ad(path)
    return path


@pytest.mark.parametrize(
    ("column", "control", "tool"),
    [
        ("perturbation", "control", "scPerturb"),
        ("target_gene", "non-targeting", "cell-eval"),
        ("gene", "NT", "Mixscape"),
        ("gene_target", "NT", "pertpy"),
    ],
)
def test_columns_of_known_tools_are_read_and_said_so(
    tmp_path: Path, column: str, control: str, tool: str
) -> None:
    adata = screen(cells(control, *LABELS), celltype="K562")
    data = read_anndata(written(adata, tmp_path / "a.h5ad", label=column))
    assert {item.genes for item in data.perturbations} == {(gene,) for gene in LABELS}
    (note,) = [note for note in data.notes if note.startswith("Labels were read from")]
    assert f"obs[{column!r}], which has 5 values (4 genes, 1 controls)" in note
    assert tool in note
    assert data.cell_types == ("K562",)
    assert data.mapping.condition_column == column


def test_combinations_of_scperturb_are_cut_at_their_separator(tmp_path: Path) -> None:
    adata = screen(cells("control", *LABELS, "KLF1_MAPK1", "JUN_HLA-A"))
    data = read_anndata(written(adata, tmp_path / "a.h5ad", label="perturbation"))
    found = {item.genes for item in data.perturbations if len(item.genes) > 1}
    assert found == {("KLF1", "MAPK1"), ("HLA-A", "JUN")}
    assert data.mapping.separator == "_"


def test_guides_of_pairs_that_say_the_same_as_the_genes_do_not_disturb(tmp_path: Path) -> None:
    guides = cells("NegCtrl0_NegCtrl1__NegCtrl0_NegCtrl1", "KLF1_NegCtrl0__KLF1_NegCtrl0")
    guides += cells("NegCtrl0_JUN__NegCtrl0_JUN", "KLF1_JUN__KLF1_JUN")
    adata = screen(cells("control", "KLF1", "JUN", "KLF1_JUN"), guide_id=guides)
    data = read_anndata(written(adata, tmp_path / "a.h5ad", label="perturbation"))
    assert {item.genes for item in data.perturbations} == {("KLF1",), ("JUN",), ("JUN", "KLF1")}


def test_pairs_of_guides_beside_the_genes_do_not_disturb(tmp_path: Path) -> None:
    labels = cells("non-targeting", *LABELS)
    pairs = [f"{label}_+_1.23-P1P2|{label}_-_2.23-P1P2" for label in labels]
    path = written(screen(labels, sgID_AB=pairs), tmp_path / "a.h5ad", label="gene")
    data = read_anndata(path)
    assert {item.genes for item in data.perturbations} == {(gene,) for gene in LABELS}
    with pytest.raises(DataError, match="4 guides, 1 controls") as caught:
        read_anndata(written(screen(pairs), tmp_path / "b.h5ad", label="sgID_AB"))
    flags = r"--condition-column sgID_AB --separator '|' --guide-pattern '_[+-]_[^|]*$'"
    assert str(caught.value).endswith(flags)


def test_mixscape_reads_the_genes_and_not_the_guides_or_the_class(tmp_path: Path) -> None:
    labels = cells("NT", *LABELS)
    adata = screen(
        labels,
        guide_ID=[f"{label}g{i % 2 + 1}" for i, label in enumerate(labels)],
        perturbation=["NT" if label == "NT" else "Perturbed" for label in labels],
        Phase=[("G1", "S", "G2M")[i % 3] for i in range(len(labels))],
        con=["tx"] * len(labels),
    )
    data = read_anndata(written(adata, tmp_path / "a.h5ad", label="gene"))
    assert {item.genes for item in data.perturbations} == {(gene,) for gene in LABELS}


def test_a_column_of_another_name_is_suggested_by_its_values_with_its_flags(tmp_path: Path) -> None:
    labels = cells("NTC", *LABELS)
    adata = screen(
        labels,
        con=np.arange(len(labels)) % 2,
        control=["a", "b"] * (len(labels) // 2),
        barcode=[f"KLF1-{i}" for i in range(len(labels))],
    )
    with pytest.raises(DataError, match="name yours") as caught:
        read_anndata(written(adata, tmp_path / "a.h5ad", label="my labels"))
    message = str(caught.value)
    assert "obs['my labels'] has 5 values (4 genes, 1 controls)" in message
    assert message.endswith("--condition-column 'my labels'")
    assert "barcode" not in message


def test_two_columns_that_disagree_are_asked_about(tmp_path: Path) -> None:
    labels = cells("NT", *LABELS)
    adata = screen(labels, gene=labels[::-1])
    with pytest.raises(DataError, match="--condition-column gene"):
        read_anndata(written(adata, tmp_path / "a.h5ad", label="target_gene"))


def test_no_column_of_perturbations_says_so(tmp_path: Path) -> None:
    adata = screen(["a", "b"] * 10)
    with pytest.raises(DataError, match="no other column has names of genes and controls"):
        read_anndata(written(adata, tmp_path / "a.h5ad"))


@pytest.mark.parametrize("treatments", [("ctrl", "IFNG", "TNF"), ("ctrl", "KO")])
def test_a_condition_that_is_a_treatment_points_to_the_column_of_genes(
    tmp_path: Path, treatments: tuple[str, ...]
) -> None:
    genes = cells("NT", *LABELS)
    treated = [treatments[n % len(treatments)] for n in range(len(genes))]
    path = written(screen(genes, condition=treated), tmp_path / "a.h5ad", label="gene")
    (note,) = [note for note in read_anndata(path).notes if "has other perturbations" in note]
    assert "obs['gene']" in note
    assert note.endswith("4 genes, 1 controls); if those are meant, pass --condition-column gene.")
    data = read_anndata(path, mapping=DataMapping(condition_column="gene"))
    assert {item.genes for item in data.perturbations} == {(gene,) for gene in LABELS}


def test_another_column_that_says_the_same_as_condition_is_not_named(tmp_path: Path) -> None:
    labels = cells("ctrl", "KLF1+MAPK1", *LABELS)
    same = [label.replace("ctrl", "control").replace("+", "_") for label in labels]
    path = written(screen(labels, perturbation=same), tmp_path / "a.h5ad", label="condition")
    assert not [
        note for note in read_anndata(path).notes if "perturbations" in note and "obs" in note
    ]


def test_a_condition_that_is_none_points_to_the_column_that_is(tmp_path: Path) -> None:
    labels = cells("NT", *LABELS)
    adata = screen(labels, condition=["stim", "rest"] * (len(labels) // 2))
    with pytest.raises(DataError, match="--condition-column gene"):
        read_anndata(written(adata, tmp_path / "a.h5ad", label="gene"))


def test_every_part_of_a_mapping_is_read(tmp_path: Path) -> None:
    labels = cells("mock7", "sgKLF1_1", "sgKLF1_2", "MAPK1|JUN")
    adata = screen(labels, line="RPE1", lane=["l1", "l2"] * 12)
    adata.var["alias"] = [f"{gene}x" for gene in GENES]
    adata.layers["log"] = adata.X.copy()
    adata.X = None
    mapping = DataMapping(
        condition_column="label",
        control=("mock7",),
        separator="|",
        guide_pattern=r"^sg|_\d$",
        symbol_column="alias",
        layer="log",
        cell_type_column="line",
        batch_column="lane",
    )
    adata.write_h5ad(tmp_path / "a.h5ad")
    data = read_anndata(tmp_path / "a.h5ad", mapping=mapping)
    assert {item.genes for item in data.perturbations} == {("KLF1x",), ("JUNx", "MAPK1x")}
    assert data.cell_types == ("RPE1",)
    assert data.gene_symbols[0] == "KLF1x"
    assert "2 batches in obs['lane']." in data.notes
    assert read_in_memory(adata, mapping=mapping).sha256 == data.sha256


def test_batches_without_controls_are_named(tmp_path: Path) -> None:
    labels = cells("ctrl", *LABELS)
    adata = screen(labels, batch=["b1"] * 12 + ["b2"] * 18)
    path = written(adata, tmp_path / "a.h5ad", label="condition")
    data = read_anndata(path, mapping=DataMapping(batch_column="batch"))
    assert any("1 batch(es) have no control cell, such as 'b2'" in note for note in data.notes)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (DataMapping(condition_column="lable"), "did you mean 'label'"),
        (DataMapping(condition_column="label", control=("contrl",)), "did you mean 'control'"),
        (DataMapping(condition_column="label", cell_type_column="x"), "obs has no column 'x'"),
        (DataMapping(condition_column="label", batch_column="x"), "obs has no column 'x'"),
        (DataMapping(condition_column="label", symbol_column="x"), "var has no column 'x'"),
        (DataMapping(condition_column="label", symbol_column="n"), "contains numbers"),
        (DataMapping(condition_column="label", layer="x"), "no layer 'x'"),
        (DataMapping(condition_column="label", guide_pattern="("), "not a regular expression"),
    ],
)
def test_a_part_that_is_not_there_is_named(
    tmp_path: Path, mapping: DataMapping, message: str
) -> None:
    adata = screen(cells("control", *LABELS))
    adata.var["n"] = np.arange(len(GENES))
    path = written(adata, tmp_path / "a.h5ad")
    with pytest.raises(DataError, match=message) as caught:
        read_anndata(path, mapping=mapping)
    assert str(path) in str(caught.value)


def test_raw_is_read_with_its_own_genes(tmp_path: Path) -> None:
    adata = screen(cells("ctrl", *LABELS))
    adata.raw = adata.copy()
    small = adata[:, :4].copy()
    path = written(small, tmp_path / "a.h5ad", label="condition")
    data = read_anndata(path, mapping=DataMapping(layer="raw"))
    assert data.gene_ids == GENES


def test_a_backed_object_is_read_in_blocks(tmp_path: Path) -> None:
    path = written(screen(cells("ctrl", *LABELS)), tmp_path / "a.h5ad", label="condition")
    backed = anndata.read_h5ad(path, backed="r")
    assert read_in_memory(backed).sha256 == read_anndata(path).sha256
    view = backed[backed.obs["condition"] != "JUN"]
    assert len(read_in_memory(view).perturbations) == 3
    backed.file.close()


def test_masked_values_are_no_measurements() -> None:
    adata = screen(cells("ctrl", *LABELS))
    adata.obs = adata.obs.rename(columns={"label": "condition"})
    whole = adata.X.toarray()
    mask = np.zeros(whole.shape, dtype=bool)
    adata.X = np.ma.array(whole, mask=mask)
    assert read_in_memory(adata).n_cells == len(whole)
    mask[3, 2] = True
    adata.X = np.ma.array(whole, mask=mask)
    for cut in (adata, adata[:20], adata[:20].copy()):
        with pytest.raises(DataError, match=r"masked values.*filled\(0\)"):
            read_in_memory(cut)
