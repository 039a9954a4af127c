"""A few damaged files for every reader; `make fuzz` tries many more."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from fuzz.harness import FAULTS, Cases
from fuzz.registered import READERS
from fuzz.seeds import MAKERS, make_seeds

# Training a model for its files takes seconds; `make fuzz` does it.
SHORT = tuple(sorted(set(MAKERS) - {"saved_model"}))
N_INPUTS = 4


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Cases:
    seeds = tmp_path_factory.mktemp("seeds")
    make_seeds(seeds, SHORT)
    return Cases(seeds, 0, tmp_path_factory.mktemp("work"))


def test_every_reader_has_files_to_damage() -> None:
    assert set(READERS) == set(MAKERS)


@pytest.mark.parametrize("reader", SHORT)
def test_a_damaged_file_is_refused_in_a_line_or_read(cases: Cases, reader: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [(n, *of) for n in range(N_INPUTS) for of in cases.run(reader, n)]
    outcomes = [outcome for _, outcome, _ in found if outcome != "unnamed"]
    assert outcomes[0] == "read"
    assert len(outcomes) == N_INPUTS
    assert not [item for item in found if item[1] in FAULTS]


def test_an_input_is_made_again_by_its_number(cases: Cases, tmp_path: Path) -> None:
    for folder in (tmp_path / "first", tmp_path / "again"):
        folder.mkdir()
        cases.write("split", 7, folder)
    (first,), (again,) = (
        [*folder.iterdir()] for folder in (tmp_path / "first", tmp_path / "again")
    )
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != (cases.seeds / "split" / "split.json").read_bytes()
