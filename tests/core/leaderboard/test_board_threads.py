"""A board is the same, to the last bit, however many threads compute it."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from dygenept.leaderboard.metric_table import MetricTable, Unit
from dygenept.leaderboard.rows import LeaderboardRow, board_rows
from dygenept.machine.threads import OPENMP_VARIABLE, one_blas_thread

ROLES = {
    "perturbed_mean": "baseline",
    "control_mean": "baseline",
    "ridge": "baseline",
    "knn": "baseline",
    "technical_duplicate": "ceiling",
}


def tables(n_metrics: int, n_perturbations: int) -> list[MetricTable]:
    draw = np.random.default_rng(2)
    made = []
    for place in range(n_metrics):
        values = {}
        for shift, model in enumerate(ROLES):
            drawn = draw.gamma(1.0 + shift, size=n_perturbations).tolist()
            values[model] = {
                Unit(unit % 3, f"P{unit}", "K562"): value for unit, value in enumerate(drawn)
            }
        made.append(
            MetricTable(
                metric=f"metric {place}",
                higher_is_better=place % 2 == 0,
                neutral=None,
                roles=ROLES,
                values=values,
            )
        )
    return made


def test_a_board_does_not_depend_on_the_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = tables(n_metrics=5, n_perturbations=700)

    def rows(n_threads: int) -> tuple[LeaderboardRow, ...]:
        monkeypatch.setenv(OPENMP_VARIABLE, str(n_threads))
        with threadpool_limits(limits=n_threads, user_api="blas"):
            return board_rows(shown, n_split_folds=3)

    one, two = rows(1), rows(2)
    assert [row.metric for row in one] == [of.metric for of in shown for _ in ROLES]
    assert one == two


def test_the_number_of_threads_of_matrix_products_is_put_back() -> None:
    def counts() -> list[int]:
        return [of["num_threads"] for of in threadpool_info() if of["user_api"] == "blas"]

    with threadpool_limits(limits=2, user_api="blas"):
        before = counts()
        with one_blas_thread():
            assert set(counts()) == {1}
        assert counts() == before
