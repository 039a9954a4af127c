from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dygenept.knowledge.store.knowledge_files import write_knowledge
from dygenept.machine.whole_files import replaced_whole, write_whole
from dygenept.results.store import ResultsStore
from dygenept.testing import toy_knowledge
from dygenept.types import Condition, Perturbation, Predictions


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_has_the_permissions_of_any_new_file_whoever_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with replaced_whole(path) as temporary:
        temporary.unlink()
        temporary.write_text("text")
        temporary.chmod(0o600)
    assert mode(path) == 0o644
    os.umask(0o077)
    write_whole(path, b"private")
    assert mode(path) == 0o600


def test_records_predictions_and_knowledge_can_be_read_by_others(tmp_path: Path) -> None:
    conditions = (Condition(Perturbation("A+ctrl", ("A",)), "K562"),)
    predictions = Predictions(conditions, np.zeros((1, 1)))
    kept = ResultsStore(tmp_path).write_predictions("k", predictions, ["x"])
    write_knowledge(toy_knowledge(), tmp_path / "k.safetensors")
    assert mode(tmp_path / kept) == mode(tmp_path / "k.safetensors") == 0o644


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old", flush=True)

    def fail() -> None:
        with replaced_whole(path) as temporary:
            temporary.write_bytes(b"ha")
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        fail()
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
