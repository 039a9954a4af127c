"""Lets train genes keep what was measured of them, where their codes say nothing of other genes.

Where no gene is perturbed in two train perturbations, a gene's code is of use for that gene alone.
So the start, and gradient steps after it, read no codes: they fit what genes have in common from
genes read as unseen ones are. Then the codes of train genes are read, and what was measured of each
beyond the prediction so far is added to the readout by ridge regression. All other genes keep that
prediction, the typical change.

Left-out errors say nothing of the penalty there, since what is left out is an unseen gene; it is
the smallest of those that compete, as in ``linear_loo``, and so is the result up to what features
tell apart: with more train genes than directions, a gene keeps a part of its own change alone.
"""

from __future__ import annotations

import numpy as np
import torch

from dygenept.machine.table_products import blocks
from dygenept.model.conditions import IndexArray
from dygenept.model.network import DyGenePT
from dygenept.model.prediction import predict_means
from dygenept.model.start.features import StartData, mean_features
from dygenept.model.start.left_out import Spectrum
from dygenept.plugin.interfaces import ExtendsReadout, ReadsCodesOf
from dygenept.types import DoubleArray

# Of float32, relative to the largest: directions of less are not told apart.
ROUNDING = 1e-4


def can_keep_measured(network: DyGenePT) -> bool:
    """Tell whether codes can be left unread, and the readout be added to."""
    return isinstance(network.gene_encoder, ReadsCodesOf) and isinstance(
        network.decoder, ExtendsReadout
    )


def read_no_codes(network: DyGenePT) -> None:
    """Read all genes as those that are not perturbed in training."""
    assert isinstance(network.gene_encoder, ReadsCodesOf)
    network.gene_encoder.read_codes_of(torch.empty(0, dtype=torch.int64))


@torch.no_grad()
def keep_measured(
    network: DyGenePT,
    data: StartData,
    positions: IndexArray,
    *,
    penalty: float,
    is_trained: bool = False,
) -> None:
    """Read the codes of the conditions' genes, and add what was measured of them to the readout.

    Args:
        network: One that can, which reads no codes yet.
        data: The conditions and control cells.
        positions: Cells of the pool to average over, of every cell type.
        penalty: Relative to the mean squared norm of the features.
        is_trained: It has taken gradient steps since its start.
    """
    encoder, decoder = network.gene_encoder, network.decoder
    assert isinstance(encoder, ReadsCodesOf)
    assert isinstance(decoder, ExtendsReadout)
    network.eval()
    unread = mean_features(network, data, positions, is_trained=is_trained)  # (n, F)
    genes = torch.unique(data.conditions.gene_indices)
    encoder.read_codes_of(genes[genes >= 0])
    # Gradient steps may have taught the readout features that no unread gene has.
    left = _left_over(network, data, positions)
    read = mean_features(network, data, positions, is_trained=is_trained)
    features = _across(read, unread)
    spectrum = Spectrum.of(features, data.rows())
    gain = 1 / (spectrum.values + penalty * spectrum.scale)
    weights = (features.T @ (spectrum.vectors * gain)) @ (spectrum.vectors.T @ left)  # (F, G)
    decoder.add_readout(torch.from_numpy(weights.T).float().to(data.device))


def _across(features: DoubleArray, unread: DoubleArray) -> DoubleArray:
    """Return the part of features, (n, F), that says nothing of unread genes.

    Args:
        features: Of the conditions, (n, F).
        unread: The same where no codes are read, (n, F): one direction before any step; steps may
            have told cell types and numbers of genes apart.
    """
    _, sizes, directions = np.linalg.svd(unread, full_matrices=False)
    shared = directions[sizes > ROUNDING * sizes[0]]  # (k, F)
    across: DoubleArray = features - (features @ shared.T) @ shared
    return across


def _left_over(network: DyGenePT, data: StartData, positions: IndexArray) -> DoubleArray:
    """Return what the network, as it is now, leaves of the conditions' changes, (n, G)."""
    left = data.conditions.deltas.to(torch.float64, copy=True).numpy()
    for rows in blocks(*left.shape):
        predicted = predict_means(
            network,
            gene_indices=data.conditions.gene_indices[rows],
            cell_types=data.conditions.cell_types[rows],
            controls=data.controls,
            positions=positions,
            device=data.device,
        )
        left[rows] -= predicted.deltas.double().numpy()
    return left
