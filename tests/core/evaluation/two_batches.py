"""A screen of two batches that differ much, and what samples of its cells are checked by."""

from __future__ import annotations

import numpy as np
from cells_in_batches import of_one_type

from dygenept.data.pseudobulk import pseudobulk
from dygenept.evaluation.cell_samples import cell_samples
from dygenept.types import Perturbation, PerturbationData

N_GENES, N_CONTROLS, N_CELLS = 80, 400, 240
A, B = (Perturbation(f"{gene}+ctrl", (gene,)) for gene in ("G0", "G1"))
T = "t"
# Of the controls, of A and of B: how many lie in the second batch.
SHARES = (0.5, 0.1, 0.9)


def screen(
    *, effect: float, is_matched: bool, change: float = 0.8, seed: int = 0
) -> PerturbationData:
    """Cells of Poisson counts, log1p; the same counts' rates and cells whatever is asked for.

    Args:
        effect: Standard deviation over genes of the second batch's log factor; 0 for no effect.
        is_matched: Match controls by batch.
        change: The same of what a perturbation changes; 0 for perturbations that do nothing.
        seed: Decides everything.
    """
    rng = np.random.default_rng(seed)
    base = rng.lognormal(-0.5, 1.0, N_GENES)
    is_changed = rng.random((2, N_GENES)) < 0.3
    changes = np.exp(change * rng.normal(0.0, 1.0, (2, N_GENES)) * is_changed)
    batch_factor = np.exp(effect * rng.normal(0.0, 1.0, N_GENES))
    codes = np.repeat([-1, 0, 1], [N_CONTROLS, N_CELLS, N_CELLS]).astype(np.int32)
    batch = (rng.random(len(codes)) < np.take(SHARES, codes + 1)).astype(np.int32)
    rates = base * np.concatenate((changes, np.ones((1, N_GENES))))[codes]
    rates *= np.where(batch[:, None] == 1, batch_factor, 1.0) * rng.gamma(6, 1 / 6, (len(codes), 1))
    return of_one_type(
        np.log1p(rng.poisson(rates)),
        codes,
        (A, B),
        cell_type=T,
        batch=batch if is_matched else None,
    )


def moved(data: PerturbationData) -> np.ndarray:
    """Every cell without batch effects, dense, (N, G)."""
    dense = data.expression.toarray().astype(np.float64)
    if data.batches is None:
        return dense
    offsets = np.concatenate((data.batches.offsets, np.zeros((1, data.n_genes))))
    return dense - offsets[data.batches.rows]


def check_same_samples(one: PerturbationData, other: PerturbationData) -> None:
    """Check that samples of two data sets are the same to the last bit, and what metrics read."""
    means = pseudobulk(other)
    left, right = (cell_samples(data, means, seed=1) for data in (one, other))
    direction = means.means[0] - means.control_means[0]
    for row in range(len(other.conditions)):
        for name in ("control", "real", "real_mixed"):
            np.testing.assert_array_equal(getattr(left, name)(row), getattr(right, name)(row))
        for mine, theirs in zip(
            left.project(row, direction), right.project(row, direction), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
        found, expected = left.distances(row), right.distances(row)
        np.testing.assert_array_equal(found.squared, expected.squared)
        assert found.within_control == expected.within_control
        assert found.within_real == expected.within_real
