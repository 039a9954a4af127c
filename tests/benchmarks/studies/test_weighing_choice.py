"""The study of how the typical change is weighed: what it prints is what the rule chose."""

from __future__ import annotations

import numpy as np
import pytest
import weighing_choice


def test_the_plain_mean_is_taken_and_helps_where_most_do_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    weighing_choice.main(["null:200:3", "own:200:3"])
    null, own = capsys.readouterr().out.strip().split("\n")[-2:]
    start, linear = weighing_choice.measured("null", 200, 3)
    assert start[0] == 1
    assert start[1] > 0.005
    assert start[2] > 0
    # The rule of the baseline asks the plain mean itself to gain beyond chance.
    assert start[0] >= linear[0]
    assert null == (
        "| 65 % have a twentieth of the effect, with noise, 200 | 3 | "
        f"1.00, {-100 * start[1]:+.1f} %, {start[2]:+.3f} | "
        f"{linear[0]:.2f}, {-100 * linear[1] + 0.0:+.1f} %, {linear[2] + 0.0:+.3f} |"
    )
    assert own.endswith("| 0.00, +0.0 %, +0.000 | 0.00, +0.0 %, +0.000 |")


def test_scores_are_those_of_one_prediction_for_all() -> None:
    changes = np.array([[1.0, 0.0], [0.0, 2.0]])
    error, cosine = weighing_choice.scores(np.array([1.0, 0.0]), changes)
    assert error == pytest.approx((0 + 5) / 2)
    assert cosine == pytest.approx(0.5)


def test_an_unknown_draw_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        weighing_choice.main(["nosuch:20:1"])
    assert "known are alike, own, one, null" in capsys.readouterr().err
