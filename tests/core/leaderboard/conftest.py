"""Small boards that several modules of tests read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from core.leaderboard.attacked_boards import attacked_predictions
from core.leaderboard.score_levels import HIGH, LOW, MIDDLE

from dygenept.results.records import RunRecord

MakeRecord = Callable[..., RunRecord]


@pytest.fixture
def board(record: MakeRecord) -> list[RunRecord]:
    """A good and a poor model, the mean, and a ceiling, each far from the next."""
    return [
        record(key="1", model="good", role="model", values=HIGH),
        record(key="2", model="poor", role="baseline", values=LOW),
        record(key="3", model="perturbed_mean", role="baseline", values=MIDDLE),
        record(key="4", model="technical_duplicate", role="ceiling", values=(1.255,) * 12),
    ]


@pytest.fixture
def two_metrics(record: MakeRecord) -> list[RunRecord]:
    """Model a is scored under both metrics, b under one, c under the other."""
    made = [
        record(key="1", model="a", values=HIGH),
        record(key="2", model="b", values=LOW),
        record(key="3", model="c", values=LOW, metric="mse", higher_is_better=False, neutral=None),
    ]
    both = made[0].model_copy(
        update={"metrics": (*made[0].metrics, *(made[2].metrics[0],))},
    )
    return [both, made[1], made[2]]


@pytest.fixture
def predictions() -> dict[str, np.ndarray]:
    return attacked_predictions()
