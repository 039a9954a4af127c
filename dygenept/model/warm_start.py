"""A closed-form start: the decoder's output map fitted by ridge regression before any step.

Fine-tuning from a fitted readout distorts the features less than from a random one (Kumar et al.
2022, arXiv:2202.10054). The penalty is that of the smallest leave-one-out error over the train
perturbations, so that nothing held out is read. So is the identity share, except that what is known
of genes counts for more than the genes themselves only where it helps by more than chance.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from dygenept.model.assembly import PADDING, DyGenePT
from dygenept.model.control_pool import ControlCells
from dygenept.model.facet_tuning import tune_facets
from dygenept.model.one_standard_error import clear_winner
from dygenept.types import DoubleArray

logger = logging.getLogger(__name__)

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
CELLS_PER_TYPE = 16
MAX_ROWS = 2048


@runtime_checkable
class LinearReadout(Protocol):
    """A decoder whose predicted change is, at the start, a linear map of features."""

    def readout_features(
        self, embedding: torch.Tensor, gene_mask: torch.Tensor, cell: torch.Tensor
    ) -> torch.Tensor:
        """Return the features, (B, F); zeros where nothing is perturbed."""
        ...

    def set_readout(self, weights: torch.Tensor) -> None:
        """Set the map, (G, F)."""
        ...


@runtime_checkable
class SharesIdentity(Protocol):
    """A gene encoder that mixes a code of the gene itself into what is known of it."""

    identity_shares: tuple[float, ...]

    def set_identity_share(self, share: float) -> None:
        """Set the share of the gene's own code, in [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class RidgeFit:
    """The best of several ridge fits.

    Attributes:
        errors: Mean squared leave-one-out error of each condition, (n,).
        penalty: Relative to the mean squared norm of the features.
        weights: (G, F).
    """

    errors: DoubleArray
    penalty: float
    weights: DoubleArray

    @property
    def error(self) -> float:
        """Mean squared leave-one-out error."""
        return float(self.errors.mean())


@torch.no_grad()
def warm_start(
    network: DyGenePT,
    *,
    gene_indices: torch.Tensor,
    cell_types: npt.NDArray[np.int64],
    deltas: torch.Tensor,
    controls: ControlCells,
    rng: np.random.Generator,
    device: torch.device,
) -> RidgeFit | None:
    """Fit the output map of a network to the mean changes of train conditions.

    Args:
        network: Its decoder is changed in place, and its gene encoder's identity share.
        gene_indices: Perturbed genes of the train conditions, (n, P).
        cell_types: Their cell types, (n,).
        deltas: Their mean changes, (n, G), log1p units.
        controls: The pool that the cell encoder was prepared with.
        rng: Draws the control cells that features are averaged over.
        device: Where the network is.

    Returns:
        The fit, or None for a decoder without a linear readout, which keeps its first weights.
    """
    decoder = network.decoder
    if not isinstance(decoder, LinearReadout):
        logger.info("decoder %s has no linear readout; no warm start", type(decoder).__name__)
        return None
    network.eval()
    positions = controls.sample(CELLS_PER_TYPE, rng)

    def fit() -> RidgeFit:
        return _fit_with_best_share(
            network,
            gene_indices=gene_indices,
            cell_types=cell_types,
            targets=deltas.double().numpy(),
            controls=controls,
            positions=positions,
            device=device,
        )

    best = fit()
    with torch.enable_grad():
        n_steps = tune_facets(
            network,
            gene_indices=gene_indices,
            cell_types=cell_types,
            deltas=deltas,
            controls=controls,
            rng=rng,
            device=device,
        )
    if n_steps:
        best = fit()
    decoder.set_readout(torch.from_numpy(best.weights).float().to(device))
    return best


