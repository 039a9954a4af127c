"""Gaussian process from gene embeddings to deltas: Gaussian kernel, mean of the train deltas.

All output genes share one kernel, so the posterior mean is closed-form: one eigendecomposition
per length scale. Source: Rasmussen and Williams 2006, section 2.2; on gene embeddings as in
LangPert (Märtens et al. 2025). Loads nothing but the embedding that is configured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from dygenept.machine.table_products import add_row, blocks, eigen, of_rows, product
from dygenept.machine.tables import empty_like, mean_row
from dygenept.plugin import BaselineSpec, hookimpl
from dygenept.types import DoubleArray, FitSize, FitWork
from dygenept_plugins.baselines._embedding_regression import (
    ALL,
    Choice,
    EmbeddingConfig,
    SpreadRegression,
    fit_bytes,
    knowledge_of,
    regression_work,
    width,
)

LENGTH_SCALES: tuple[float, ...] = (4.0, 2.0, 1.0, 0.5, 0.25)
NOISES: tuple[float, ...] = tuple(10.0 ** (step / 2) for step in range(4, -7, -1))


class GpConfig(EmbeddingConfig):
    """Options of ``gp``.

    Attributes:
        length_scale: Length scale of the kernel, in units of the median distance between known
            perturbations; None chooses one of 5 from 0.25 to 4 by leave-one-out error.
        noise: Noise variance, in units of the signal's; None chooses one of 11 from 1e-3 to 100.
    """

    length_scale: float | None = Field(default=None, gt=0)
    noise: float | None = Field(default=None, gt=0)


class GpSolver:
    """Posterior mean with k(x, x') = exp(-|x - x'|² / 2 l²)."""

    def __init__(self, features: DoubleArray) -> None:
        self._features = features
        self._distances = squared_distances(features, features)
        apart = _upper(self._distances)
        apart = apart[apart > 0]
        self._median = float(np.median(apart, overwrite_input=True)) if len(apart) else 1.0
        # Of the length scale that was asked for last.
        self._length: float | None = None
        self._fitted_length: float | None = None

    def fit(self, deltas: DoubleArray) -> None:
        """Fit to deltas, (n, G)."""
        self._mean = mean_row(deltas)
        self._deltas = deltas
        self._fitted_length = None

    def predict(self, features: DoubleArray, choice: Choice) -> DoubleArray:
        """Predict deltas, (n, D) to (n, G)."""
        self._solve(choice["length_scale"])
        kernel = self._kernel(squared_distances(features, self._features), choice["length_scale"])
        weights = kernel @ self._vectors
        weights /= self._values + choice["noise"]
        of_mean = weights @ self._ones
        predicted = add_row(product(weights, self._targets), self._mean)
        for rows in blocks(*predicted.shape):
            predicted[rows] -= np.outer(of_mean[rows], self._mean)
        return predicted

    def left_out(self, choice: Choice, *, rows: slice = ALL, columns: slice = ALL) -> DoubleArray:
        """Return leave-one-out residuals, (n, G); the mean is that of the others as well.

        [K⁻¹ (y - m)]ᵢ / [K⁻¹]ᵢᵢ with the noise in K (Rasmussen and Williams 2006, section 5.4.2).
        """
        self._solve(choice["length_scale"])
        weights = self._vectors[rows] / (self._values + choice["noise"])  # (n, n)
        n = len(self._vectors)
        # Without each, (n, G).
        means = (n * self._mean[columns] - self._deltas[rows, columns]) / max(n - 1, 1)
        means *= (weights @ self._ones)[:, None]
        residuals: DoubleArray = weights @ self._targets[:, columns] - means
        residuals /= np.einsum("ij,ij->i", weights, self._vectors[rows])[:, None]
        return residuals

    def relative_variance(self, features: DoubleArray, choice: Choice) -> DoubleArray:
        """Return the posterior variance with noise, in units of the signal's, (n, D) to (n,)."""
        self._solve(choice["length_scale"])
        distances = squared_distances(features, self._features)
        along = self._kernel(distances, choice["length_scale"]) @ self._vectors
        explained = (along**2 / (self._values + choice["noise"])).sum(axis=1)
        relative: DoubleArray = np.maximum(1.0 - explained, 0.0) + choice["noise"]
        return relative

    def left_out_variance(self, choice: Choice) -> DoubleArray:
        """Return that of each condition when it is left out, 1 / [K⁻¹]ᵢᵢ, (n,)."""
        self._solve(choice["length_scale"])
        relative: DoubleArray = 1 / (self._vectors**2 / (self._values + choice["noise"])).sum(
            axis=1
        )
        return relative

    def _solve(self, length: float) -> None:
        """Find eigenvalues and vectors of the kernel, and deltas and ones along these."""
        if length != self._length:
            # Before the next one takes their place.
            self._vectors = self._values = np.empty(0)
            self._fitted_length, self._length = None, length
            values, self._vectors = eigen(self._kernel(self._distances, length))
            self._values = np.maximum(values, 0.0)
            self._ones = self._vectors.sum(axis=0)
        if length != self._fitted_length:
            self._targets = product(self._vectors.T, self._deltas)
            self._fitted_length = length

    def _kernel(self, distances: DoubleArray, length: float) -> DoubleArray:
        kernel = np.empty(distances.shape)
        for rows in blocks(*distances.shape):
            kernel[rows] = np.exp(-distances[rows] / (2.0 * self._median * length**2))
        return kernel


