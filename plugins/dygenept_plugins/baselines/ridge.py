"""Ridge regression from gene embeddings to deltas, with an intercept.

Solved in its dual form by one eigendecomposition, so that every penalty costs one product.
Source: Hoerl and Kennard 1970; used so by Ahlmann-Eltze et al. 2025. Loads nothing but the
embedding that is configured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from dygenept.machine.table_products import add_row, eigen, gram, of_rows, product, without_row
from dygenept.machine.tables import mean_row
from dygenept.plugin import BaselineSpec, hookimpl
from dygenept.types import DoubleArray, FitSize, FitWork
from dygenept_plugins.baselines._embedding_regression import (
    ALL,
    Choice,
    EmbeddingConfig,
    SpreadRegression,
    fit_bytes,
    gram_products,
    knowledge_of,
    regression_work,
    width,
)

PENALTIES: tuple[float, ...] = tuple(10.0 ** (step / 2) for step in range(6, -7, -1))


class RidgeConfig(EmbeddingConfig):
    """Options of ``ridge``.

    Attributes:
        alpha: Penalty, in units of the mean squared norm of the centred features; None chooses
            one of 13 from 1e-3 to 1e3 by leave-one-out error.
    """

    alpha: float | None = Field(default=None, gt=0)


class RidgeSolver:
    """Δ̂ = mean + (x - mean x)·W, W by ridge; the intercept is not penalised."""

    def __init__(self, features: DoubleArray) -> None:
        self._feature_mean = mean_row(features)
        self._centred = without_row(features, self._feature_mean)
        values, self._vectors = eigen(gram(self._centred))
        self._values = np.maximum(values, 0.0)
        self._scale = float(self._values.mean()) or 1.0

    def fit(self, deltas: DoubleArray) -> None:
        """Fit to deltas, (n, G)."""
        self._delta_mean = mean_row(deltas)
        self._deltas = without_row(deltas, self._delta_mean)
        self._targets = product(self._vectors.T, self._deltas)  # (n, G)

    def predict(self, features: DoubleArray, choice: Choice) -> DoubleArray:
        """Predict deltas, (n, D) to (n, G)."""
        shrunk = self._along(without_row(features, self._feature_mean)) / (
            self._values + choice["alpha"] * self._scale
        )
        return add_row(product(shrunk, self._targets), self._delta_mean)

    def left_out(self, choice: Choice, *, rows: slice = ALL, columns: slice = ALL) -> DoubleArray:
        """Return leave-one-out residuals, (n, G), for the penalty that all of them give."""
        shrunk = self._shrunk(choice, rows)
        residuals: DoubleArray = self._deltas[rows, columns] - shrunk @ self._targets[:, columns]
        residuals *= self._variance(shrunk, rows)[:, None]
        return residuals

    def relative_variance(self, features: DoubleArray, choice: Choice) -> DoubleArray:
        """Return 1 + leverage, (n, D) to (n,): that of Bayesian linear regression."""
        ridge = choice["alpha"] * self._scale
        centred = without_row(features, self._feature_mean)
        along = self._along(centred)  # (n, n_fitted)
        own = of_rows(centred, lambda part: (part**2).sum(axis=1))
        left = own - (along**2 / (self._values + ridge)).sum(axis=1)
        relative: DoubleArray = 1 + 1 / len(self._deltas) + np.maximum(left, 0.0) / ridge
        return relative

    def left_out_variance(self, choice: Choice) -> DoubleArray:
        """Return 1 + leverage of each condition when it is left out, (n,)."""
        return self._variance(self._shrunk(choice, ALL), ALL)

    def _variance(self, shrunk: DoubleArray, rows: slice) -> DoubleArray:
        explained = np.einsum("ij,ij->i", shrunk, self._vectors[rows])
        relative: DoubleArray = 1 / np.maximum(1 - 1 / len(self._deltas) - explained, 1e-9)
        return relative

    def _along(self, centred: DoubleArray) -> DoubleArray:
        return centred @ self._centred.T @ self._vectors

    def _shrunk(self, choice: Choice, rows: slice) -> DoubleArray:
        return self._vectors[rows] * (self._values / (self._values + choice["alpha"] * self._scale))


class Ridge(SpreadRegression[RidgeConfig]):
    """Ridge on the sum of the target genes' embeddings."""

    solver = RidgeSolver

    def choices(self) -> Sequence[Choice]:
        """Return the penalties to try, the strongest first."""
        alphas = PENALTIES if self.config.alpha is None else [self.config.alpha]
        return [{"alpha": alpha} for alpha in alphas]

    def default(self) -> Choice:
        """Return the middle of the grid's lower half."""
        return {"alpha": 0.1}


def ridge_work(config: RidgeConfig, size: FitSize) -> FitWork:
    """Steps of a fit: one decomposition, a product for each penalty, and predicting."""
    n, m, n_genes = size.n_known, size.n_held_out, size.n_genes
    tried = len(PENALTIES) if config.alpha is None else 0
    along = min(n, n_genes)
    products = gram_products(n, width(config, size)) + n * n * n_genes + m * n * n
    if tried:
        products += (tried + 1) * n * n * along
    own = FitWork(
        products=products,
        decompositions=n**3,
        passes=tried * (4 * n * n + 3 * n * along),
    )
    return regression_work(config, size, own, tried)


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="ridge",
            summary="Ridge regression from gene embeddings to deltas.",
            source="Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634",
            config=RidgeConfig,
            factory=Ridge,
            knowledge=knowledge_of,
            fit_bytes=fit_bytes,
            fit_work=ridge_work,
            learns_from=("cells", "effects"),
        )
    ]
