from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dygenept.data.de.lists import de_genes
from dygenept.data.pseudobulk import pseudobulk
from dygenept.results.provenance import DatasetRecord
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore
from dygenept.results.truth import keep_truth, kept_truth
from dygenept.testing.toy import toy_data
from dygenept.types import PerturbationData

MakeRecord = Callable[..., RunRecord]


@pytest.fixture
def kept(record: MakeRecord, tmp_path: Path) -> tuple[PerturbationData, ResultsStore, RunRecord]:
    """Return a data set whose truth is kept, the folder, and a record of it."""
    data, store = toy_data(), ResultsStore(tmp_path)
    assert keep_truth(store, data, pseudobulk(data), de_genes(data)) is not None
    of = record().model_copy(update={"dataset": DatasetRecord.of(data)})
    return data, store, of


def test_what_is_kept_is_the_change_of_every_condition(
    kept: tuple[PerturbationData, ResultsStore, RunRecord],
) -> None:
    data, store, record = kept
    found = kept_truth(store, record)
    assert found is not None
    means, de = pseudobulk(data), de_genes(data)
    for place, condition in enumerate(data.conditions):
        row = found.rows[condition.label, condition.cell_type]
        control = means.control_means[data.cell_types.index(condition.cell_type)]
        assert found.delta[row] == pytest.approx(means.means[place] - control, abs=1e-5)
        assert found.top[row] == tuple(gene for gene in de.indices[place].tolist() if gene >= 0)
    assert found.gene_symbols == data.gene_symbols
    assert set(found.control) == set(data.cell_types)


def test_truth_is_written_once_and_of_one_data_set(
    kept: tuple[PerturbationData, ResultsStore, RunRecord],
) -> None:
    data, store, record = kept
    (manifest,) = (store.directory / "truth").glob("*.json")
    before = manifest.stat().st_mtime_ns
    keep_truth(store, data, pseudobulk(data), de_genes(data))
    assert manifest.stat().st_mtime_ns == before
    other = record.dataset.model_copy(update={"sha256": "0" * 64})
    assert kept_truth(store, record.model_copy(update={"dataset": other})) is None


@pytest.mark.parametrize("damage", ["manifest", "table", "genes", "conditions"])
def test_damaged_truth_is_named_and_left_out(
    kept: tuple[PerturbationData, ResultsStore, RunRecord],
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    _, store, record = kept
    (manifest,) = (store.directory / "truth").glob("*.json")
    if damage == "table":
        manifest.with_suffix(".parquet").write_bytes(b"PAR1")
    elif damage == "manifest":
        manifest.write_text("{")
    else:
        content = json.loads(manifest.read_text())
        key = "gene_ids" if damage == "genes" else "conditions"
        content[key] = content[key][::-1]
        manifest.write_text(json.dumps(content))
    assert kept_truth(store, record) is None
    assert manifest.name in caplog.text


def test_a_folder_that_cannot_be_written_keeps_no_truth_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, taken = toy_data(), tmp_path / "file"
    taken.write_text("")
    assert keep_truth(ResultsStore(taken), data, pseudobulk(data), de_genes(data)) is None
    assert "no measured changes" in caplog.text


def test_values_are_kept_in_float32(
    kept: tuple[PerturbationData, ResultsStore, RunRecord],
) -> None:
    import polars as pl

    _, store, _ = kept
    (table,) = (store.directory / "truth").glob("*.parquet")
    numbers = pl.read_parquet(table).drop("perturbation", "cell_type")
    assert set(numbers.dtypes) == {pl.Float32}
    assert np.isfinite(numbers.to_numpy()).all()