def _fit_with_best_share(
    network: DyGenePT,
    *,
    gene_indices: torch.Tensor,
    cell_types: npt.NDArray[np.int64],
    targets: DoubleArray,
    controls: ControlCells,
    positions: npt.NDArray[np.int64],
    device: torch.device,
) -> RidgeFit:
    """Fit the readout, and leave the gene encoder at the identity share that fits best."""
    encoder = network.gene_encoder
    shares = encoder.identity_shares if isinstance(encoder, SharesIdentity) else (0.0,)
    fits = []
    for share in shares:
        if isinstance(encoder, SharesIdentity):
            encoder.set_identity_share(share)
        features = mean_features(
            network,
            gene_indices=gene_indices,
            cell_types=cell_types,
            controls=controls,
            positions=positions,
            device=device,
        )
        fits.append(fit_ridge(features, targets))
    # The genes' own codes are the reference; texts must beat them by more than chance.
    errors = np.stack([fit.errors for fit in fits], axis=1)
    chosen = clear_winner(errors, reference=int(np.argmax(shares)))
    if isinstance(encoder, SharesIdentity):
        encoder.set_identity_share(shares[chosen])
    logger.debug("readout: penalty %g, identity share %g", fits[chosen].penalty, shares[chosen])
    return fits[chosen]


@torch.no_grad()
def mean_features(
    network: DyGenePT,
    *,
    gene_indices: torch.Tensor,
    cell_types: npt.NDArray[np.int64],
    controls: ControlCells,
    positions: npt.NDArray[np.int64],
    device: torch.device,
) -> DoubleArray:
    """Average the readout's features over control cells of each condition's cell type, (n, F)."""
    decoder = network.decoder
    assert isinstance(decoder, LinearReadout)
    parts: dict[int, npt.NDArray[np.float64]] = {}
    for cell_type in np.unique(cell_types):
        cells = np.intersect1d(positions, controls.members(int(cell_type)))
        states = network.encode_cells(torch.from_numpy(cells).to(device))
        chosen = np.flatnonzero(cell_types == cell_type)
        size = max(1, MAX_ROWS // len(cells))
        for start in range(0, len(chosen), size):
            rows = chosen[start : start + size]
            genes = gene_indices[torch.from_numpy(rows)].to(device)
            genes = genes.repeat_interleave(len(cells), dim=0)
            repeated = states.repeat(len(rows), 1)
            embedding = network.attend(genes, repeated).embedding
            features = decoder.readout_features(embedding, genes != PADDING, repeated)
            means = features.view(len(rows), len(cells), -1).mean(dim=1).double().cpu().numpy()
            parts |= dict(zip(rows.tolist(), means, strict=True))
    return np.stack([parts[row] for row in range(len(cell_types))])


def fit_ridge(features: DoubleArray, targets: DoubleArray) -> RidgeFit:
    """Fit ridge regression without intercept and choose its penalty.

    Args:
        features: (n, F).
        targets: (n, G).

    Returns:
        The fit with the smallest exact leave-one-out error among ``PENALTIES``.
    """
    scale = max(float(np.square(features).sum(axis=1).mean()), 1e-12)
    left, values, right = np.linalg.svd(features, full_matrices=False)
    projected = left.T @ targets  # (r, G)
    gram = targets @ targets.T
    best: tuple[DoubleArray, float] | None = None
    for penalty in PENALTIES:
        shrink = values**2 / (values**2 + penalty * scale)
        hat = (left * shrink) @ left.T  # (n, n)
        # Row i of ``out`` times the targets is condition i's error when it is left out.
        out = (np.eye(len(hat)) - hat) / np.maximum(1 - np.diag(hat), 1e-9)[:, None]
        errors = np.einsum("ij,ij->i", out @ gram, out) / targets.shape[1]
        if best is None or errors.mean() < best[0].mean():
            best = (errors, penalty)
    assert best is not None
    gain = values / (values**2 + best[1] * scale)
    weights = ((right.T * gain) @ projected).T  # (G, F)
    return RidgeFit(errors=best[0], penalty=best[1], weights=weights)
