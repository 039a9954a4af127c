"""Changes of the top-20 genes, kept beside predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.errors import ResultsError
from dygenept.results import top_changes
from dygenept.results.provenance import DatasetRecord
from dygenept.results.store import ResultsStore, read_kept_table
from dygenept.results.top_changes import (
    KeptChanges,
    changes_from_predictions,
    keep_top_changes,
    read_changes,
    top_path,
)
from dygenept.results.truth import keep_truth, truth_key
from dygenept.testing.toy import toy_data
from dygenept.types import PerturbationData, Predictions

N = 3


@pytest.fixture(scope="module")
def data() -> PerturbationData:
    return toy_data()


@pytest.fixture
def kept(data: PerturbationData, tmp_path: Path) -> tuple[ResultsStore, Path, str]:
    """Return a folder with a truth, predictions and their changes, and the truth's key."""
    store, means, de = ResultsStore(tmp_path), pseudobulk(data), de_genes(data)
    keep_truth(store, data, means, de)
    noise = np.random.default_rng(0).normal(0, 0.1, (N, data.n_genes))
    predictions = Predictions(data.conditions[:N], means.means[:N] + noise)
    relative = store.write_predictions("k", predictions, data.gene_ids)
    keep_top_changes(store, relative, predictions, data, (means, de))
    return store, tmp_path / relative, truth_key(DatasetRecord.of(data), de.name)


def same(one: KeptChanges | None, other: KeptChanges) -> None:
    assert one is not None
    assert one.named == other.named
    np.testing.assert_array_equal(one.genes, other.genes)
    np.testing.assert_array_equal(one.changes, other.changes)


def test_what_is_kept_is_what_the_predictions_give(
    data: PerturbationData, kept: tuple[ResultsStore, Path, str]
) -> None:
    _, path, key = kept
    means, de = pseudobulk(data), de_genes(data)
    top = {
        (of.label, of.cell_type): [gene for gene in row.tolist() if gene >= 0]
        for of, row in zip(data.conditions, de.indices, strict=True)
    }
    control = dict(zip(data.cell_types, means.control_means.astype(np.float32), strict=True))
    expected = changes_from_predictions(path, data.gene_ids, top, control)
    same(read_changes(path, key), expected)
    table = read_kept_table(path)
    gene = int(expected.genes[1, 4])
    own = control[data.conditions[1].cell_type][gene]
    assert expected.changes[1, 4] == np.float32(table[data.gene_ids[gene]][1] - float(own))


@pytest.mark.parametrize("what", ["predictions", "truth", "file", "shape", "absent"])
def test_what_no_longer_fits_is_not_read(kept: tuple[ResultsStore, Path, str], what: str) -> None:
    store, path, key = kept
    if what == "predictions":
        other = Predictions((), np.zeros((0, 1)))
        store.write_predictions("k", other, ["x"])
    elif what == "truth":
        key = "another"
    elif what == "file":
        top_path(path).write_bytes(top_path(path).read_bytes()[:-40])
    elif what == "shape":
        with np.load(top_path(path)) as opened:
            arrays = dict(opened)
        np.savez(top_path(path), **{**arrays, "changes": arrays["changes"][:, :5]})
    else:
        top_path(path).unlink()
    assert read_changes(path, key) is None


def test_nothing_is_kept_by_one_who_only_reads_and_a_full_disk_is_no_error(
    data: PerturbationData, kept: tuple[ResultsStore, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, path, _ = kept
    means, de = pseudobulk(data), de_genes(data)
    predictions = Predictions(data.conditions[:N], means.means[:N])
    top_path(path).unlink()
    reader = ResultsStore(store.directory, is_writer=False)
    keep_top_changes(reader, "predictions/k.parquet", predictions, data, (means, de))
    assert not top_path(path).exists()

    def full(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(top_changes, "write_whole", full)
    keep_top_changes(store, "predictions/k.parquet", predictions, data, (means, de))
    assert not top_path(path).exists()


def test_single_genes_are_read_and_a_missing_one_is_an_error(
    kept: tuple[ResultsStore, Path, str], data: PerturbationData
) -> None:
    _, path, _ = kept
    whole, part = read_kept_table(path), read_kept_table(path, [data.gene_ids[7]])
    assert part.columns == ["perturbation", "cell_type", data.gene_ids[7]]
    assert part[data.gene_ids[7]].to_list() == whole[data.gene_ids[7]].to_list()
    with pytest.raises(ResultsError, match="no such gene"):
        read_kept_table(path, ["no such gene"])
