"""Intervals of means over pairs of genes and perturbations, against formulas and a simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from dygenept.evaluation.two_way import UNKNOWN, Fold, TwoWay, drawn_together, joined, widened
from dygenept.types import DoubleArray

NAN = float("nan")


def of_spreads(genes: float, perturbations: float, pairs: float, n: int = 11) -> TwoWay:
    """A mean whose resamples have exactly these standard deviations."""
    draws = np.linspace(-1.0, 1.0, 200)
    draws /= draws.std(ddof=1)
    return TwoWay(genes * draws, perturbations * draws, pairs * draws, n, n + 5)


@pytest.mark.parametrize(
    ("spreads", "variance"),
    [
        # Noise of pairs is in both spreads and counts once.
        ((3.0, 4.0, 2.0), 9.0 + 16.0 - 4.0),
        ((3.0, 3.0, 3.0), 9.0),
        ((0.0, 2.0, 0.0), 4.0),
        # Less than one way alone it cannot be.
        ((1.0, 2.0, 2.0), 4.0),
        ((2.0, 1.0, 2.0), 4.0),
    ],
)
def test_the_noise_of_pairs_counts_once(
    spreads: tuple[float, float, float], variance: float
) -> None:
    assert of_spreads(*spreads).standard_error() == pytest.approx(variance**0.5)


def test_the_interval_is_that_of_students_t_with_the_fewer_of_both() -> None:
    found = of_spreads(3.0, 0.0, 0.0, n=11)
    half = 3.0 * stats.t.ppf(0.975, 10)
    assert found.interval(0.5) == pytest.approx((0.5 - half, 0.5 + half))
    few = TwoWay(found.genes, found.perturbations, found.pairs, 11, 4)
    assert few.interval(0.0) == pytest.approx(
        (-3 * stats.t.ppf(0.975, 3), 3 * stats.t.ppf(0.975, 3))
    )


def test_two_of_either_tell_a_spread_and_one_does_not() -> None:
    found = of_spreads(3.0, 0.0, 0.0)
    half = 3.0 * stats.t.ppf(0.975, 1)
    for genes, perturbations in ((2, 9), (9, 2), (2, 2)):
        two = replace(found, n_genes=genes, n_perturbations=perturbations)
        assert two.interval(1.0) == pytest.approx((1.0 - half, 1.0 + half))
    for genes, perturbations in ((1, 9), (9, 1)):
        one = replace(found, n_genes=genes, n_perturbations=perturbations)
        assert one.interval(1.0) is None


@pytest.mark.parametrize("difference", [-3.0, -0.5, 0.0, 0.5, 3.0])
def test_the_p_value_belongs_to_the_interval(difference: float) -> None:
    found = of_spreads(1.5, 0.0, 0.0, n=7)
    expected = 2 * stats.t.sf(abs(difference) / 1.5, 6)
    assert found.two_sided_p(difference) == pytest.approx(expected, rel=1e-9)
    # At the end of its interval, a difference has p of a twentieth.
    ends = found.interval(0.0)
    assert ends is not None
    assert found.two_sided_p(ends[1]) == pytest.approx(0.05)


def test_no_spread_decides_only_by_the_difference() -> None:
    still = of_spreads(0.0, 0.0, 0.0)
    assert still.interval(0.25) == (0.25, 0.25)
    assert still.two_sided_p(0.0) == 1.0
    assert still.two_sided_p(-1e-300) == 0.0


def test_what_nothing_tells_has_no_interval_and_shows_nothing() -> None:
    draws = np.append(np.arange(19.0), np.full(181, NAN))
    twenty = np.append(np.arange(20.0), np.full(180, NAN))
    enough = of_spreads(1.0, 1.0, 0.0)
    for unknown in (
        UNKNOWN,
        TwoWay(draws, enough.genes, enough.genes, 9, 9),
        TwoWay(enough.genes, draws, enough.genes, 9, 9),
        TwoWay(enough.genes, enough.genes, draws, 9, 9),
        TwoWay(enough.genes, enough.genes, enough.pairs, 1, 9),
        TwoWay(enough.genes, enough.genes, enough.pairs, 9, 1),
        enough.minus(UNKNOWN),
        UNKNOWN.minus(enough),
    ):
        assert np.isnan(unknown.standard_error())
        assert unknown.interval(0.5) is None
        assert unknown.two_sided_p(9.0) == 1.0
    zeros = np.zeros(200)
    found = TwoWay(twenty, zeros, zeros, 9, 9)
    assert found.standard_error() == pytest.approx(np.arange(20.0).std(ddof=1))


def test_a_difference_is_taken_resample_by_resample() -> None:
    rng = np.random.default_rng(0)
    first = TwoWay(*rng.normal(size=(3, 40)), 9, 8)
    second = TwoWay(*rng.normal(size=(3, 40)), 7, 12)
    apart = first.minus(second)
    np.testing.assert_array_equal(apart.genes, first.genes - second.genes)
    np.testing.assert_array_equal(apart.perturbations, first.perturbations - second.perturbations)
    np.testing.assert_array_equal(apart.pairs, first.pairs - second.pairs)
    assert (apart.n_genes, apart.n_perturbations) == (7, 8)
    assert first.minus(first).standard_error() == 0.0


def test_folds_share_their_genes_and_no_perturbation() -> None:
    rng = np.random.default_rng(1)
    first, second = (TwoWay(*rng.normal(size=(3, 40)), n, m) for n, m in ((9, 8), (7, 12)))
    both = joined([Fold(first, 1, 0.0, 0), Fold(second, 3, 9.0, 1)])
    for name in ("genes", "perturbations", "pairs"):
        expected = (getattr(first, name) + 3 * getattr(second, name)) / 4
        np.testing.assert_allclose(getattr(both, name), expected)
    assert (both.n_genes, both.n_perturbations) == (9, 20)
    unknown = joined([Fold(first, 1, 0.0, 0), Fold(UNKNOWN, 1, 0.0, 1)])
    assert unknown.interval(0.0) is None


def single(mean: float, number: int, size: int = 1, *, per_gene: bool = False) -> Fold:
    nothing, unknown = np.zeros(4000), np.full(4000, NAN)
    spread = TwoWay(nothing, unknown, unknown if per_gene else nothing, 50, 1)
    return Fold(spread, size, mean, number)


@pytest.mark.parametrize("per_gene", [False, True])
def test_folds_of_one_perturbation_differ_by_as_much_as_their_perturbations(per_gene: bool) -> None:
    values = np.array([0.2, 0.9, 0.4, 0.7, 0.1])
    found = joined([single(of, place, per_gene=per_gene) for place, of in enumerate(values)])
    assert (found.n_genes, found.n_perturbations) == (50, 5)
    # The error of a mean of five.
    assert found.standard_error() == pytest.approx(values.std(ddof=1) / 5**0.5, rel=0.03)
    assert found.perturbations.mean() == pytest.approx(values.mean(), abs=0.01)
    # The signs are those of the fold's number, so that equal models differ by nothing.
    again = joined([single(of, place) for place, of in reversed(list(enumerate(values)))])
    assert found.minus(again).standard_error() == pytest.approx(0.0, abs=1e-12)
    moved = joined([single(of + 0.3, place) for place, of in enumerate(values)])
    assert moved.minus(found).standard_error() == pytest.approx(0.0, abs=1e-12)


def test_a_fold_of_one_counts_by_its_share_and_leaves_other_folds_as_they_are() -> None:
    draws = np.linspace(-1.0, 1.0, 4000)
    fold = Fold(TwoWay(0 * draws, draws, 0 * draws, 50, 6), 3, 0.5, 0)
    found = joined([fold, single(0.9, 1)])
    # It lies three quarters of 0.4 from the mean of both, and that mean follows it by a quarter.
    own = (0.25 * 0.3) ** 2 / 0.75
    expected = (0.75**2 * draws.var(ddof=1) + own) ** 0.5
    assert found.standard_error() == pytest.approx(expected, rel=0.03)
    assert found.n_perturbations == 7


def test_resamples_are_drawn_with_those_of_folds_that_share_some_perturbations() -> None:
    held_out = [("B", "A"), ("B", "C"), ("C", "D"), ("X",), ("Y", "Z"), ("Z", "Y")]
    assert [drawn_together(held_out, place) for place in range(4)] == [
        *[("A", "B", "C", "D")] * 3,
        (),
    ]
    # The resamples of folds with the very same perturbations are the same at any rate.
    assert drawn_together(held_out, 4) == drawn_together(held_out, 5) == ()
    # One that contains another is drawn with it too.
    assert drawn_together([("A", "B"), ("A",)], 0) == ("A", "B")
    assert drawn_together([("A", "B"), ("A",)], 1) == ("A", "B")


def test_one_perturbation_in_several_folds_is_one() -> None:
    def of(mean: float, number: int, name: str) -> Fold:
        return replace(single(mean, number), held_out=frozenset((name,)))

    pairs = [("A", 0.2), ("B", 0.9), ("C", 0.4), ("D", 0.7), ("E", 0.1)]
    once = joined([of(value, place, name) for place, (name, value) in enumerate(pairs)])
    twice = joined([of(value, place, name) for place, (name, value) in enumerate(2 * pairs)])
    assert twice.n_perturbations == once.n_perturbations == 5
    assert twice.standard_error() == pytest.approx(once.standard_error(), rel=0.03)
    assert joined([of(0.2, 0, "A"), of(0.4, 1, "A")]).interval(0.3) is None


def test_one_perturbation_in_all_tells_nothing() -> None:
    assert joined([single(0.5, 0)]).interval(0.5) is None
    with_unknown = joined([single(0.5, 0), Fold(UNKNOWN, 1, 0.4, 1)])
    assert with_unknown.interval(0.5) is None


def test_a_bootstrap_is_widened_to_the_variance_of_a_sample() -> None:
    draws = np.array([1.0, 2.0, 6.0, NAN])
    wide = widened(draws, 5)
    assert np.nanvar(wide) == pytest.approx(np.nanvar(draws) * 5 / 4)
    assert np.nanmean(wide) == pytest.approx(3.0)
    # Of one perturbation nobody knows how another would have been.
    assert np.isnan(widened(draws, 1)).all()
    assert np.isnan(widened(draws, 0)).all()
    assert np.isnan(widened(np.full(3, NAN), 5)).all()


@pytest.mark.parametrize(
    ("of_genes", "of_perturbations", "of_pairs"),
    [(0.5, 0.0, 1.0), (0.0, 0.3, 1.0), (0.4, 0.4, 0.0), (0.0, 0.0, 1.0), (0.3, 0.3, 2.0)],
)
def test_the_error_is_that_of_the_mean_wherever_the_noise_is(
    of_genes: float, of_perturbations: float, of_pairs: float
) -> None:
    """The mean over all pairs of a table: its variance is known in closed form."""
    n_genes, n_perturbations, n_draws = 80, 50, 200
    rng = np.random.default_rng(3)
    errors = []
    for _ in range(40):
        values = (
            of_genes * rng.normal(size=n_genes)
            + of_perturbations * rng.normal(size=(n_perturbations, 1))
            + of_pairs * rng.normal(size=(n_perturbations, n_genes))
        )
        errors.append(_of_table(values, rng, n_draws).standard_error())
    true = (
        of_genes**2 / n_genes
        + of_perturbations**2 / n_perturbations
        + of_pairs**2 / (n_genes * n_perturbations)
    ) ** 0.5
    found = float(np.mean(np.square(errors))) ** 0.5
    # The larger of two noisy estimates is taken, so where neither way has noise of its own the
    # error comes out a little large; counting pairs three times would give 1.73.
    assert 0.93 < found / true < 1.15


def _of_table(values: DoubleArray, rng: np.random.Generator, n_draws: int) -> TwoWay:
    n_perturbations, n_genes = values.shape

    def counts(n: int) -> DoubleArray:
        return rng.multinomial(n, np.full(n, 1 / n), n_draws) / n

    by_gene = counts(n_perturbations) @ values  # (B, G)
    taken = rng.permuted(np.tile(np.arange(n_draws)[:, None], (1, n_genes)), axis=0)
    return TwoWay(
        genes=widened(counts(n_genes) @ values.mean(axis=0), n_genes),
        perturbations=widened(by_gene.mean(axis=1), n_perturbations),
        pairs=widened(np.take_along_axis(by_gene, taken, axis=0).mean(axis=1), n_perturbations),
        n_genes=n_genes,
        n_perturbations=n_perturbations,
    )
