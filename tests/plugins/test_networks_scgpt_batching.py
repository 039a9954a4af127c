"""Grouping of sequences by length."""

from __future__ import annotations

import numpy as np
import pytest

from dygenept_plugins.networks.scgpt_batching import length_buckets, padding_slack


def lengths(n: int = 200) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 1200, n)


@pytest.mark.parametrize("slack", [0, 64, 5000])
def test_every_sequence_is_in_one_bucket_and_padding_stays_within_the_slack(slack: int) -> None:
    found = length_buckets(lengths(), slack=slack)
    assert sorted(np.concatenate(found).tolist()) == list(range(200))
    for bucket in found:
        inside = lengths()[bucket]
        assert (inside.max() - inside).sum() <= slack


def test_more_slack_gives_fewer_buckets_and_equal_lengths_share_one() -> None:
    counts = [len(length_buckets(lengths(), slack=slack)) for slack in (0, 64, 5000, 10**9)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1
    assert len(length_buckets(np.full(64, 1200), slack=0)) == 1


def test_limits_of_tokens_and_size_hold_and_a_long_sequence_stands_alone() -> None:
    found = length_buckets(lengths(), slack=10**9, max_tokens=1000, max_size=3)
    for bucket in found:
        assert len(bucket) <= 3
        assert len(bucket) == 1 or lengths()[bucket].max() * len(bucket) <= 1000
    assert sorted(np.concatenate(found).tolist()) == list(range(200))


def test_no_sequence_gives_no_bucket() -> None:
    assert length_buckets(np.zeros(0, dtype=np.int64), slack=10) == []


def test_wide_networks_and_slow_devices_afford_less_padding() -> None:
    assert padding_slack("cpu", 64) > padding_slack("cpu", 512)
    assert padding_slack("cuda", 512) > padding_slack("cpu", 512)
