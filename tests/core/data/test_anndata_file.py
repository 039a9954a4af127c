from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pytest
from scipy import sparse

from dygenept.data.de.lists import de_genes
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.errors import DataError
from dygenept.testing import ToyShape, toy_data, write_toy_h5ad
from dygenept.testing.dataset_checks import check_perturbation_data
from dygenept.testing.rules import Rules
from dygenept.types import PerturbationData

Edit = Callable[[Any], Any]


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Edit], Path]:
    """Write the toy data set after an edit of the AnnData object."""

    def write(edit: Edit) -> Path:
        adata = anndata.read_h5ad(write_toy_h5ad(tmp_path / "toy.h5ad"))
        path = tmp_path / "edited.h5ad"
        (edit(adata) or adata).write_h5ad(path)
        return path

    return write


def assert_same_content(first: PerturbationData, second: PerturbationData) -> None:
    assert (first.expression != second.expression).nnz == 0
    assert first.gene_ids == second.gene_ids
    assert first.gene_symbols == second.gene_symbols
    assert first.conditions == second.conditions
    assert first.cell_types == second.cell_types
    assert first.raw_labels == second.raw_labels
    assert first.raw_to_label == second.raw_to_label
    np.testing.assert_array_equal(first.condition_codes, second.condition_codes)
    np.testing.assert_array_equal(first.cell_type_codes, second.cell_type_codes)
    np.testing.assert_array_equal(first.cell_ids, second.cell_ids)


@pytest.mark.parametrize("n_cell_types", [1, 2])
def test_a_file_reads_back_as_the_data_it_was_written_from(
    tmp_path: Path, n_cell_types: int
) -> None:
    shape = ToyShape(n_cell_types=n_cell_types)
    data = read_anndata(write_toy_h5ad(tmp_path / "toy.h5ad", shape))
    assert_same_content(data, toy_data(shape))
    assert (data.name, data.source) == ("toy", str(tmp_path / "toy.h5ad"))
    assert data.is_simulated
    assert data.expression.dtype == np.float32
    assert data.expression.indices.dtype == np.int32
    assert data.de_lists == {}


@pytest.mark.shared_data
def test_the_real_subset_is_read_whole(norman_subset: Path) -> None:
    data = read_anndata(norman_subset, name="norman_subset")
    assert (data.n_cells, data.n_genes, len(data.perturbations)) == (3375, 250, 33)
    assert sum(len(of.genes) == 2 for of in data.perturbations) == 15
    assert not data.is_simulated
    assert set(data.de_lists) == {"top_non_dropout_de_20", "top_non_zero_de_20"}
    assert any("30 of 31 target genes" in note for note in data.notes)
    assert "TMSB4X" in data.gene_symbols
    assert data.gene_ids[0].startswith("ENSG")


def _write_old_encoding(source: Path, path: Path) -> None:
    """Rewrite categoricals and X as anndata 0.7 wrote them."""
    with h5py.File(source) as new, h5py.File(path, "w") as old:
        for name in ("var", "uns"):
            new.copy(name, old)
        matrix = new["X"]
        group = old.create_group("X")
        group.attrs["h5sparse_format"] = "csr"
        group.attrs["h5sparse_shape"] = matrix.attrs["shape"]
        for part in ("data", "indices", "indptr"):
            group[part] = matrix[part][:]
        obs = old.create_group("obs")
        obs.attrs["_index"] = new["obs"].attrs["_index"]
        categories = obs.create_group("__categories")
        for name, item in new["obs"].items():
            if isinstance(item, h5py.Group):
                new.copy(item["categories"], categories, name)
                obs[name] = item["codes"][:]
                obs[name].attrs["categories"] = categories[name].ref
            else:
                new.copy(item, obs, name)


def test_old_and_new_categoricals_read_the_same(tmp_path: Path) -> None:
    new = write_toy_h5ad(tmp_path / "new.h5ad", ToyShape(n_cell_types=2))
    _write_old_encoding(new, tmp_path / "old.h5ad")
    first, second = read_anndata(new), read_anndata(tmp_path / "old.h5ad")
    assert_same_content(first, second)
    assert first.sha256 == second.sha256


