from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest

from dygenept.errors import ResultsError
from dygenept.machine import whole_files
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
    assert RunRecord.model_validate_json(path.read_bytes()) == written
    assert store.read(written.key) == written
    assert list(store.records()) == [written]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_record_that_is_in_use_is_not_parsed_again_unless_its_file_has_changed(
    tmp_path: Path, record: MakeRecord
) -> None:
    store = ResultsStore(tmp_path)
    written = record()
    path = store.write(written)
    assert store.read(written.key) is written
    again = written.model_copy(update={"fold": 7})
    path.write_text(again.model_dump_json(indent=1) + "\n")
    read = store.read(written.key)
    assert read is not written
    assert read == again
    assert store.read(written.key) is read
    # JSON makes a list of a tuple: what is read must not depend on who wrote it.
    paired = written.model_copy(update={"config": {"pair": (1, 2)}})
    store.write(paired)
    found = store.read(written.key)
    assert found is not None
    assert found.config == {"pair": [1, 2]}


@pytest.mark.parametrize("shape", [(2, 3), (2, 1), (0, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_table_has_a_column_for_each_gene(
    tmp_path: Path, shape: tuple[int, int], order: Literal["C", "F"]
) -> None:
    values = np.asarray(np.arange(6.0)[: shape[0] * shape[1]].reshape(shape), order=order) / 7.0
    genes = ["a", "b", "a "][: shape[1]]
    ResultsStore(tmp_path).write_table("table.parquet", CONDITIONS[: shape[0]], values, genes)
    table = pl.read_parquet(tmp_path / "table.parquet")
    assert table.columns == ["perturbation", "cell_type", *genes]
    assert table["perturbation"].to_list() == ["A+ctrl", "A+B"][: shape[0]]
    np.testing.assert_array_equal(table.select(genes).to_numpy(), values)
    assert table.schema[genes[0]] == (pl.Float64 if values.size else pl.Float32)


def test_two_genes_of_one_name_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="cannot keep predictions as a table"):
        ResultsStore(tmp_path).write_table(
            "table.parquet", CONDITIONS, np.arange(4.0).reshape(2, 2), ["a", "a"]
        )


def test_what_a_killed_process_of_this_machine_left_half_written_is_removed(
    tmp_path: Path, record: MakeRecord
) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    name = f".{'0' * 32}.json."
    # No process has a number this large.
    dead = "99999999.partial"
    killed = folder / f"{name}12ab34cd{whole_files._this_machine()}-{dead}"
    elsewhere = folder / f"{name}12ab34cd00000000-{dead}"
    running = folder / f"{name}12ab34cd{whole_files._this_machine()}-{os.getpid()}.partial"
    for left in (killed, elsewhere, running):
        left.write_bytes(b"half")
    path = ResultsStore(tmp_path).write(record())
    assert sorted(folder.iterdir()) == sorted([path, elsewhere, running])
    table = tmp_path / "predictions" / ".p.parquet.12ab34cd-99999999.partial"
    table.parent.mkdir()
    table.write_bytes(b"half")
    values = np.ones((2, 1))
    ResultsStore(tmp_path).write_table("predictions/p.parquet", CONDITIONS, values, ("G",))
    assert [item.name for item in table.parent.iterdir()] == ["p.parquet"]


def test_a_folder_is_listed_once_for_jobs_that_nobody_began_before(
    tmp_path: Path, record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    listing = Path.glob

    def counted(folder: Path, pattern: str) -> Iterator[Path]:
        listed.append(pattern)
        return listing(folder, pattern)

    monkeypatch.setattr(Path, "glob", counted)
    store = ResultsStore(tmp_path)
    for number in range(4):
        store.begins_anew(f"{number}" * 32)
        store.write(record(key=f"{number}" * 32))
    assert listed == [".*.partial"]
    # Another process may have begun this one since, and was killed.
    left = tmp_path / "runs" / f".{'a' * 32}.json.12ab34cd{whole_files._this_machine()}-"
    left = left.with_name(f"{left.name}99999999.partial")
    left.write_bytes(b"half")
    store.write(record(key="5" * 32))
    assert left.exists()
    store.write(record(key="a" * 32))
    assert not left.exists()


DAMAGE = {
    "cut": b'{"schema_version": 1, "key": "00',
    "empty": b"",
    "not UTF-8": b'{"key": "\xff\xfe"}',
    "deep": b"[" * 10_000 + b"]" * 10_000,
    "a list": b"[1, 2]",
    "wrong types": b'{"schema_version": 1, "key": 5, "fold": "two"}',
}


@pytest.mark.parametrize("kind", [*DAMAGE, "a folder", "NaN", "a link to nothing"])
def test_a_damaged_record_is_named_and_set_aside_and_the_rest_is_read(
    tmp_path: Path, record: MakeRecord, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    store = ResultsStore(tmp_path)
    good = record(key="1" * 32)
    store.write(good)
    path = store.path_of("0" * 32)
    if kind == "a folder":
        path.mkdir()
    elif kind == "a link to nothing":
        path.symlink_to("nowhere")
    elif kind == "NaN":
        path.write_text(record().model_dump_json().replace("0.25", "NaN"))
    else:
        path.write_bytes(DAMAGE[kind])
    assert list(store.records()) == [good]
    assert str(path) in caplog.text
    aside = path.with_name(f"{path.name}.damaged")
    assert os.path.lexists(aside)
    assert aside.name in caplog.text
    # The next bench finds no record, writes one, and another damage takes nothing from the first.
    assert store.read("0" * 32) is None
    store.write(record())
    path.write_text("{")
    assert store.read("0" * 32) is None
    assert path.with_name(f"{path.name}.damaged-2").read_text() == "{"
    assert os.path.lexists(aside)


def test_a_record_of_another_version_is_left_where_it_is(
    tmp_path: Path, record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    store = ResultsStore(tmp_path)
    path = store.write(record())
    for newer in ('"schema_version":2', '"schema_version":1,"unknown":0'):
        path.write_text(record().model_dump_json().replace('"schema_version":1', newer))
        assert list(store.records()) == []
        assert "another version of dygenept wrote" in caplog.text
        assert path.is_file()


def test_in_a_folder_that_can_only_be_read_damaged_records_are_left_out(
    tmp_path: Path,
    record: MakeRecord,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = ResultsStore(tmp_path)
    store.write(record())
    store.path_of("1" * 32).write_text("{")

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "rename", refuse)
    assert list(store.records()) == [record()]
    assert "it is left out" in caplog.text


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
    kept = store.read_predictions(record(predictions=relative), CONDITIONS[::-1], ["z", "x"])
    assert kept is not None
    np.testing.assert_array_equal(kept.expression, expression[::-1][:, [2, 0]])
    assert [file.name for file in (tmp_path / "predictions").iterdir()] == ["k.parquet"]


def test_predictions_that_lack_a_condition_are_named_and_not_used(
    tmp_path: Path, record: MakeRecord, caplog: pytest.LogCaptureFixture
) -> None:
    store = ResultsStore(tmp_path)
    relative = store.write_predictions("k", Predictions(CONDITIONS[:1], np.zeros((1, 1))), ["x"])
    kept = record(predictions=relative)
    assert store.read_predictions(kept, CONDITIONS, ["x"]) is None
    assert store.read_predictions(kept, CONDITIONS[:1], ["y"]) is None
    assert [line.count("k.parquet lacks conditions or genes") for line in caplog.messages] == [1, 1]
    assert store.read_predictions(kept, CONDITIONS[:1], ["x"]) is not None


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "not finite", "text", "elsewhere"])
def test_damaged_predictions_are_named_and_not_used(
    tmp_path: Path, record: MakeRecord, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    store = ResultsStore(tmp_path / "results")
    values = np.random.default_rng(0).random((2, 2))
    if damage == "not finite":
        values[0, 0] = np.nan
    relative = store.write_predictions("k", Predictions(CONDITIONS, values), ["x", "y"])
    path = store.directory / relative
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        path.write_bytes(content[:30] + bytes(40) + content[70:])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        columns = {"perturbation": ["A+ctrl", "A+B"], "cell_type": ["K562"] * 2, "x": ["1", "2"]}
        pl.DataFrame({**columns, "y": [1.0, 2.0]}).write_parquet(path)
    elif damage == "elsewhere":
        path.rename(tmp_path / "k.parquet")
        relative = "../k.parquet"
    assert store.read_predictions(record(predictions=relative), CONDITIONS, ["x", "y"]) is None
    assert ("k.parquet" in caplog.text) == (damage != "elsewhere")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(ResultsError, match="cannot write"):
        write_atomically(target, b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
