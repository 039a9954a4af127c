"""Gaussian process from gene embeddings to deltas: Gaussian kernel, mean of the train deltas.

All output genes share one kernel, so the posterior mean is closed-form: one eigendecomposition
per length scale. Source: Rasmussen and Williams 2006, section 2.2; on gene embeddings as in
LangPert (Märtens et al. 2025). Loads nothing but the embedding that is configured.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from dygenept.plugin import BaselineSpec, hookimpl
from dygenept.types import DoubleArray, FitSize
from dygenept_plugins.baselines._embedding_regression import (
    Choice,
    EmbeddingConfig,
    SpreadRegression,
    fit_bytes,
    knowledge_of,
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

    def __init__(self, features: DoubleArray, deltas: DoubleArray) -> None:
        self._features = features
        self._mean = deltas.mean(axis=0)
        self._deltas = deltas
        self._distances = squared_distances(features, features)
        apart = self._distances[np.triu_indices(len(features), k=1)]
        apart = apart[apart > 0]
        self._median = float(np.median(apart)) if len(apart) else 1.0
        self._known: dict[float, tuple[DoubleArray, DoubleArray, DoubleArray, DoubleArray]] = {}

    def predict(self, features: DoubleArray, choice: Choice) -> DoubleArray:
        """Predict deltas, (n, D) to (n, G)."""
        values, vectors, targets, ones = self._solved(choice["length_scale"])
        kernel = self._kernel(squared_distances(features, self._features), choice["length_scale"])
        weights = kernel @ vectors / (values + choice["noise"])
        predicted: DoubleArray = (
            self._mean + weights @ targets - np.outer(weights @ ones, self._mean)
        )
        return predicted

    def left_out(self, choice: Choice) -> DoubleArray:
        """Return leave-one-out residuals, (n, G); the mean is that of the others as well.

        [K⁻¹ (y - m)]ᵢ / [K⁻¹]ᵢᵢ with the noise in K (Rasmussen and Williams 2006, section 5.4.2).
        """
        values, vectors, targets, ones = self._solved(choice["length_scale"])
        weights = vectors / (values + choice["noise"])  # (n, n)
        n = len(weights)
        means = (n * self._mean - self._deltas) / max(n - 1, 1)  # (n, G), without each
        left = weights @ targets - (weights @ ones)[:, None] * means
        residuals: DoubleArray = left / np.einsum("ij,ij->i", weights, vectors)[:, None]
        return residuals

    def relative_variance(self, features: DoubleArray, choice: Choice) -> DoubleArray:
        """Return the posterior variance with noise, in units of the signal's, (n, D) to (n,)."""
        values, vectors, _, _ = self._solved(choice["length_scale"])
        distances = squared_distances(features, self._features)
        along = self._kernel(distances, choice["length_scale"]) @ vectors
        explained = (along**2 / (values + choice["noise"])).sum(axis=1)
        relative: DoubleArray = np.maximum(1.0 - explained, 0.0) + choice["noise"]
        return relative

    def left_out_variance(self, choice: Choice) -> DoubleArray:
        """Return that of each condition when it is left out, 1 / [K⁻¹]ᵢᵢ, (n,)."""
        values, vectors, _, _ = self._solved(choice["length_scale"])
        relative: DoubleArray = 1 / (vectors**2 / (values + choice["noise"])).sum(axis=1)
        return relative

    def _solved(self, length: float) -> tuple[DoubleArray, DoubleArray, DoubleArray, DoubleArray]:
        """Return eigenvalues and vectors of the kernel, and deltas and ones along these."""
        if length not in self._known:
            values, vectors = np.linalg.eigh(self._kernel(self._distances, length))
            self._known[length] = (
                np.maximum(values, 0.0),
                vectors,
                vectors.T @ self._deltas,
                vectors.sum(axis=0),
            )
        return self._known[length]

    def _kernel(self, distances: DoubleArray, length: float) -> DoubleArray:
        kernel: DoubleArray = np.exp(-distances / (2.0 * self._median * length**2))
        return kernel


def gp_bytes(config: GpConfig, size: FitSize) -> int:
    """Bytes of a fit: distances, and the kernel's vectors and targets of each length scale."""
    return fit_bytes(config, size) + 8 * (2 * len(LENGTH_SCALES) + 2) * size.n_known**2


def squared_distances(first: DoubleArray, second: DoubleArray) -> DoubleArray:
    """Squared Euclidean distances, (n, D) and (m, D) to (n, m)."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)
    distances: DoubleArray = np.maximum(squares - 2.0 * first @ second.T, 0.0)
    return distances


class Gp(SpreadRegression[GpConfig]):
    """Gaussian process on the sum of the target genes' embeddings."""

    solver = GpSolver

    def choices(self) -> Sequence[Choice]:
        """Return the pairs to try, the smoothest first."""
        length, noise = self.config.length_scale, self.config.noise
        lengths = LENGTH_SCALES if length is None else [length]
        noises = NOISES if noise is None else [noise]
        return [{"length_scale": size, "noise": level} for level in noises for size in lengths]

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
            learns_from=("cells", "effects"),
        )
    ]