@pytest.mark.shared_data
def test_old_categoricals_of_real_cells_keep_their_de_lists(
    norman_subset: Path, tmp_path: Path
) -> None:
    _write_old_encoding(norman_subset, tmp_path / "old.h5ad")
    first, second = read_anndata(norman_subset), read_anndata(tmp_path / "old.h5ad")
    assert first.sha256 == second.sha256
    np.testing.assert_array_equal(
        first.de_lists["top_non_zero_de_20"], second.de_lists["top_non_zero_de_20"]
    )


def test_plain_string_and_nullable_columns_are_read(edited: Callable[[Edit], Path]) -> None:
    def as_strings(adata: Any) -> None:
        adata.obs["condition"] = adata.obs["condition"].astype(str).astype(object)
        adata.obs["control"] = adata.obs["control"].astype("Int64")

    path = edited(as_strings)
    with h5py.File(path, "r+") as file:
        # anndata makes categoricals of repeated strings; write them out one by one.
        group = file["obs/condition"]
        texts = group["categories"].asstr()[:][group["codes"][:]]
        del file["obs/condition"]
        file["obs"].create_dataset("condition", data=list(texts), dtype=h5py.string_dtype())
    assert_same_content(read_anndata(path), toy_data())


def test_csc_is_converted_and_told(edited: Callable[[Edit], Path]) -> None:
    def to_csc(adata: Any) -> None:
        adata.X = sparse.csc_matrix(adata.X)

    data = read_anndata(edited(to_csc))
    assert_same_content(data, toy_data())
    assert "X was CSC and was converted to CSR." in data.notes


