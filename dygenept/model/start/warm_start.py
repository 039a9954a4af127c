"""A closed-form start: the decoder's output map fitted to train changes before any step.

Fine-tuning from a fitted readout distorts the features less than from a random one (Kumar et al.
2022, arXiv:2202.10054). Choices are made by leave-one-out error over the train perturbations, so
that nothing held out is read. So is the identity share, except that what is known of genes counts
for more than the genes themselves only where it helps by more than chance.
"""

from __future__ import annotations

import logging
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from dygenept.model.assembly import PADDING, DyGenePT
from dygenept.model.control_pool import ControlCells
from dygenept.model.start.clear_winner import clear_winner
from dygenept.model.start.facet_tuning import tune_facets
from dygenept.model.start.linear_readout import LinearReadout, Readout, SharesShift, fit_readout
from dygenept.types import DoubleArray

logger = logging.getLogger(__name__)

CELLS_PER_TYPE = 16
MAX_ROWS = 2048


@runtime_checkable
class SharesIdentity(Protocol):
    """A gene encoder that mixes a code of the gene itself into what is known of it."""

    identity_shares: tuple[float, ...]

    def set_identity_share(self, share: float) -> None:
        """Set the share of the gene's own code, in [0, 1]."""
        ...


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
) -> Readout | None:
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

    def fit() -> Readout:
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
) -> Readout:
    """Fit the readout, and leave the gene encoder at the identity share that fits best."""
    encoder = network.gene_encoder
    shares = encoder.identity_shares if isinstance(encoder, SharesIdentity) else (0.0,)
    shared = None
    if isinstance(network.decoder, SharesShift):
        states = network.encode_cells(torch.from_numpy(positions).to(device))
        shared = network.decoder.shared_features(states).mean(dim=0).double().cpu().numpy()
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
        fits.append(fit_readout(features, targets, shared=shared))
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
