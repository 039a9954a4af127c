"""Conformance of metrics of tables of effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dygenept.plugin.interfaces import EffectMetric
from dygenept.plugin.specs import EffectMetricSpec
from dygenept.testing.rules import Rules, checking, configured
from dygenept.types import DoubleArray, GroupedPairs
from dygenept.types.effects import EffectKind

N_GROUPS, N_EACH = 5, 12


def check_effect_metric(
    spec: EffectMetricSpec, *, options: Mapping[str, object] | None = None
) -> None:
    """Check a metric: pure, within its range, won by the truth, and true to its counts.

    A pair that counts twice is two pairs, and one that counts not at all is none.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If it needs options that were not given.
    """
    config = configured(spec, options)
    with checking(spec) as rules:
        metric = spec.factory(config)
        for kind in spec.values:
            pairs = toy_pairs(kind)
            values = _values(metric, pairs, spec, rules)
            again = _values(metric, pairs, spec, rules)
            rules.require(np.array_equal(values, again, equal_nan=True), "a second call differs")
            best = _values(metric, replace(pairs, predicted=pairs.truth), spec, rules)
            sign = 1.0 if spec.higher_is_better else -1.0
            is_won = np.nan_to_num(sign * (best - values), nan=0.0) >= -1e-9
            rules.require(bool(is_won.all()), "the truth is beaten by another prediction")
            rng = np.random.default_rng(1)
            drawn = rng.integers(0, 3, len(pairs.truth))
            counted = replace(pairs, counts=drawn[None].astype(np.float64))
            rows = np.repeat(np.arange(len(drawn)), drawn)
            repeated = replace(
                pairs,
                groups=pairs.groups[rows],
                truth=pairs.truth[rows],
                predicted=pairs.predicted[rows],
                counts=np.ones((1, len(rows))),
            )
            rules.require(
                bool(
                    np.allclose(
                        _values(metric, counted, spec, rules),
                        _values(metric, repeated, spec, rules),
                        atol=1e-9,
                        equal_nan=True,
                    )
                ),
                "a pair that counts twice is not two pairs",
            )


def toy_pairs(kind: EffectKind) -> GroupedPairs:
    """Return pairs with ties, a group of one label and a group of one pair."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(N_GROUPS), N_EACH)
    noise = rng.normal(size=len(groups))
    truth = {
        "labels": (noise > 0).astype(np.float64),
        "signs": np.sign(np.trunc(noise * 1.5)),
        "values": noise,
    }[kind]
    truth[groups == 1] = truth[0]
    predicted = np.round(noise + rng.normal(size=len(groups)), 1)
    kept = np.flatnonzero((groups != 2) | (np.arange(len(groups)) % N_EACH == 0))
    return GroupedPairs(
        kind=kind,
        groups=groups[kept].astype(np.int32),
        n_groups=N_GROUPS,
        truth=truth[kept],
        predicted=predicted[kept],
        counts=np.ones((1, len(kept))),
    )


def _values(
    metric: EffectMetric, pairs: GroupedPairs, spec: EffectMetricSpec, rules: Rules
) -> DoubleArray:
    values = np.asarray(metric(pairs))
    shape = (len(pairs.counts), pairs.n_groups)
    rules.require(values.shape == shape, f"it returns {values.shape}, expected {shape}")
    found = values[~np.isnan(values)]
    lower = -np.inf if spec.lower is None else spec.lower
    upper = np.inf if spec.upper is None else spec.upper
    rules.require(
        bool(((found >= lower - 1e-9) & (found <= upper + 1e-9)).all()),
        f"a value lies outside [{spec.lower}, {spec.upper}]",
    )
    return values
