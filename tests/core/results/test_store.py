from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dygenept.errors import ResultsError
from dygenept.results.records import RunRecord
from dygenept.results.store import ResultsStore, key_of, write_atomically
from dygenept.types import Condition, Perturbation, Predictions

MakeRecord = Callable[..., RunRecord]
CONDITIONS = (
    Condition(Perturbation("A+ctrl", ("A",)), "K562"),
    Condition(Perturbation("A+B", ("A", "B")), "K562"),
)


def test_a_record_comes_back_as_it_was_written(tmp_path: Path, record: MakeRecord) -> None:
    store = ResultsStore(tmp_path)
    assert store.read("0" * 32) is None
    written = record()
    path = store.write(written)
    assert path == tmp_path / "runs" / f"{'0' * 32}.json"
    assert store.read(written.key) == written
    assert list(store.records()) == [written]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_damaged_record_is_named_with_the_way_out(tmp_path: Path, record: MakeRecord) -> None:
    store = ResultsStore(tmp_path)
    path = store.write(record())
    path.write_text(path.read_text()[:40])
    with pytest.raises(ResultsError, match=rf"{path.name}.*delete it"):
        list(store.records())


def test_a_missing_results_folder_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="dygenept bench --results"):
        list(ResultsStore(tmp_path / "none").records())


def test_keys_depend_on_content_alone() -> None:
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert len(key_of({})) == 32


def test_predictions_come_back_in_the_order_asked_for(tmp_path: Path, record: MakeRecord) -> None:
    store = ResultsStore(tmp_path)
    expression = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    relative = store.write_predictions("k", Predictions(CONDITIONS, expression), ["x", "y", "z"])
    kept = store.read_predictions(record(predictions=relative), CONDITIONS[::-1])
    assert kept is not None
    np.testing.assert_array_equal(kept.expression, expression[::-1])
    assert [file.name for file in (tmp_path / "predictions").iterdir()] == ["k.parquet"]


def test_predictions_that_lack_a_condition_are_not_used(tmp_path: Path, record: MakeRecord) -> None:
    store = ResultsStore(tmp_path)
    relative = store.write_predictions("k", Predictions(CONDITIONS[:1], np.zeros((1, 1))), ["x"])
    assert store.read_predictions(record(predictions=relative), CONDITIONS) is None


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(ResultsError, match="cannot write"):
        write_atomically(target, b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
