"""Declares a metric that is a function, with how it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dygenept.plugin import MetricGuide, MetricSpec
from dygenept.types import MetricValues


def metric_spec(
    metric: Callable[..., MetricValues],
    *,
    formula: str,
    misleads: str,
    use: str,
    guess: str = "",
    **own: Any,
) -> MetricSpec:
    """Return the spec of a function, whose name is that of the metric.

    Args:
        metric: The function.
        formula: As in ``MetricGuide``.
        misleads: As in ``MetricGuide``.
        use: As in ``MetricGuide``.
        guess: What ``MetricGuide`` calls ``chance``.
        own: Further fields of ``MetricSpec``; a ``factory`` where the function has options.
    """
    guide = MetricGuide(formula=formula, misleads=misleads, use=use, chance=guess)
    return MetricSpec(
        **{"name": metric.__name__, "factory": lambda config: metric, "guide": guide, **own}
    )