def test_float64_values_and_long_indices_are_narrowed(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    with h5py.File(path, "r+") as file:
        for part, kind in (("data", "f8"), ("indices", "i8"), ("indptr", "i8")):
            values = file[f"X/{part}"][:]
            del file[f"X/{part}"]
            file[f"X/{part}"] = values.astype(kind)
    data = read_anndata(path)
    assert (data.expression.dtype, data.expression.indices.dtype) == (np.float32, np.int32)
    assert_same_content(data, toy_data())


def test_unsorted_indices_and_explicit_zeros_become_canonical(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad")
    clean = read_anndata(path)
    with h5py.File(path, "r+") as file:
        data, indices, indptr = (file[f"X/{part}"][:] for part in ("data", "indices", "indptr"))
        end = indptr[1]
        absent = np.setdiff1d(np.arange(60), indices[:end])[:1].astype(indices.dtype)
        file["X/indptr"][1:] = indptr[1:] + 1
        for part, values in (
            ("data", np.concatenate((data[:end][::-1], [0.0], data[end:])).astype("f4")),
            ("indices", np.concatenate((indices[:end][::-1], absent, indices[end:]))),
        ):
            del file[f"X/{part}"]
            file[f"X/{part}"] = values
    mended = read_anndata(path)
    assert mended.sha256 == clean.sha256
    assert mended.expression.has_canonical_format
    assert_same_content(mended, clean)


def test_a_file_without_cell_types_has_one_and_says_so(edited: Callable[[Edit], Path]) -> None:
    data = read_anndata(edited(lambda adata: adata.obs.drop(columns="cell_type", inplace=True)))
    assert data.cell_types == ("unknown",)
    assert any("no column 'cell_type'" in note for note in data.notes)


def test_cells_without_a_cell_type_are_of_unknown_type(edited: Callable[[Edit], Path]) -> None:
    def forget(adata: Any) -> None:
        adata.obs["cell_type"] = adata.obs["cell_type"].where(np.arange(adata.n_obs) > 99)

    data = read_anndata(edited(forget))
    assert data.cell_types == ("toy_a", "unknown")
    assert (data.cell_type_codes[:100] == 1).all()
    assert any("100 cell(s) without a cell type" in note for note in data.notes)


def test_the_line_that_drops_cells_without_a_cell_type_drops_them(
    tmp_path: Path, edited: Callable[[Edit], Path]
) -> None:
    def forget(adata: Any) -> None:
        is_perturbed = adata.obs["condition"].astype(str) != "ctrl"
        adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).mask(is_perturbed, " NaN")
        adata.obs.iloc[-300:, adata.obs.columns.get_loc("cell_type")] = "toy_a"

    path = edited(forget)
    with pytest.raises(DataError, match="cells without a cell type have") as caught:
        read_anndata(path)
    line = str(caught.value).partition("drop them: adata = ")[2]
    kept = eval(line, {"adata": anndata.read_h5ad(path)})
    kept.write_h5ad(tmp_path / "kept.h5ad")
    assert read_anndata(tmp_path / "kept.h5ad").cell_types == ("toy_a",)


def test_symbols_come_from_another_column_or_else_the_index(
    edited: Callable[[Edit], Path],
) -> None:
    def rename(adata: Any) -> None:
        adata.var = adata.var.rename(columns={"gene_name": "feature_name"})

    other = read_anndata(edited(rename))
    assert other.gene_symbols == toy_data().gene_symbols
    assert "Gene symbols were read from var['feature_name']." in other.notes
    none = read_anndata(edited(lambda adata: adata.var.drop(columns="gene_name", inplace=True)))
    assert none.gene_symbols == none.gene_ids
    assert any("its index is used" in note for note in none.notes)


def test_a_symbol_of_two_output_genes_is_told(edited: Callable[[Edit], Path]) -> None:
    def repeat(adata: Any) -> None:
        symbols = adata.var["gene_name"].astype(str).tolist()
        adata.var["gene_name"] = [symbols[1], *symbols[1:]]

    told = [note for note in read_anndata(edited(repeat)).notes if "more than one" in note]
    symbol = toy_data().gene_symbols[1]
    assert told == [
        f"1 gene symbols name more than one output gene, told apart by their ids: {symbol}."
    ]


def test_label_spellings_of_other_tools_are_read_and_named(
    edited: Callable[[Edit], Path],
) -> None:
    def respell(adata: Any) -> None:
        labels = adata.obs["condition"].astype(str).replace("ctrl", "non-targeting")
        adata.obs["condition"] = [
            "+".join(part for part in label.split("+") if part != "ctrl") for label in labels
        ]

    data, toy = read_anndata(edited(respell)), toy_data()
    genes = [data.conditions[code].genes if code >= 0 else () for code in data.condition_codes]
    expected = [toy.conditions[code].genes if code >= 0 else () for code in toy.condition_codes]
    assert genes == expected
    assert not any("ctrl" in of.label for of in data.conditions)
    assert "Read as control: 'non-targeting'." in data.notes


def test_a_target_outside_the_output_genes_is_a_note_not_an_error(tmp_path: Path) -> None:
    data = read_anndata(write_toy_h5ad(tmp_path / "toy.h5ad"))
    assert any("6 of 10 target genes are not among" in note for note in data.notes)


def test_a_condition_with_one_cell_is_accepted_and_told(edited: Callable[[Edit], Path]) -> None:
    def cut(adata: Any) -> Any:
        is_of = (adata.obs["condition"] == "JUN+ctrl").to_numpy()
        keep = ~is_of
        keep[np.flatnonzero(is_of)[0]] = True
        return adata[keep].copy()

    data = read_anndata(edited(cut))
    sizes = np.bincount(data.condition_codes[data.condition_codes >= 0])
    assert sizes.min() == 1
    assert any("1 condition(s) have one cell, such as 'JUN+ctrl'" in note for note in data.notes)


def test_a_cell_type_with_one_control_is_accepted_and_told(
    edited: Callable[[Edit], Path],
) -> None:
    def cut(adata: Any) -> Any:
        is_control = (adata.obs["condition"] == "ctrl").to_numpy()
        keep = ~is_control
        keep[np.flatnonzero(is_control)[0]] = True
        return adata[keep].copy()

    data = read_anndata(edited(cut))
    assert any("Cell type 'toy_a' has one control cell" in note for note in data.notes)
    assert (de_genes(data).indices == -1).all()

    def forget(adata: Any) -> Any:
        del adata.obs["cell_type"]
        return cut(adata)

    notes = read_anndata(edited(forget)).notes
    assert any(note.startswith("There is one control cell: DE genes cannot") for note in notes)
    assert any("all cells count as one cell type" in note for note in notes)
    assert not any("unknown" in note for note in notes)


def test_counts_are_normalised_as_scanpy_does(edited: Callable[[Edit], Path]) -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, toy_data().expression.shape)
    counts[5] = 0

    def with_counts(adata: Any) -> None:
        adata.X = sparse.csr_matrix(counts.astype(np.int64))

    data = read_anndata(edited(with_counts), normalize=True)
    totals = counts.sum(axis=1, keepdims=True)
    target = np.median(totals[totals > 0])
    expected = np.log1p(counts / np.maximum(totals, 1) * target)
    np.testing.assert_allclose(data.expression.toarray(), expected, rtol=1e-6)
    assert data.expression.dtype == np.float32
    assert any(f"scaled to {target:g} per cell" in note for note in data.notes)


