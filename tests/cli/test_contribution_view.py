"""What ``dygenept explain`` says of a model's parts and of how its steps were judged."""

from __future__ import annotations

import pytest

from dygenept.model.effects.explanation import Neighbour, StartExplanation
from dygenept_cli.views.predictions import show_contribution, show_starts


def test_held_out_scores_are_told_beside_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    show_contribution(
        {
            "identity_share": 0.9,
            "epochs_kept": 2,
            "held_out_score_of_start.1": 0.5,
            "held_out_score_with_steps.1": 0.625,
            "standard_error_of_gain.1": 0.015,
        }
    )
    captured = capsys.readouterr()
    said = " ".join((captured.out + captured.err).split())
    assert "contribution: 0.900 of what is read of a gene" in said
    assert "steps (member 1): 0.500 is the pearson_delta_top20 of train perturbations" in said
    assert "steps (member 1): 0.625 is that of the same perturbations" in said
    assert "steps (member 1): 0.0150 is the standard error" in said
    assert "epochs_kept" not in said


@pytest.mark.parametrize(("of_facets", "is_said"), [(-0.1, True), (0.1, False)])
def test_figures_below_0_are_explained_where_there_are_any(
    capsys: pytest.CaptureFixture[str], of_facets: float, is_said: bool
) -> None:
    sources = {"facets": of_facets, "string": 0.5}
    near = Neighbour("A+ctrl", "K562", sum(sources.values()), sources)
    shares = {"facets": 0.2, "string": 0.8}
    found = StartExplanation("B+ctrl", "K562", shares, (near,))
    show_starts("model", [found], has_attention=False)
    captured = capsys.readouterr()
    assert ("below 0: by this source" in captured.out + captured.err) == is_said


@pytest.mark.parametrize("has_attention", [True, False])
def test_where_the_start_is_the_means_likeness_is_not_denied(
    capsys: pytest.CaptureFixture[str], *, has_attention: bool
) -> None:
    means = [StartExplanation(f"{gene}+ctrl", "K562", {}, (), is_means_alone=True) for gene in "AB"]
    show_starts("model", means, has_attention=has_attention)
    captured = capsys.readouterr()
    said = " ".join((captured.out + captured.err).split())
    assert "like no train perturbation" not in said
    assert said.count("the genes' means") == 1
    assert ("what the networks learned" in said) == has_attention
    show_starts("model", [StartExplanation("C+ctrl", "K562", {}, ())], has_attention=has_attention)
    alone = " ".join(capsys.readouterr().err.split())
    assert "C+ctrl in K562: like no train perturbation" in alone
    # Steps are added to the start, so that the prediction is not the means.
    assert ("predicted as the genes' means" in alone) != has_attention


def test_nothing_is_said_of_a_closed_form_that_a_model_may_not_have(
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = ("share_changed_by_steps", "validation_error_of_start", "standard_error_of_gain")
    show_contribution(dict.fromkeys(figures, 0.25))
    said = " ".join(capsys.readouterr().err.split())
    assert "was changed by gradient steps; the rest was there before them" in said
    assert "is the start's error on train perturbations that it has not seen" in said
    assert "closed-form" not in said
