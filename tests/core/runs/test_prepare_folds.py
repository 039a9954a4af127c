"""Genes that a fold chooses: on cells that a bench of the ready file gives a model alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from small_screen import GENES

from dygenept.data.prepare.options import PrepareOptions
from dygenept.data.reading.anndata_file import read_anndata
from dygenept.data.reading.outline import outline_file
from dygenept.data.splits import make_split
from dygenept.errors import ConfigError, DataError, SplitError
from dygenept.plugin.environment import Environment
from dygenept.plugin.specs import SplitSpec
from dygenept.runs import prepare as preparing
from dygenept.runs.prepare import FoldChoice, PrepareRequest, prepare
from dygenept.types import Fold, PerturbationData, no_report

TYPES = ("K562", "RPE1")
FEW = (2, 7, 11)


def cells(seed: int = 0) -> anndata.AnnData:
    """Return a screen of 16 perturbations in two cell types, three of which have few cells."""
    rng = np.random.default_rng(seed)
    sizes = [30, *(3 if number in FEW else 12 for number in range(16))]
    labels = np.tile(np.repeat(["control", *GENES[:16]], sizes), 2)
    types = np.repeat(TYPES, len(labels) // 2)
    order = rng.permutation(len(labels))
    counts = rng.poisson(3.0, (len(labels), len(GENES))).astype(np.float32)
    counts[:, 0] += 1
    obs = pd.DataFrame(
        {"condition": labels[order], "cell_type": types[order]},
        index=[f"c{number}" for number in range(len(labels))],
    )
    return anndata.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=GENES))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment.load(data_dir=tmp_path / "data")


def asked(path: Path, split: str, fold: int = 0, **options: object) -> PrepareRequest:
    return PrepareRequest(
        dataset=str(path),
        output=path.with_name("ready.h5ad"),
        options=PrepareOptions(normalize=True, n_variable=8, **options),  # type: ignore[arg-type]
        fold=FoldChoice(split=split, options={}, n_folds=4, fold=fold, seed=42),
        writes_page=False,
    )


def cut(
    data: PerturbationData, split: str, options: dict[str, object], environment: Environment
) -> tuple[Fold, ...]:
    """Return the folds of a bench."""
    plugin = environment.configured(SplitSpec, split, options)
    splitter = plugin.spec.factory(plugin.options)
    return make_split(plugin.spec, splitter, data, n_folds=4, seed=42).folds


@pytest.mark.parametrize(
    ("split", "fold"),
    [("kfold", 0), ("kfold", 3), ("gears_single", 0), ("cross_cell_type", 1), ("unseen_both", 2)],
)
def test_the_fold_is_that_of_a_bench_of_the_ready_file(
    tmp_path: Path, environment: Environment, split: str, fold: int
) -> None:
    path = tmp_path / "screen.h5ad"
    cells().write_h5ad(path)
    made = prepare(asked(path, split, fold, min_cells_per_perturbation=5), environment, no_report)
    assert made.manifest["left_out"]["conditions_with_few_cells"] == 2 * len(FEW)
    chosen = made.manifest["variable_genes"]
    assert chosen is not None
    # That of the ready file; what chose its genes is asked about below.
    ready = replace(read_anndata(made.path), genes_chosen_on=frozenset())
    later = cut(ready, split, {}, environment)[fold]
    assert chosen["train_labels"] == sorted(later.train)
    assert chosen["held_out_cell_type"] == later.test_cell_type
    data = read_anndata(made.path)
    labels = [*(of.label for of in data.conditions), ""]
    kinds = [data.cell_types[code] for code in data.cell_type_codes]
    of_cells = [labels[code] for code in data.condition_codes]
    n_train = sum(
        label in later.train and kind != later.test_cell_type
        for label, kind in zip(of_cells, kinds, strict=True)
    )
    assert chosen["n_cells"] == n_train + of_cells.count("")


def test_a_split_that_holds_out_what_chose_the_genes_is_refused(
    tmp_path: Path, environment: Environment
) -> None:
    path = tmp_path / "screen.h5ad"
    cells().write_h5ad(path)
    request = asked(path, "kfold", 1)
    made = prepare(request, environment, no_report)
    with pytest.raises(SplitError, match=r"fold 1 .* whose cells chose which genes 'ready' has"):
        cut(read_anndata(made.path), "kfold", {}, environment)
    planned = outline_file(made.path).data
    assert planned is not None
    with pytest.raises(SplitError, match="whose cells chose"):
        cut(planned, "kfold", {}, environment)
    options = {"path": str(request.labels)}
    (alone,) = cut(read_anndata(made.path), "manifest", options, environment)
    chosen = made.manifest["variable_genes"]
    assert chosen is not None
    assert sorted(alone.train) == chosen["train_labels"]
    assert set(alone.test).isdisjoint(alone.train)
    # What is made of the ready file has the same genes, or fewer.
    again = replace(request, dataset=str(made.path), output=tmp_path / "again.h5ad", fold=None)
    with_less = replace(again, options=PrepareOptions(n_variable=4))
    later = prepare(with_less, environment, no_report)
    with pytest.raises(SplitError, match="whose cells chose"):
        cut(read_anndata(later.path), "kfold", {}, environment)
    assert cut(read_anndata(later.path), "manifest", options, environment)
    # Control cells choose for every split.
    for_all = prepare(replace(request, fold=None), environment, no_report)
    assert len(cut(read_anndata(for_all.path), "kfold", {}, environment)) == 4


def test_a_users_own_file_of_labels_is_not_overwritten(
    tmp_path: Path, environment: Environment
) -> None:
    path = tmp_path / "screen.h5ad"
    cells().write_h5ad(path)
    request = asked(path, "manifest")
    text = '{"train": ["KLF1", "GATA1"], "test": ["SPI1"]}'
    request.labels.write_text(text)
    fold = replace(request.fold, options={"path": str(request.labels)})  # type: ignore[type-var]
    with pytest.raises(ConfigError, match="where the labels of the fold are written"):
        prepare(replace(request, fold=fold), environment, no_report)
    assert request.labels.read_text() == text
    assert not request.output.exists()
    mine = request.labels.rename(tmp_path / "mine.json")
    fold = replace(fold, options={"path": str(mine)})
    made = prepare(replace(request, fold=fold), environment, no_report)
    chosen = made.manifest["variable_genes"]
    assert chosen is not None
    assert chosen["train_labels"] == ["GATA1", "KLF1"]
    assert mine.read_text() == text


@pytest.mark.parametrize("split", ["cross_cell_type", "unseen_both"])
def test_cells_of_a_held_out_cell_type_have_no_say(
    tmp_path: Path, environment: Environment, split: str
) -> None:
    one, kept = cells(), []
    other = one.copy()
    is_held_out = (one.obs["cell_type"] == "K562") & (one.obs["condition"] != "control")
    rows = np.flatnonzero(is_held_out.to_numpy())
    values = one.X.toarray()
    values[rows] = np.random.default_rng(5).permuted(values[rows], axis=1)
    values[rows] *= np.where(np.arange(len(GENES)) % 2, 5, 1)
    other.X = sparse.csr_matrix(values)
    for name, adata in (("one", one), ("other", other)):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "screen.h5ad"
        adata.write_h5ad(path)
        request = asked(path, split, target_sum=100.0, min_cells=100, keeps_targets=False)
        made = prepare(request, environment, no_report)
        kept.append(read_anndata(made.path).gene_ids)
    assert kept[0] == kept[1]
    assert len(kept[0]) == 8


@pytest.mark.filterwarnings("ignore")  # zarr itself says what may become of its formats
@pytest.mark.parametrize("version", [2, 3])
def test_a_zarr_store_is_prepared_as_the_same_file_is(
    tmp_path: Path, environment: Environment, version: int
) -> None:
    pytest.importorskip("zarr")
    adata = cells()
    adata.write_h5ad(tmp_path / "screen.h5ad")
    with anndata.settings.override(zarr_write_format=version):
        adata.write_zarr(tmp_path / "screen.zarr")
    found = []
    for name in ("screen.h5ad", "screen.zarr"):
        made = prepare(asked(tmp_path / name, "kfold"), environment, no_report)
        found.append((read_anndata(made.path).sha256, made.manifest))
    assert found[0][0] == found[1][0]
    source = found[1][1]["source"]
    size = sum(part.stat().st_size for part in (tmp_path / "screen.zarr").rglob("*.*"))
    assert source["size"] >= size > 0
    before = source["sha256"]
    (tmp_path / "screen.zarr" / "more").write_bytes(b"x")
    again = prepare(asked(tmp_path / "screen.zarr", "kfold"), environment, no_report)
    assert again.manifest["source"]["sha256"] != before
    assert again.manifest["source"]["size"] == source["size"] + 1


def test_a_stored_zero_is_no_value(tmp_path: Path, environment: Environment) -> None:
    tidy = cells()
    untidy = tidy.copy()
    values = np.ones(tidy.shape, dtype=np.float32)
    untidy.X = sparse.csr_matrix(values)
    untidy.X.data[:] = tidy.X.toarray().ravel()
    columns = untidy.copy()
    columns.X = sparse.csc_matrix(untidy.X)
    found = []
    for name, adata in (("tidy", tidy), ("rows", untidy), ("columns", columns)):
        path = tmp_path / f"{name}.h5ad"
        adata.write_h5ad(path)
        with h5py.File(path) as file:
            assert (len(file["X/data"]) == values.size) == (name != "tidy")
        request = asked(path, "kfold", min_genes=25, min_cells=260)
        made = prepare(request, environment, no_report).manifest
        left = made["left_out"]
        found.append((left, made["cells"], made["genes"], read_anndata(request.output).sha256))
    assert found[0] == found[1] == found[2]
    assert found[0][0]["cells_with_few_genes"] > 0
    assert found[0][0]["genes_in_few_cells"] > 0


def test_another_scale_is_refused_whether_zeros_are_stored_or_not(
    tmp_path: Path, environment: Environment
) -> None:
    adata = cells()
    counts = adata.X.toarray()
    logs = np.log2(1 + counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    adata.X = sparse.csr_matrix(np.ones_like(logs))
    adata.X.data[:] = logs.ravel()
    adata.write_h5ad(tmp_path / "screen.h5ad")
    request = PrepareRequest(
        dataset=str(tmp_path / "screen.h5ad"),
        output=tmp_path / "ready.h5ad",
        options=PrepareOptions(),
    )
    with pytest.raises(DataError, match=r"log2\(1 \+ x\)"):
        prepare(request, environment, no_report)


def test_a_page_of_another_ready_file_does_not_stay(
    tmp_path: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither without a page of its own, nor where the process ends before it is made."""
    path = tmp_path / "screen.h5ad"
    cells().write_h5ad(path)
    request = asked(path, "kfold")
    for old in (request.manifest, request.page):
        old.write_text("of an earlier file")
    prepare(request, environment, no_report)
    assert not request.page.exists()
    assert "variable_genes" in request.manifest.read_text()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for old in (request.manifest, request.page):
        old.write_text("of an earlier file")
    monkeypatch.setattr(preparing, "describe_screen", killed)
    whole = PrepareRequest(
        dataset=str(path), output=request.output, options=PrepareOptions(normalize=True)
    )
    with pytest.raises(KeyboardInterrupt):
        prepare(whole, environment, no_report)
    assert not request.page.exists()
    assert "variable_genes" in request.manifest.read_text()
