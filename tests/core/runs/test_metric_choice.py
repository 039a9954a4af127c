"""Which metrics may be computed in several threads at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dygenept.runs.metric_choice import OneAtATime
from dygenept.testing import small_metric_inputs
from dygenept.types import MetricInputs, MetricValues


def test_a_metric_that_may_keep_something_is_computed_one_at_a_time() -> None:
    inputs = small_metric_inputs([[1.0, 2.0]], [[1.0, 2.0]])
    running, most, count = 0, 0, threading.Lock()

    def metric(seen: MetricInputs) -> MetricValues:
        nonlocal running, most
        with count:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with count:
            running -= 1
        return MetricValues(np.zeros(len(seen.conditions)), {})

    guarded = OneAtATime(metric)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(guarded, [inputs] * 8))
    assert most == 1
    assert all((result.values == 0.0).all() for result in found)
