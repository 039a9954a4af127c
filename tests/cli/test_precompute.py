"""``dygenept precompute`` and ``dygenept knowledge show``, as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest


class Result(Protocol):
    """What a command did."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]
TEXT_STEPS = ("precompute", "--step", "1,2", "--genes", "genes.txt", "--output", "out")


@pytest.fixture
def genes(tmp_path: Path) -> Path:
    path = tmp_path / "genes.txt"
    path.write_text("KLF1\nTP53\n")
    return path


def _statuses(result: Result) -> list[str]:
    assert result.code == 0, result.err
    return [step["status"] for step in json.loads(result.out)["steps"]]


def test_nothing_is_done_again_until_the_genes_change(cli: Cli, genes: Path) -> None:
    assert _statuses(cli(*TEXT_STEPS, "--json", "--quiet")) == ["done", "done"]
    assert _statuses(cli(*TEXT_STEPS, "--json", "--quiet")) == ["kept", "kept"]
    genes.write_text("KLF1\nTP53\nGATA1\n")
    assert _statuses(cli(*TEXT_STEPS, "--json", "--quiet")) == ["done", "done"]


def test_a_damaged_artefact_is_written_again(cli: Cli, genes: Path, tmp_path: Path) -> None:
    cli(*TEXT_STEPS, "--json", "--quiet")
    facets = tmp_path / "out" / "facets.jsonl"
    whole = facets.read_bytes()
    facets.write_bytes(whole[: len(whole) // 2])
    assert _statuses(cli(*TEXT_STEPS, "--json", "--quiet")) == ["kept", "done"]
    assert facets.read_bytes() == whole


def test_a_step_without_its_input_names_the_step_to_run(cli: Cli, genes: Path) -> None:
    result = cli("precompute", "--step", "2", "--genes", "genes.txt", "--output", "out")
    assert result.code == 2
    assert "run step 1 first" in result.err


def test_genes_of_which_nothing_is_known_are_refused_with_what_to_give(
    cli: Cli, genes: Path, tmp_path: Path
) -> None:
    genes.write_text("10661\n7157\n2623\n1\n")  # Entrez ids
    result = cli(*TEXT_STEPS)
    assert result.code == 2
    assert "nothing is known of any of the 4 genes (10661, 7157, 2623, …); give gene" in result.err
    assert not (tmp_path / "out" / "corpus.jsonl").exists()


def test_an_output_folder_that_cannot_be_made_is_one_line(
    cli: Cli, genes: Path, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file")
    result = cli("precompute", "--step", "1", "--genes", "genes.txt", "--output", "taken/out")
    assert result.code == 2
    assert "cannot make the output folder taken/out" in result.err


def test_a_graph_without_file_names_the_command_that_fetches_it(cli: Cli, genes: Path) -> None:
    result = cli("precompute", "--step", "1,1.5", "--genes", "genes.txt", "--kg", "string")
    assert result.code == 2
    assert "dygenept data fetch string" in result.err


def test_unknown_writers_and_steps_are_named_with_what_there_is(cli: Cli, genes: Path) -> None:
    writer = cli("precompute", "--step", "1,2", "--genes", "genes.txt", "--writer", "gx")
    assert writer.code == 2
    assert "did you mean 'go'" in writer.err
    step = cli("precompute", "--step", "7", "--genes", "genes.txt")
    assert step.code == 2
    assert "unknown step '7'" in step.err


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        (("--encoder", "tfdif"), "did you mean 'tfidf'"),
        (("--writer", "llm"), "facet_writers.llm.model must be given"),
        (("--kg", "strng"), "did you mean 'string'"),
    ],
)
def test_a_slip_is_found_before_any_step_is_done(
    cli: Cli, genes: Path, tmp_path: Path, slip: tuple[str, str], said: str
) -> None:
    result = cli("precompute", "--genes", "genes.txt", "--output", "out", *slip, "--quiet")
    assert result.code == 2
    assert said in result.err
    assert not (tmp_path / "out").exists()
