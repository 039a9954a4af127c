"""Submitted predictions: formats, spelling, order, and what is missing."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import polars as pl
import pytest

from dygenept.data.pseudobulk import pseudobulk
from dygenept.errors import DataError
from dygenept.results.submission import Submission, read_submission
from dygenept.results.submission_match import MatchedSubmission
from dygenept.testing import ToyShape, toy_data, toy_task
from dygenept.types import PerturbationData

Table = tuple[list[str], list[str], np.ndarray]


@pytest.fixture(scope="module")
def data() -> PerturbationData:
    return toy_data()


@pytest.fixture(scope="module")
def table(data: PerturbationData) -> Table:
    means = pseudobulk(data).means
    return [item.label for item in data.conditions], list(data.gene_ids), means


def as_npz(path: Path, labels: list[str], genes: list[str], values: np.ndarray) -> Path:
    np.savez(path, perturbations=np.array(labels), genes=np.array(genes), values=values)
    return path


def as_wide(path: Path, labels: list[str], genes: list[str], values: np.ndarray) -> Path:
    frame = pl.DataFrame({"perturbation": labels}).hstack(pl.from_numpy(values, schema=genes))
    return written(frame, path)


def as_long(path: Path, labels: list[str], genes: list[str], values: np.ndarray) -> Path:
    frame = pl.DataFrame(
        {
            "perturbation": np.repeat(labels, len(genes)),
            "gene_id": genes * len(labels),
            "control": np.zeros(values.size),
            "predicted": values.ravel(),
        }
    )
    return written(frame.sample(fraction=1.0, shuffle=True, seed=1), path)


def written(frame: pl.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    return path


def as_h5ad(path: Path, labels: list[str], genes: list[str], values: np.ndarray) -> Path:
    """Two cells a perturbation, whose mean is the value."""
    import anndata
    import pandas as pd

    cells = np.concatenate([values + 0.5, values - 0.5])
    adata = anndata.AnnData(
        X=cells,
        obs=pd.DataFrame({"condition": labels * 2}, index=[f"c{i}" for i in range(len(cells))]),
        var=pd.DataFrame(index=genes),
    )
    adata.write_h5ad(path)
    return path


Writer = Callable[[Path, list[str], list[str], np.ndarray], Path]


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        ("p.npz", as_npz),
        ("p.csv", as_wide),
        ("p.tsv", as_wide),
        ("p.parquet", as_wide),
        ("p.csv", as_long),
        ("p.parquet", as_long),
        ("p.h5ad", as_h5ad),
    ],
)
def test_every_format_gives_the_same_predictions_in_any_order(
    data: PerturbationData, table: Table, tmp_path: Path, name: str, writer: Writer
) -> None:
    labels, genes, values = table
    rows = np.random.default_rng(3).permutation(len(labels))
    columns = np.random.default_rng(4).permutation(len(genes))
    path = writer(
        tmp_path / name,
        [labels[row] for row in rows],
        [genes[column] for column in columns],
        values[rows][:, columns],
    )
    matched = MatchedSubmission(read_submission(path), data)
    task, test = toy_task(data)
    expected = values[[data.conditions.index(condition) for condition in test]]
    assert np.allclose(matched.expression(test, task, 0), expected, atol=1e-6)
    mismatch = matched.mismatch([(0, test)])
    assert mismatch.lacks() == ()
    assert mismatch.ignored() == ()


def submission(
    labels: list[str],
    genes: list[str],
    values: np.ndarray,
    *,
    folds: tuple[int, ...] | None = None,
    cell_types: tuple[str, ...] | None = None,
    is_delta: bool = False,
) -> Submission:
    return Submission(
        labels=tuple(labels),
        cell_types=cell_types,
        folds=folds,
        genes=tuple(genes),
        alternatives=None,
        values=values,
        is_delta=is_delta,
        sha256="ab",
    )


def test_labels_and_genes_may_be_spelt_as_people_do(data: PerturbationData, table: Table) -> None:
    labels, _, values = table
    spelt = ["+".join(reversed(label.split("+"))) for label in labels]
    spelt = [text.replace("ctrl+", "").replace("+ctrl", "") for text in spelt]
    matched = MatchedSubmission(submission(spelt, list(data.gene_symbols), values), data)
    task, test = toy_task(data)
    expected = values[[data.conditions.index(condition) for condition in test]]
    assert np.array_equal(matched.expression(test, task, 0), expected)


def test_changes_from_control_are_added_to_the_real_controls(
    data: PerturbationData, table: Table
) -> None:
    labels, genes, values = table
    control = pseudobulk(data).control_means[0]
    matched = MatchedSubmission(submission(labels, genes, values - control, is_delta=True), data)
    task, test = toy_task(data)
    expected = values[[data.conditions.index(condition) for condition in test]]
    assert np.allclose(matched.expression(test, task, 0), expected, atol=1e-12)


def test_what_is_missing_and_unknown_is_named(data: PerturbationData, table: Table) -> None:
    labels, genes, values = table
    task, test = toy_task(data)
    kept = [row for row, label in enumerate(labels) if label != test[0].label]
    given = values[kept][:, 2:].copy()
    given[[labels[row] for row in kept].index(test[1].label), 0] = np.nan
    handed = submission(
        [*(labels[row] for row in kept), "NOSUCH+ctrl", "ctrl"],
        [*genes[2:], "NOGENE"],
        np.pad(given, ((0, 2), (0, 1))),
    )
    matched = MatchedSubmission(handed, data)
    mismatch = matched.mismatch([(0, test)])
    assert mismatch.missing_perturbations == (test[0].label,)
    assert mismatch.unknown_perturbations == ("NOSUCH+ctrl",)
    assert mismatch.missing_genes == data.gene_symbols[:2]
    assert mismatch.unknown_genes == ("NOGENE",)
    assert mismatch.n_missing_values == 1
    filled = matched.expression(test, task, 0)
    assert np.allclose(filled[0], task.means.mean(axis=0))
    control = task.control_means[0]
    assert np.array_equal(filled[1, :3], control[:3])
    assert np.array_equal(filled[2, 2:], values[data.conditions.index(test[2]), 2:])


def test_rows_of_folds_and_cell_types_are_told_apart() -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    label = data.conditions[0].label
    handed = submission(
        [label, label, label],
        list(data.gene_ids),
        np.arange(3.0)[:, None] * np.ones(data.n_genes),
        folds=(1, 2, 2),
        cell_types=("toy_a", "toy_a", "toy_b"),
    )
    matched = MatchedSubmission(handed, data)
    task, _ = toy_task(data)
    first, second = (
        next(c for c in data.conditions if (c.label, c.cell_type) == (label, kind))
        for kind in ("toy_a", "toy_b")
    )
    assert matched.expression([first], task, 0)[0, 0] == 0.0
    assert matched.expression([first], task, 1)[0, 0] == 1.0
    assert matched.expression([second], task, 1)[0, 0] == 2.0
    assert matched.mismatch([(0, [second])]).missing_perturbations == (label,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["KLF1", "ctrl+KLF1"]}, "predicts 'ctrl\\+KLF1' twice"),
        ({"labels": ["NOSUCH", "NEITHER"]}, "none of the 2 prediction"),
        ({"genes": ["A", "B"]}, "none of the 2 gene"),
        ({"genes": ["KLF1", "KLF1"]}, "1 gene\\(s\\) twice"),
        ({"cell_types": ("toy", "toy")}, "no cell type 'toy'; did you mean 'toy_a'"),
    ],
)
def test_what_cannot_be_matched_is_refused(
    data: PerturbationData, change: dict[str, object], message: str
) -> None:
    arguments: dict[str, object] = {"labels": ["KLF1", "JUN"], "genes": ["KLF1", "JUN"]}
    with pytest.raises(DataError, match=message):
        MatchedSubmission(submission(**(arguments | change), values=np.ones((2, 2))), data)  # type: ignore[arg-type]


def test_rows_without_a_cell_type_are_refused_where_there_are_several_unless_asked() -> None:
    data = toy_data(ToyShape(n_cell_types=2))
    rows = submission(["KLF1", "JUN"], ["KLF1", "JUN"], np.ones((2, 2)))
    with pytest.raises(DataError, match=r"2 \(toy_a, toy_b\); add a column 'cell_type', or pass"):
        MatchedSubmission(rows, data)
    matched = MatchedSubmission(rows, data, in_all_types=True)
    klf1 = [of for of in data.conditions if of.label in ("KLF1+ctrl", "ctrl+KLF1")]
    assert len(klf1) == 2
    assert matched.mismatch([(0, klf1)]).missing_perturbations == ()


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    def refused(name: str, message: str, content: bytes | None = None) -> None:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_submission(path)

    refused("gone.csv", "no file")
    refused("p.txt", "known: .csv", b"x")
    refused("a.csv", "no column of perturbations", b"name,KLF1\na,1\n")
    refused("b.csv", "column 'KLF1' contains text", b"perturbation,KLF1\nJUN,high\n")
    refused("c.csv", "infinite", b"perturbation,KLF1\nJUN,inf\n")
    refused("d.csv", "more than once", b"perturbation,gene,value\nJUN,A,1\nJUN,A,2\n")
    refused("e.npz", "is not an .npz file: it is plain text", b"not a zip")
    refused("f.parquet", "cannot be read", b"PAR1")
    refused("i.parquet", "is not a Parquet table: it is compressed", gzip.compress(b"PAR1"))
    refused("j.csv", "is a web page", b"<html>")
    refused("k.csv", "separated by ';'", b"perturbation;KLF1\nJUN;0,5\n")
    refused("l.tsv", "separated by ','", b"perturbation,KLF1\nJUN,0.5\n")
    refused("o.csv", "column 'fold' has 'test'", b"perturbation,fold,KLF1\nJUN,test,0.5\n")
    refused("q.csv", "column 'fold' has '1.5'", b"perturbation,fold,KLF1\nJUN,1.5,0.5\n")
    refused("m.csv", r"notna\(\)", b"perturbation,KLF1\nJUN,0.5\n,0.5\n")
    np.savez(tmp_path / "g.npz", perturbations=np.array(["JUN"], dtype=object), genes=["A"])
    refused("g.npz", "may run code")
    np.savez(
        tmp_path / "h.npz",
        perturbations=np.array(["JUN"], dtype=object),
        genes=np.array(["A"]),
        values=np.ones((1, 1)),
    )
    refused("h.npz", r"may run code.*np\.array\(names, dtype=str\)")
    as_npz(tmp_path / "i.npz", ["JUN"], ["A", "B"], np.ones((1, 3)))
    refused("i.npz", r"values are \(1, 3\), but there are 1 perturbation\(s\) and 2 gene")


def test_an_index_without_a_name_has_the_perturbations(tmp_path: Path) -> None:
    table = pd.DataFrame({"KLF1": [0.5, 1.5], "JUN": [2.0, 2.5]}, index=["KLF1", "JUN"])
    table.to_csv(tmp_path / "a.csv")
    table.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        found = read_submission(tmp_path / name)
        assert (found.labels, found.genes) == (("KLF1", "JUN"), ("KLF1", "JUN"))
        assert found.values.tolist() == [[0.5, 2.0], [1.5, 2.5]]
        assert "first column" in found.notes[0]


def test_a_missing_label_of_an_anndata_file_is_refused(tmp_path: Path) -> None:
    obs = pd.DataFrame({"condition": pd.Categorical(["KLF1", None])}, index=["a", "b"])
    anndata.AnnData(np.ones((2, 1)), obs=obs, var=pd.DataFrame(index=["JUN"])).write_h5ad(
        tmp_path / "a.h5ad"
    )
    with pytest.raises(DataError, match=r"adata.obs\['condition'\].notna\(\)"):
        read_submission(tmp_path / "a.h5ad")


def test_labels_are_found_whatever_their_case_or_id(data: PerturbationData) -> None:
    handed = submission(["klf1", "ENSG00000177606"], ["KLF1", "JUN"], np.ones((2, 2)))
    found = {key[0] for key in MatchedSubmission(handed, data)._rows}
    assert found == {("KLF1",), ("JUN",)}


@pytest.mark.parametrize("label", ["nan", "unassigned", "KLF1+None"])
def test_a_prediction_that_names_no_perturbation_is_refused(
    data: PerturbationData, label: str
) -> None:
    handed = submission(["KLF1+ctrl", label], list(data.gene_symbols), np.ones((2, data.n_genes)))
    with pytest.raises(DataError, match="name no perturbation; drop the rows") as caught:
        MatchedSubmission(handed, data)
    assert label in str(caught.value)
    assert "adata" not in str(caught.value)


def test_a_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("perturbation,A,B,A\nX,1,2,3\n", encoding="utf-8")
    with pytest.raises(DataError, match="two columns called 'A'; keep one of them"):
        read_submission(path)
