"""Train perturbations held out of facet tuning, and how well the others predict them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from dygenept.model.network import DyGenePT
from dygenept.model.start.beyond_chance import ROUNDING
from dygenept.model.start.readout import PENALTIES
from dygenept.model.start.tuning_rows import TuningRows
from dygenept.model.start.typical import Rows
from dygenept.types import DoubleArray


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Conditions held out of tuning, to be predicted from the others.

    With T what the typical change t leaves of the others' changes, and h what it leaves of these,
    predictions are t plus a linear combination of T: inner products tell all that is asked.

    Attributes:
        features: From facet vectors to their features, (m, F).
        rows: What they are.
        n_genes: G.
        across: T·hᵀ, (n, m).
        along: T·tᵀ, (n, m).
        products: h·h, t·t and t·h of each, (3, m).
    """

    features: Callable[[torch.Tensor], torch.Tensor]
    rows: Rows
    n_genes: int
    across: torch.Tensor
    along: torch.Tensor
    products: torch.Tensor

    @classmethod
    def of(
        cls, network: DyGenePT, rows: TuningRows, held: TuningRows, left: torch.Tensor
    ) -> HeldOut:
        """Lay out what every checkpoint shares; ``left`` is what is fitted, T, (n, G)."""
        typical = rows.typical(held.rows.cell_types)  # (m, G)
        return cls.predicting(
            held.features(network), held.rows, rows.n_genes, (left, held.deltas, typical)
        )

    @classmethod
    def predicting(
        cls,
        features: Callable[[torch.Tensor], torch.Tensor],
        rows: Rows,
        n_genes: int,
        of: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    ) -> HeldOut:
        """Multiply.

        Args:
            features: See the attributes.
            rows: See the attributes.
            n_genes: See the attributes.
            of: T, (n, c), the held-out changes, (m, c), and their typical change, (m, c).
        """
        left, deltas, typical = of
        wanted = deltas - typical
        pairs = ((wanted, wanted), (typical, typical), (typical, wanted))
        products = torch.stack([(one * other).sum(dim=1) for one, other in pairs])
        return cls(features, rows, n_genes, left @ wanted.T, left @ typical.T, products)

    def scores(
        self, fitted: torch.Tensor, vectors: torch.Tensor, inner: torch.Tensor
    ) -> DoubleArray:
        """Score the predictions of each held-out perturbation under each of ``PENALTIES``.

        Args:
            fitted: Features of the conditions that are fitted, (n, F).
            vectors: Facet vectors.
            inner: T·Tᵀ of the fitted targets, (n, n).

        Returns:
            Mean squared errors, and cosines between predicted and true change (0 where either is
            zero), (2, n_held, n_penalties).
        """
        left, roots, right = torch.linalg.svd(fitted, full_matrices=False)
        others = self.features(vectors).to(fitted) @ right.T  # (m, r)
        scale = mean_size(fitted)
        seen = left.T @ inner @ left  # (r, r)
        across, along = left.T @ self.across, left.T @ self.along  # (r, m)
        own, common, both = self.products
        true = (own + 2 * both + common).clamp(min=0)
        errors, cosines = [], []
        for penalty in PENALTIES:
            shares = others * (roots / (roots.square() + penalty * scale))  # (m, r)
            explained = ((shares @ seen) * shares).sum(dim=1)
            with_own = (shares * across.T).sum(dim=1)
            with_common = (shares * along.T).sum(dim=1)
            squares = (explained - 2 * with_own + own).clamp(min=0) / self.n_genes
            predicted = (common + 2 * with_common + explained).clamp(min=0)
            product = common + both + with_common + with_own
            cosine = product / (predicted * true).sqrt().clamp(min=1e-12)
            # Of a change of zero nothing but rounding is left in the product.
            cosine = cosine.masked_fill(true <= ROUNDING * (own + common), 0.0)
            errors.append(self.rows.mean(squares.cpu().numpy()))
            cosines.append(self.rows.mean(cosine.cpu().numpy()))
        return np.stack([np.stack(errors, axis=1), np.stack(cosines, axis=1)])


def mean_size(features: torch.Tensor) -> torch.Tensor:
    """Return the mean squared norm of features, (n, F)."""
    return features.square().sum(dim=1).mean().clamp(min=1e-12)
