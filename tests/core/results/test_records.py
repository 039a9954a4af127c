"""Records outlive the code that wrote them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from dygenept.errors import ResultsError
from dygenept.leaderboard.rows import leaderboard_rows
from dygenept.plugin.specs import MetricSpec
from dygenept.results.provenance import CodeRecord, DatasetRecord, PluginRecord, SplitRecord
from dygenept.results.records import MetricRecord, RunRecord
from dygenept.results.store import ResultsStore, read_record
from dygenept.testing import toy_data
from dygenept.types import Condition, Fold, Perturbation, Score, Split
from dygenept.types.results import Provenance

MakeRecord = Callable[..., RunRecord]
# Written by the first version of the schema, from simulated data.
FIRST = Path(__file__).parent / "fixtures" / "simulated_record_v1.json"


def test_a_record_of_the_first_version_still_reads() -> None:
    record = read_record(FIRST)
    assert (record.model, record.suite, record.fold) == ("additive", "custom", 0)
    assert record.dataset.simulated is True
    assert record.metrics[1].values[0].value == 0.017216777839555792
    assert record.chosen == {"penalty": 1.0}
    assert record.child is not None
    assert record.child.wall_s == 1.5
    # What that version did not record is empty, not made up.
    assert (record.threads, record.code) == ({}, None)


def test_what_an_earlier_version_calls_a_baseline_is_submitted(record: MakeRecord) -> None:
    document = record(model="mine", role="baseline").model_dump(mode="json")
    document |= {"base_model": "submitted", "config": {"submitted": "mine"}}
    assert RunRecord.model_validate(document).role == "submitted"
    # An object of one's own may be called so.
    assert RunRecord.model_validate(document | {"config": {}}).role == "baseline"


def test_a_record_of_the_first_version_keeps_its_fields_when_it_is_written_again(
    tmp_path: Path,
) -> None:
    written = ResultsStore(tmp_path).write(read_record(FIRST))
    old, new = json.loads(FIRST.read_text()), json.loads(written.read_text())
    # That version had no hash of a plugin's code, which is written as empty.
    old["plugins"] = [{**plugin, "code_sha256": ""} for plugin in old["plugins"]]
    # Nor did it say how a file was read, which stands for a registered data set.
    old["dataset"] |= {"file": None, "mapping": {}, "normalize": False}
    # There were no tables of effects.
    old["dataset"] |= {"kind": "cells", "n_pairs": None}
    # Nor was it said where simulated effects come from.
    old["dataset"] |= {"planted": {}}
    # Nor which draw of the simulator it was.
    old["dataset"] |= {"draw": None}
    for metric in new["metrics"]:
        # Fields that it did not have yet.
        assert (metric.pop("lower"), metric.pop("upper")) == (None, None)
        assert metric.pop("chance") is None
        assert metric.pop("resampled") == []
        assert metric.pop("two_way") is None
        assert metric.pop("two_way_by_type") == {}
        assert metric.pop("unit") == "perturbation"
        assert metric.pop("untied") is None
        assert metric.pop("untied_by_type") == metric.pop("chance_by_type") == {}
    assert {name: new[name] for name in old} == old


def test_a_record_of_the_first_version_still_stands_in_a_leaderboard() -> None:
    rows = leaderboard_rows([read_record(FIRST)])
    assert [row.metric for row in rows] == ["centroid_accuracy", "mse", "pearson_delta_top20"]
    values = (0.528363604836796, 0.7651121819352692, 0.13621573997934794)
    assert rows[2].total.pooled == pytest.approx(sum(values) / 3)


def test_threads_and_code_come_back_as_they_were_recorded(
    tmp_path: Path, record: MakeRecord
) -> None:
    code = CodeRecord(version="0.1.0", sha256="ef" * 32, commit="ab" * 20, dirty=True)
    full = record().model_copy(update={"code": code, "threads": {"torch": 2, "processors": 8}})
    again = read_record(ResultsStore(tmp_path).write(full))
    assert again == full
    assert again.code == code
    assert again.threads["processors"] == 8


def test_an_unknown_field_is_named(tmp_path: Path) -> None:
    document = json.loads(FIRST.read_text())
    path = tmp_path / "newer.json"
    path.write_text(json.dumps({**document, "temperature": 1.0}))
    with pytest.raises(ResultsError, match="temperature"):
        read_record(path)


def test_a_record_cannot_be_changed(record: MakeRecord) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        record().model = "other"  # type: ignore[misc]


def test_a_plugins_path_stays_on_its_machine() -> None:
    plugin = Provenance("metric", "mse", "/home/me/mine.py", "file", "ab" * 32, "cd" * 32)
    document = PluginRecord.of(plugin).model_dump()
    assert document == {
        "kind": "metric",
        "name": "mse",
        "distribution": "file",
        "version": "ab" * 32,
        "code_sha256": "cd" * 32,
    }


def test_data_set_and_split_are_summarised() -> None:
    data = toy_data()
    summary = DatasetRecord.of(data)
    assert (summary.n_cells, summary.n_genes) == data.expression.shape
    assert summary.n_perturbations == len(data.perturbations)
    assert summary.simulated is data.is_simulated
    fold = Fold(train=("A+ctrl",), val=(), test=("B+ctrl",))
    split = Split("kfold", 1, 7, data.sha256, (fold, fold))
    assert SplitRecord.of(split, "cd").model_dump() == {
        "name": "kfold",
        "version": 1,
        "seed": 7,
        "n_folds": 2,
        "sha256": "cd",
    }


@pytest.mark.parametrize(("uses_de_genes", "de_list"), [(True, "top"), (False, None)])
def test_a_metric_records_the_de_list_only_where_it_reads_one(
    uses_de_genes: bool, de_list: str | None
) -> None:
    spec = MetricSpec(
        name="mine",
        summary="Mine.",
        source="none",
        factory=lambda config: lambda inputs: None,
        higher_is_better=False,
        uses_de_genes=uses_de_genes,
    )
    condition = Condition(Perturbation("A+ctrl", ("A",)), "K562")
    scores = [Score(condition, "mine", None, "constant truth")]
    entry = MetricRecord.of(spec, scores, de_list="top")
    assert entry.de_list == de_list
    assert (entry.values[0].perturbation, entry.values[0].cell_type) == ("A+ctrl", "K562")
    assert (entry.values[0].value, entry.values[0].reason) == (None, "constant truth")
