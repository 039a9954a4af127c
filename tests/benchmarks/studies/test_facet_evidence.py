"""The study of what held-out perturbations say of facets: gains are of what it says it fitted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import facet_choice
import facet_evidence
import numpy as np
import planted_subsets
import pytest

from dygenept.model.start import facet_tuning
from dygenept_plugins.networks import facets

TEXTS, TUNED_TEXTS = facet_evidence.READINGS[:2]


@pytest.mark.slow
def test_tuned_texts_gain_where_effects_are_planted_in_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = facets.IDENTITY_SHARES, facet_tuning.HeldOut.of, facet_tuning._Reading.held_out
    output = tmp_path / "found.json"
    facet_evidence.main([str(output), "go85:40:1"])
    (fit,) = json.loads(output.read_text())["fits"]
    readings = fit["readings"]
    assert list(readings) == [reading.name for reading in facet_evidence.READINGS]
    tuned = readings[TUNED_TEXTS.name]
    assert min(tuned["squared"], tuned["cosine"]) > 1.645
    assert tuned["test"] > readings[TEXTS.name]["test"] + 0.05
    shown = capsys.readouterr().out.strip().split("\n")
    assert len(shown) == 2 + len(facet_evidence.READINGS)
    assert shown[3] == (
        f"| 85 % in GO texts, 40 (`sim:k562@0.03`) | 1 | texts alone, 20 steps | "
        f"{tuned['squared']:.1f} | {tuned['relative']:.1f} | {tuned['cosine']:.1f} | "
        f"{tuned['test']:.3f} |"
    )
    # What stood in for the model's own is gone.
    after = facets.IDENTITY_SHARES, facet_tuning.HeldOut.of, facet_tuning._Reading.held_out
    assert after == before


@pytest.mark.slow
def test_held_out_parts_are_asked_once_with_the_same_result(tmp_path: Path) -> None:
    row = planted_subsets.Row.parse("go85:24:1")
    for subset in planted_subsets.subsets(row, tmp_path):
        rule = facet_choice.Rule((1.0,))
        subset.score(rule)
        assert sorted(subset.held_out) == [0, 1]
        wanted = facet_choice.Rule((1.0,), wanted=rule.choices[0])
        known, _ = subset.score(wanted)
        subset.held_out.clear()
        shutil.rmtree(subset.manifest.parent / f"setting-{wanted.wanted}")
        anew, _ = subset.score(wanted)
        assert wanted.wanted != planted_subsets.REFERENCE
        assert known == anew


def test_gains_are_in_standard_errors_of_paired_differences() -> None:
    errors, cosines = np.ones((3, 12)), np.zeros((3, 12))
    errors[:, TUNED_TEXTS.setting] = [0.0, 0.5, 0.7]
    cosines[:, TUNED_TEXTS.setting] = [0.1, 0.2, 0.6]
    shown = facet_evidence.Evidence()
    of_one = errors[:, :, None], cosines[:, :, None]
    assert shown(*of_one, level=0.05) == (0, 0)
    gains = shown.gains(TUNED_TEXTS.setting, np.array([1.0, 5.0, 10.0]))
    for name, each in (
        ("squared", [1.0, 0.5, 0.3]),
        ("relative", [1.0, 0.1, 0.03]),
        ("cosine", [0.1, 0.2, 0.6]),
    ):
        assert gains[name] == pytest.approx(np.mean(each) / (np.std(each, ddof=1) / 3**0.5))


def test_a_fit_that_read_facets_otherwise_is_noticed() -> None:
    facet_evidence.check({"identity_share": 0.0, "facet_tuning_steps": 20}, TUNED_TEXTS)
    with pytest.raises(AssertionError):
        facet_evidence.check({"identity_share": 0.3, "facet_tuning_steps": 20}, TUNED_TEXTS)


def test_rows_of_the_documentation_are_rows() -> None:
    for text in facet_evidence.ROWS:
        planted_subsets.Row.parse(text)
