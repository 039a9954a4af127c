"""The study of other forms of the rule: one of them is the rule, the others are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import facet_forms
import false_reads
import numpy as np
import planted_subsets
import pytest
from rule_forms import FORMS, RULE, Scores

from dygenept.model.start import facet_tuning
from dygenept.model.start.beyond_chance import _signs, best_for_strong_and_weak

LEVELS = (0.5, 0.2, 0.05)


@pytest.mark.parametrize("kind", false_reads.KINDS, ids=lambda kind: kind.name)
def test_the_first_form_is_the_rule(kind: false_reads.Gains) -> None:
    rng, chosen = np.random.default_rng(3), set()
    for _ in range(6):
        errors, cosines = false_reads.drawn(kind, 12, rng)
        # Some gain.
        errors[:, 5:] -= rng.uniform(0, 1.5)
        cosines[:, 5:] += rng.uniform(0, 0.1)
        scores = Scores.of(errors, cosines)
        for level in LEVELS:
            setting, _ = best_for_strong_and_weak(errors, cosines, level=level)
            assert scores.chosen(RULE, level) == setting
            chosen.add(setting)
    assert len(chosen) > 1


def slowly_offered(form: str, errors: np.ndarray, cosines: np.ndarray) -> list[list[float]]:
    """Return what single choices of signs offer by a form, with loops, one list per test."""
    best = errors.mean(axis=0).argmin(axis=1)
    n, n_settings, n_penalties = errors.shape
    gains = [each[:, 0, best[0]][:, None, None] - each for each in (errors, -cosines)]
    offered: list[list[float]] = []
    for signs in _signs(n)[:40]:
        error, cosine = (signs[:, None, None] * each for each in gains)
        mean = error.mean(axis=0)

        def t(each: np.ndarray, setting: int, penalty: int) -> float:
            of = each[:, setting, penalty]
            return float(of.mean() / (of.std(ddof=1) / len(of) ** 0.5))

        pairs = [(s, p) for s in range(n_settings) for p in range(n_penalties)]
        if form.endswith("penalties"):
            pairs = [(s, int(mean[s].argmax())) for s in range(1, n_settings)]
        elif form.endswith("selection"):
            pairs = [max(((s, p) for s, p in pairs if s), key=lambda each: mean[each])]
        known = [
            (s, p) for s, p in pairs if min(error[:, s, p].std(), cosine[:, s, p].std()) > 1e-9
        ]
        both = [(t(error, *each), t(cosine, *each)) for each in known]
        joint = [max(min(each) for each in both)]
        offered.append(
            joint if form.startswith("joint") else [max(e) for e in zip(*both, strict=True)]
        )
    return [list(each) for each in zip(*offered, strict=True)]


@pytest.mark.parametrize("form", FORMS)
def test_a_choice_of_signs_offers_what_the_form_says(form: str) -> None:
    errors, cosines = false_reads.drawn(false_reads.KINDS[3], 9, np.random.default_rng(1))
    offered = Scores.of(errors, cosines)._offered(form)
    expected = slowly_offered(form, errors, cosines)
    np.testing.assert_allclose(offered[:, :40], expected, rtol=1e-9)


def test_only_the_best_setting_competes_where_a_choice_of_signs_selects() -> None:
    rng = np.random.default_rng(0)
    errors, cosines = np.full((12, 3, 1), 5.0), np.full((12, 3, 1), 0.2)
    jitter = 0.01 * rng.standard_normal((12, 1))
    errors[:, 1] -= 1.0 + jitter
    cosines[:, 1] += 0.1 + jitter
    # The best by error, but by the error of one perturbation.
    errors[:, 2] -= 0.3 + 1.5 * rng.standard_normal((12, 1))
    errors[0, 2] -= 15.0
    assert errors.mean(axis=0).argmin() == 2
    scores = Scores.of(errors, cosines)
    assert scores.chosen("penalties", 0.05) == 1
    assert scores.chosen("selection", 0.05) == 0


def test_drawn_gains_are_zero_on_average_and_skewed_as_they_say() -> None:
    for kind in false_reads.KINDS:
        errors, cosines = false_reads.drawn(kind, 20_000, np.random.default_rng(2))
        gains = errors[:, :1] - errors[:, 1:]  # (n, n_settings - 1, n_penalties)
        spreads = gains.std(axis=0) / len(gains) ** 0.5
        assert float((np.abs(gains.mean(axis=0)) / spreads).max()) < 5
        assert np.abs(cosines.mean(axis=0) - 0.3).max() < 0.001
        skews = (gains**3).mean(axis=0) / gains.std(axis=0) ** 3
        assert (float(skews[:, 0].max()) < -1) == bool(kind.skew)


@pytest.mark.slow
def test_forms_are_measured_with_seeds_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "found.json"
    facet_forms.main([str(output), "go85:24:1", "--first-seed", "1000"])
    document = json.loads(output.read_text())
    assert document["forms"] == list(FORMS)
    (fit,) = document["fits"]
    assert (fit["seed"], fit["n_train"]) == (1000, 24)
    assert sorted(fit["settings"]) == sorted(fit["gains"]) == ["4", "8"]
    for n_parts, settings in fit["settings"].items():
        for setting, gain in zip(settings, fit["gains"][n_parts], strict=True):
            assert (gain != 0) == (setting != 0)
    # Some form reads facets, and gains by it what is to be had.
    assert max(max(gains) for gains in fit["gains"].values()) > 0.05
    lines = capsys.readouterr().out.strip().split("\n")
    assert len(lines) == 4
    assert lines[3].startswith("| 85 % in GO texts, 24 (`sim:k562@0.03`) | 1 | 8 |")
    assert facet_tuning.best_for_strong_and_weak is best_for_strong_and_weak


def test_rows_of_the_documentation_are_rows() -> None:
    for text in facet_forms.ROWS:
        planted_subsets.Row.parse(text)
