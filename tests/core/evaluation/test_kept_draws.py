from __future__ import annotations

import numpy as np
import pytest

from dygenept.evaluation import bootstrap
from dygenept.evaluation.bootstrap import resample_counts
from dygenept.evaluation.sign_flip import drawn_signs


@pytest.mark.parametrize(("small", "large"), [(0, 10**6), (0, 0)])
def test_draws_are_the_same_however_they_are_kept(
    monkeypatch: pytest.MonkeyPatch, small: int, large: int
) -> None:
    # Other numbers than other tests ask for: what these kept is not returned.
    counts, signs = resample_counts(37, 211, 9), drawn_signs(37, 211, 9)
    monkeypatch.setattr(bootstrap, "SMALL", small)
    monkeypatch.setattr(bootstrap, "LARGE", large)
    assert np.array_equal(resample_counts(37, 211, 9), counts)
    assert np.array_equal(drawn_signs(37, 211, 9), signs)
    assert counts.sum(axis=1).tolist() == [37.0] * 211
    assert set(np.unique(signs)) == {-1.0, 1.0}


def test_a_value_drawn_more_often_than_a_byte_counts_is_counted() -> None:
    for largest, kind in ((255, np.uint8), (256, np.uint32), (300, np.uint32)):
        found = bootstrap._narrow(np.array([[3, largest]]))
        assert found.tolist() == [[3, largest]]
        assert found.dtype == kind


def test_what_is_kept_is_forgotten_when_asked() -> None:
    asked: list[tuple[int, int, int]] = []

    def draw(n_values: int, n_draws: int, seed: int) -> np.ndarray:
        asked.append((n_values, n_draws, seed))
        return np.full((n_draws, n_values), seed, dtype=np.int8)

    kept = bootstrap.KeptDraws(draw)
    first = kept(3, 2, 7)
    assert kept(3, 2, 7) is first
    assert first.dtype == np.float64
    assert not first.flags.writeable
    kept.cache_clear()
    assert kept(3, 2, 7) is not first
    assert asked == [(3, 2, 7)] * 2
    # One above the bound is kept alone, and its narrow form beside others.
    large = kept(1000, 1001, 1)
    assert kept(1000, 1001, 1) is large
    kept(1000, 1001, 2)
    assert kept(1000, 1001, 1) is not large
    assert asked[2:] == [(1000, 1001, 1), (1000, 1001, 2)]
    kept.cache_clear()
    kept(1000, 1001, 1)
    assert asked[4:] == [(1000, 1001, 1)]


def counting() -> tuple[bootstrap.KeptDraws, list[int]]:
    """Kept draws, and the seeds that were drawn."""
    seeds: list[int] = []

    def draw(n_values: int, n_draws: int, seed: int) -> np.ndarray:
        seeds.append(seed)
        return np.full((n_draws, n_values), seed, dtype=np.int8)

    return bootstrap.KeptDraws(draw), seeds


@pytest.mark.parametrize(("large", "n_kept"), [(6, 16), (5, 1)])
def test_so_many_narrow_results_are_kept(
    large: int, n_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "SMALL", 0)
    monkeypatch.setattr(bootstrap, "LARGE", large)
    kept, seeds = counting()
    for seed in range(n_kept):
        kept(3, 2, seed)
    kept(3, 2, 0)
    assert seeds == list(range(n_kept))
    for seed in (n_kept, 0):
        kept(3, 2, seed)
    # One more than are kept: the oldest but 0 is gone, which was asked for since.
    assert seeds[n_kept:] == ([16] if n_kept == 16 else [1, 0])
    kept(3, 2, 1)
    assert seeds[-1] == 1


@pytest.mark.parametrize(("small", "n_kept"), [(6, 16), (5, 1)])
def test_so_many_results_are_kept_as_they_are_used(
    small: int, n_kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "SMALL", small)
    kept, _ = counting()
    found = [kept(3, 2, seed) for seed in range(n_kept)]
    assert kept(3, 2, 0) is found[0]
    kept(3, 2, n_kept)
    again = kept(3, 2, 1 if n_kept > 1 else 0)
    assert all(again is not one for one in found)
