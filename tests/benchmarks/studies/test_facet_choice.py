"""The study of how facets are chosen: what it counts is what the rule chose."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import facet_choice
import planted_subsets
import pytest

from dygenept.data.simulated import effects, simulation
from dygenept.model.start import facet_tuning
from dygenept.model.start.beyond_chance import best_for_strong_and_weak


def shipped() -> dict[str, object]:
    names = ("SOURCE_SHARES", "NULL_SHARE", *planted_subsets.STRONG)
    return {name: getattr(effects, name) for name in names} | {
        "version": simulation.SIMULATION_VERSION
    }


@pytest.mark.slow
def test_planted_texts_are_read_unless_the_level_forbids_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = shipped()
    output = tmp_path / "found.json"
    facet_choice.main([str(output), "go85:40:1", "--levels", "0.05", "0"])
    (fit,) = json.loads(output.read_text())["fits"]
    assert (fit["n_train"], fit["scale"]) == (40, 0.03)
    assert fit["n_test"] > 20
    read, never = fit["settings"]
    assert read != 0
    assert never == 0
    gain, none = fit["gains"]
    assert gain > 0.05
    assert none == 0
    last = capsys.readouterr().out.strip().split("\n")[-1]
    assert last == (
        f"| 85 % in GO texts, 40 (`sim:k562@0.03`) | 1 | 1.00, {gain:.3f} | 0.00, 0.000 |"
    )
    # What stood in for the shipped shares and for the rule is gone.
    assert shipped() == before
    assert facet_tuning.best_for_strong_and_weak is best_for_strong_and_weak


@pytest.mark.parametrize("text", ["go85:40", "go99:40:1", "go99@0.1:40:1", "none:7:1", "none:40:0"])
def test_a_row_that_cannot_be_measured_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="effects"):
        planted_subsets.Row.parse(text)


def test_planted_shares_are_whole() -> None:
    for kind in planted_subsets.EFFECTS.values():
        assert set(kind.shares) == set(effects.SOURCE_SHARES)
        assert sum(kind.shares.values()) == pytest.approx(1)
    for text in facet_choice.ROWS:
        planted_subsets.Row.parse(text)
