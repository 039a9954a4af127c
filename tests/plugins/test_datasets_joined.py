"""Joined data sets: cells one below another, on shared genes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dygenept.data.pseudobulk import pseudobulk
from dygenept.errors import DataError, DataUnavailableError
from dygenept.testing import ToyShape, toy_data, write_toy_h5ad
from dygenept.types import PerturbationData, Runtime
from dygenept_plugins.datasets.joined import JoinedConfig, JoinedSource, join


def other(name: str = "toy_b") -> PerturbationData:
    data = toy_data(ToyShape(seed=1))
    conditions = tuple(replace(item, cell_type=name) for item in data.conditions)
    return replace(data, cell_types=(name,), conditions=conditions)


def without_genes(data: PerturbationData, n_genes: int) -> PerturbationData:
    return replace(
        data,
        expression=data.expression[:, n_genes:],
        gene_ids=data.gene_ids[n_genes:],
        gene_symbols=data.gene_symbols[n_genes:],
    )


def test_each_condition_keeps_its_mean_on_the_shared_genes() -> None:
    first, second = toy_data(), without_genes(other(), 5)
    joined = join("both", {"first": first, "second": second})
    assert joined.gene_ids == first.gene_ids[5:]
    assert joined.n_cells == first.n_cells + second.n_cells
    assert joined.cell_types == ("toy_a", "toy_b")
    means, ours, theirs = pseudobulk(joined), pseudobulk(first), pseudobulk(second)
    for row, condition in enumerate(joined.conditions):
        part, own, skipped = (
            (first, ours, 5) if condition.cell_type == "toy_a" else (second, theirs, 0)
        )
        expected = own.means[part.conditions.index(condition), skipped:]
        assert np.allclose(means.means[row], expected, atol=1e-12)
    assert np.allclose(means.control_means[0], ours.control_means[0, 5:], atol=1e-12)
    assert np.allclose(means.control_means[1], theirs.control_means[0], atol=1e-12)
    assert len(set(joined.cell_ids)) == joined.n_cells


def test_one_perturbation_has_one_label_whichever_data_set_it_comes_from() -> None:
    first, second = toy_data(), other()
    spelt = {item.label: item.label.replace("+ctrl", "") for item in second.perturbations}
    renamed = replace(
        second,
        conditions=tuple(
            replace(item, perturbation=replace(item.perturbation, label=spelt[item.label]))
            for item in second.conditions
        ),
        raw_labels=tuple(spelt.values()),
        raw_to_label={label: label for label in spelt.values()},
    )
    joined = join("both", {"first": first, "second": renamed})
    assert len(joined.perturbations) == len(first.perturbations)


def test_the_fingerprint_follows_the_content() -> None:
    once = join("both", {"first": toy_data(), "second": other()})
    assert join("again", {"a": toy_data(), "b": other()}).sha256 == once.sha256
    changed = other()
    changed.expression.data[0] += 1
    assert join("both", {"first": toy_data(), "second": changed}).sha256 != once.sha256


def test_data_sets_that_cannot_be_joined_are_named() -> None:
    with pytest.raises(DataError, match="without a cell type in common"):
        join("both", {"first": toy_data(), "second": other("toy_a")})
    with pytest.raises(DataError, match=r"share 5 gene\(s\)"):
        join("both", {"first": toy_data(), "second": without_genes(other(), 55)})


def test_files_of_ones_own_are_joined(tmp_path: Path) -> None:
    import anndata

    first = write_toy_h5ad(tmp_path / "first.h5ad")
    adata = anndata.read_h5ad(first)
    adata.obs["cell_type"] = "another"
    adata.write_h5ad(tmp_path / "second.h5ad")
    config = JoinedConfig(name="mine", files={"a": first, "b": tmp_path / "second.h5ad"})
    source = JoinedSource(config)
    assert source.status(tmp_path).is_present
    joined = source.load(tmp_path, Runtime())
    assert joined.name == "mine"
    assert "another" in joined.cell_types
    gone = JoinedSource(JoinedConfig(name="mine", files={"a": first, "b": tmp_path / "no.h5ad"}))
    assert not gone.status(tmp_path).is_present
    with pytest.raises(DataUnavailableError, match=r"no\.h5ad"):
        gone.load(tmp_path, Runtime())