def _lists(data: PerturbationData, raw: list[str]) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {
        f"toy_a_{label}_1+1": np.asarray(rng.permutation(data.gene_ids)[:20], dtype=object)
        for label in raw
    }


def test_lists_of_a_pooled_perturbation_are_those_of_its_smallest_label(
    edited: Callable[[Edit], Path],
) -> None:
    toy = toy_data()
    lists = _lists(toy, list(toy.raw_labels))

    def carry(adata: Any) -> None:
        adata.uns["top_non_dropout_de_20"] = lists

    data = read_anndata(edited(carry))
    assert len(data.raw_labels) == len(data.conditions) + 1
    for condition, row in zip(data.conditions, data.de_lists["top_non_dropout_de_20"], strict=True):
        expected = lists[f"toy_a_{condition.label}_1+1"]
        assert [data.gene_ids[gene] for gene in row] == list(expected)
    assert any("takes the DE list of its smallest label" in note for note in data.notes)
    assert data.sha256 != read_anndata(edited(lambda adata: None)).sha256


def test_short_lists_are_padded(edited: Callable[[Edit], Path]) -> None:
    toy = toy_data()
    lists = {key: genes[:3] for key, genes in _lists(toy, list(toy.raw_labels)).items()}
    data = read_anndata(edited(lambda adata: adata.uns.update(top_non_zero_de_20=lists)))
    table = data.de_lists["top_non_zero_de_20"]
    assert (table[:, 3:] == -1).all()
    assert (table[:, :3] >= 0).all()


def test_incomplete_or_foreign_lists_are_left_alone_and_told(
    edited: Callable[[Edit], Path],
) -> None:
    toy = toy_data()
    lists = _lists(toy, list(toy.raw_labels))
    incomplete = {key: genes for key, genes in lists.items() if "JUN" not in key}
    foreign = {**lists, "toy_a_JUN+ctrl_1+1": np.asarray(["ENSG404"], dtype=object)}
    for carried, reason in ((incomplete, "have no list"), (foreign, "'ENSG404'")):

        def carry(adata: Any, lists: dict[str, Any] = carried) -> None:
            adata.uns["top_non_zero_de_20"] = lists

        data = read_anndata(edited(carry))
        assert data.de_lists == {}
        assert any(reason in note for note in data.notes)


def test_lists_without_condition_names_are_left_alone_and_told(
    edited: Callable[[Edit], Path],
) -> None:
    toy = toy_data()

    def carry(adata: Any) -> None:
        adata.uns["top_non_zero_de_20"] = _lists(toy, list(toy.raw_labels))
        adata.obs = adata.obs.drop(columns="condition_name")

    data = read_anndata(edited(carry))
    assert data.de_lists == {}
    assert any("no column 'condition_name'" in note for note in data.notes)


def test_what_is_read_passes_the_conformance_rules(tmp_path: Path) -> None:
    path = write_toy_h5ad(tmp_path / "toy.h5ad", ToyShape(n_cell_types=2))
    check_perturbation_data(read_anndata(path), Rules("read_anndata"))
