"""What an audit says of metrics of which it is known what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from scipy import stats

from dygenept.leaderboard.metric_audit import (
    CONSTANTS,
    DOUBLED,
    EPSILON,
    SCALED,
    AuditRow,
    audit,
    base_model,
)
from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]
N = 12
CEILINGS = {"technical_duplicate", "truth", EPSILON, DOUBLED}
# Means under a metric that sees everything, and under one that sees neither size nor constants.
HONEST = {
    **{"control_mean": 0.1, "perturbed_mean": 0.2, "technical_duplicate": 0.9, "truth": 1.0},
    **{"shuffled": 0.0, "random_train": 0.05, "ridge": 0.6, "knn": 0.4, "gp": 0.5},
}
HONEST_ATTACKS = {EPSILON: 0.2, DOUBLED: 0.1, **dict.fromkeys(SCALED, 0.5)} | dict.fromkeys(
    CONSTANTS, -1.0
)
GAMED = {**HONEST, "shuffled": 0.5, "random_train": 0.45, "knn": 0.55, "gp": 0.3}
GAMED_ATTACKS = {**HONEST_ATTACKS, EPSILON: 1.0, DOUBLED: 1.0, CONSTANTS[1]: 0.4} | dict(
    zip(SCALED, (0.55, 0.7, 0.8), strict=True)
)


def records(
    record: MakeRecord, honest: Mapping[str, float], gamed: Mapping[str, float]
) -> list[RunRecord]:
    rng = np.random.default_rng(0)
    made = []
    for model in honest:
        parts = [
            record(
                key=model,
                model=model,
                role="ceiling" if model in CEILINGS else "baseline",
                metric=metric,
                values=tuple(level + rng.normal(0, 0.005, N)),
            )
            for metric, level in (("honest", honest[model]), ("gamed", gamed[model]))
        ]
        metrics = tuple(metric for part in parts for metric in part.metrics)
        made.append(parts[0].model_copy(update={"metrics": metrics}))
    return made


@pytest.fixture
def rows(record: MakeRecord) -> dict[str, AuditRow]:
    slate, attacked = records(record, HONEST, GAMED), records(record, HONEST_ATTACKS, GAMED_ATTACKS)
    assert base_model(slate) == "ridge"
    return {row.metric: row for row in audit(slate, attacked, "ridge")}


def test_scores_are_0_at_the_better_trivial_prediction_and_1_at_the_truth(
    rows: dict[str, AuditRow],
) -> None:
    row = rows["honest"]
    assert (row.reference, row.ceiling, row.n_perturbations) == (
        *("perturbed_mean", "technical_duplicate", N),
    )
    close = {"abs": 0.02}
    assert row.dynamic_range == pytest.approx((0.9 - 0.2) / 0.8, **close)
    assert row.base == pytest.approx((0.6 - 0.2) / 0.8, **close)
    assert row.scaling == pytest.approx(-0.1 / 0.8, **close)
    assert row.shuffled == pytest.approx(-0.25, **close)
    assert row.epsilon == pytest.approx(0.0, **close)
    assert row.constant == pytest.approx(-1.5, **close)
    assert (row.calibrated, row.weaknesses) == (True, ())


def test_what_earns_what_it_should_not_is_named(rows: dict[str, AuditRow]) -> None:
    assert rows["gamed"].weaknesses == (
        *("blind to size", "gains by scaling", "rewards a constant", "rewards shuffled truth"),
        "rewards a random perturbation",
    )
    assert rows["gamed"].scaling == pytest.approx(0.2 / 0.8, abs=0.02)


def test_agreement_is_that_of_the_competitors_ranks(rows: dict[str, AuditRow]) -> None:
    names = ("control_mean", "perturbed_mean", "shuffled", "random_train", "ridge", "knn", "gp")
    pairs = [[of[name] for name in names] for of in (HONEST, GAMED)]
    found = rows["honest"].agreement["gamed"]
    assert found.spearman == pytest.approx(stats.spearmanr(*pairs).statistic)
    assert found.kendall == pytest.approx(stats.kendalltau(*pairs).statistic)
    assert rows["honest"].median_spearman == found.spearman
    assert "honest" not in rows["honest"].agreement
