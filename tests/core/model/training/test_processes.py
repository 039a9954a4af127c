from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dygenept.errors import ConfigError, DistributedError
from dygenept.machine import collectives, processes

Done = Callable[[str], dict[str, object]]
SCRIPT = Path(__file__).parents[1] / "processes" / "parallel.py"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Return what became of a work, of which all are done by one process that loads torch once."""
    folder = tmp_path_factory.mktemp("works")
    works = ("same", "steps", "resumed", "death", "patience", "unused", "start", "killed")
    said = subprocess.run(
        [sys.executable, SCRIPT, folder, *works], capture_output=True, text=True, timeout=280
    )

    def of(work: str) -> dict[str, object]:
        path = folder / f"{work}.json"
        assert path.is_file(), said.stderr
        found: dict[str, object] = json.loads(path.read_text())
        return found

    return of


def test_two_processes_train_as_one_does_with_the_same_batch(done: Done) -> None:
    found = done("same")
    gaps = found["gaps"]
    assert isinstance(gaps, dict)
    # Batches of 11 rows are cut into uneven parts, one row leaves a process idle.
    assert set(gaps) == {"cells", "pieces", "pseudobulk", "one row", "trained"}
    assert all(gap < 1e-5 for name, gap in gaps.items() if name != "trained"), gaps
    assert gaps["trained"] < 1e-3
    assert found["writers"] == [True, False]
    assert found["files"] == ["member-0.safetensors"]


def test_after_20_steps_two_processes_differ_from_one_by_rounding_and_by_their_dropout(
    done: Done,
) -> None:
    gaps = done("steps")
    assert set(gaps) == {"float32", "float64", "dropout", "dropout of parts"}
    # Relative to a tensor's largest weight. AdamW divides gradients near 0, and their rounding, by
    # their own size; what is a fault would not shrink with the width of numbers.
    assert float(str(gaps["float32"])) < 1e-3
    assert float(str(gaps["float64"])) < 1e-9
    # Processes draw dropout of their own, and nothing else of theirs differs.
    assert float(str(gaps["dropout"])) > 1e-3
    assert float(str(gaps["dropout of parts"])) < 1e-9


def test_a_training_in_three_processes_that_is_stopped_goes_on_as_if_it_had_not_been(
    done: Done,
) -> None:
    found = done("resumed")
    assert found["codes"] == [[0, 0, 0], [3, 3, 3], [0, 0, 0]]
    assert found["is_same"] == [True, True, True]


def test_a_training_killed_ten_times_ends_as_if_it_had_not_been(done: Done) -> None:
    found = done("killed")
    whole, resumed = found["whole"], found["resumed"]
    assert isinstance(whole, dict)
    assert isinstance(resumed, dict)
    assert found["n_killed"] == 10
    assert [whole.pop("n_steps"), resumed.pop("n_steps")] == found["n_steps"]
    assert resumed == whole
    assert found["files"] == ["member-0.safetensors"]
    assert "restarts" not in str(found["said"])


def test_a_process_whose_peer_dies_ends_soon_and_says_so(done: Done) -> None:
    found = done("death")
    assert found["codes"] == [2, -9]
    assert "process 0 of 2 stops: another process ended" in str(found["error"])
    assert "run the same command again" in str(found["error"])
    assert float(str(found["seconds"])) < 60


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    settings |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


def test_a_torchrun_launch_is_recognised_and_without_one_there_is_one_process(
    launch: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert processes.launched() == processes.World(1, 4, 1)
    assert not processes.launched().is_writer
    # No group is open yet, so nothing is shared.
    assert processes.current() == processes.ALONE
    monkeypatch.delenv("MASTER_ADDR")
    assert processes.launched() == processes.ALONE


def test_a_launch_with_words_for_numbers_is_refused(
    launch: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(ConfigError, match="whole numbers"):
        processes.launched()


def test_one_gpu_cannot_be_named_for_several_processes(launch: None) -> None:
    assert processes.local_device("cpu") == "cpu"
    with pytest.raises(ConfigError, match="CUDA_VISIBLE_DEVICES"):
        processes.local_device("cuda:0")


def test_a_timeout_must_be_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes.timeout_s() == processes.DEFAULT_TIMEOUT_S
    monkeypatch.setenv(processes.TIMEOUT_VARIABLE, "12.5")
    assert processes.timeout_s() == 12.5
    monkeypatch.setenv(processes.TIMEOUT_VARIABLE, "soon")
    with pytest.raises(ConfigError, match="soon"):
        processes.timeout_s()


def test_other_errors_are_not_taken_for_a_lost_process() -> None:
    with pytest.raises(RuntimeError, match="shapes"), processes.lost_peers():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(DistributedError, match="stops"), processes.lost_peers():
        raise RuntimeError("[gloo] Connection closed by peer")


def test_alone_every_share_is_the_whole() -> None:
    assert collectives.share_of(7) == slice(0, 7)
    with processes.session("cpu") as world:
        assert world.is_writer
        assert world.size == 1


def test_a_writer_may_take_longer_than_the_timeout_of_a_collective(done: Done) -> None:
    found = done("patience")
    assert found == {"codes": [0, 0], "found": [["0", "1"], ["0", "1"]]}


def test_weights_without_a_gradient_are_searched_for_only_where_there_are_some(
    done: Done,
) -> None:
    assert done("unused") == {"codes": [0, 0], "found": [[False, True], [False, True]]}


def test_a_process_takes_over_what_the_writer_fitted_whatever_its_own_network_is(
    done: Done,
) -> None:
    first, second = done("start")["taken_over"]  # type: ignore[misc]
    assert first == second
    assert [of["has_types"] for of in first] == [True, False]
    assert {of["result"] for of in first} == {"the writer's"}
    assert not any(of["is_training"] for of in first)
    assert first[0]["shapes"]["by_type.maps"] == [2, 5, 6]
    # By the rank of the process: zeros are the writer's.
    assert first[0]["sums"]["by_type.maps"] == 0
    assert first[0]["sums"]["gene_encoder.identity_share"] == 0.25


@pytest.mark.parametrize("case", ["start", "steps", "judged"])
def test_a_process_that_would_start_otherwise_starts_as_the_writer_does(
    done: Done, case: str
) -> None:
    found = done("start")[case]
    assert isinstance(found, dict)
    assert found["is_same"]
    assert found["is_chosen_alike"]
    # Steps draw dropout, and add gradients in another order, in several processes.
    assert found["is_as_alone"] or case != "start"