def squared_distances(first: DoubleArray, second: DoubleArray) -> DoubleArray:
    """Squared Euclidean distances, (n, D) and (m, D) to (n, m), in a file where these are."""
    squares = of_rows(second, lambda part: (part**2).sum(axis=1))
    found = empty_like(first, (len(first), len(second)), np.float64)
    for rows in blocks(len(first), max(second.shape)):
        own = (first[rows] ** 2).sum(axis=1)[:, None] + squares
        found[rows] = np.maximum(own - 2.0 * first[rows] @ second.T, 0.0)
    return found


def _upper(square: DoubleArray) -> DoubleArray:
    """Copy what is above the diagonal, (n, n) to (n (n - 1) / 2,)."""
    n = len(square)
    upper = np.empty(n * (n - 1) // 2)
    done = 0
    for row in range(n - 1):
        upper[done : done + n - 1 - row] = square[row, row + 1 :]
        done += n - 1 - row
    return upper


def gp_bytes(config: GpConfig, size: FitSize) -> int:
    """Bytes of a fit: as a regression's, and distances where these are in memory."""
    more = 0 if size.in_files else size.n_known * (size.n_known + size.n_held_out)
    return fit_bytes(config, size) + 8 * more


def gp_work(config: GpConfig, size: FitSize) -> FitWork:
    """Steps of a fit: a kernel and its decomposition for each length, a product for each noise.

    The decomposition of the length that is chosen is found again.
    """
    n, m, n_genes = size.n_known, size.n_held_out, size.n_genes
    n_lengths = len(LENGTH_SCALES) if config.length_scale is None else 1
    n_noises = len(NOISES) if config.noise is None else 1
    tried = n_lengths * n_noises
    along = min(n, n_genes)
    n_kernels = n_lengths + (n_lengths > 1)
    products = n * n * (width(config, size) + n_genes) + m * n * n
    passes = 10.0 * n_kernels * n * n
    if tried > 1:
        products += (n_lengths + tried) * n * n * along
        passes += tried * (4 * n * n + 5 * n * along)
    own = FitWork(products=products, decompositions=n_kernels * n**3, passes=passes)
    return regression_work(config, size, own, tried)


class Gp(SpreadRegression[GpConfig]):
    """Gaussian process on the sum of the target genes' embeddings."""

    solver = GpSolver

    def choices(self) -> Sequence[Choice]:
        """Return the pairs to try, the smoothest first."""
        length, noise = self.config.length_scale, self.config.noise
        lengths = LENGTH_SCALES if length is None else [length]
        noises = NOISES if noise is None else [noise]
        return [{"length_scale": size, "noise": level} for level in noises for size in lengths]

    def decomposition_of(self, choice: Choice) -> float:
        """Return the length scale, which makes a kernel."""
        return choice["length_scale"]

    def default(self) -> Choice:
        """Return the median distance and a tenth of the signal's variance."""
        length, noise = self.config.length_scale, self.config.noise
        return {
            "length_scale": 1.0 if length is None else length,
            "noise": 0.1 if noise is None else noise,
        }


@hookimpl
def dygenept_baselines() -> list[BaselineSpec]:
    """Return the baseline."""
    return [
        BaselineSpec(
            name="gp",
            summary="Gaussian process from gene embeddings to deltas.",
            source="Rasmussen and Williams 2006; as in Märtens et al. 2025 (LangPert)",
            config=GpConfig,
            factory=Gp,
            knowledge=knowledge_of,
            fit_bytes=gp_bytes,
            fit_work=gp_work,
            learns_from=("cells", "effects"),
        )
    ]
