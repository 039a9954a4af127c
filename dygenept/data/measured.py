"""What is measured of a data set before any model sees it: means, DE lists and DE tests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

from dygenept.data.de.lists import de_genes
from dygenept.data.de.rank_sum import significant_genes
from dygenept.data.de.tests import FDR, scores_vs_rest
from dygenept.data.effects.filling import effects_as_means
from dygenept.data.pseudobulk import pseudobulk, square_sums
from dygenept.machine.threads import n_threads
from dygenept.types import DeGenes, DeTests, PerturbationData, Pseudobulk


@dataclass(frozen=True, slots=True)
class Measured:
    """Means, DE lists and DE tests of one data set.

    Attributes:
        means: Means of each condition and of the controls.
        de: Top-20 DE genes of each condition.
        tests: DE tests of every gene, where they were asked for.
    """

    means: Pseudobulk
    de: DeGenes
    tests: DeTests | None = None


def measure(
    data: PerturbationData, de_list: str, *, with_tests: bool = False, beside: bool = False
) -> Measured:
    """Compute the means and DE lists of a data set, and its DE tests; a table is its own means.

    Args:
        data: The data set.
        de_list: ``top_non_dropout_de_20`` or ``top_non_zero_de_20``.
        with_tests: Test every gene as well, as ``de_tests`` does.
        beside: Compute the tests against control while sums over all cells are taken, which needs
            the memory of both.

    Raises:
        ConfigError: If there is no DE list of that name.
    """
    if data.effects is not None:
        return Measured(*effects_as_means(data.effects, data))
    if not with_tests:
        means = pseudobulk(data)
        return Measured(means, de_genes(data, means, de_list))
    with ThreadPoolExecutor(1) as pool:
        testing = pool.submit(significant_genes, data, FDR)
        if not beside or n_threads() == 1:
            wait([testing])
        means = pseudobulk(data)
        squares = square_sums(data)
        de = de_genes(data, means, de_list, squares=squares)
        scores = scores_vs_rest(data, means, squares)
        return Measured(means, de, DeTests(testing.result(), scores))
