"""How much facets contribute to what a fitted network predicts, beside the genes' own codes."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dygenept.model.choices import evenly
from dygenept.model.conditions import PADDING, IndexArray
from dygenept.model.network import DyGenePT
from dygenept.model.prediction import predict_means
from dygenept.model.start.features import StartData
from dygenept.plugin.interfaces import FacetBatch, LendsFacets
from dygenept.types import DoubleArray

# How often facets are dealt anew, and to how many conditions: this must cost little.
N_DEALS = 4
CONDITIONS_PER_TYPE = 64
CELLS_PER_TYPE = 4
# Smaller shares are rounding.
DECIMALS = 6


@torch.no_grad()
def facet_contribution(
    network: DyGenePT, data: StartData, positions: IndexArray
) -> dict[str, float]:
    """Measure what changes in predictions when every gene reads the facets of another one.

    Facets, and which of them are known, are dealt to other genes while each gene keeps its own
    code. Genes without a known facet take no part. The share is the total effect of Jansen 1999,
    Comput. Phys. Commun. 117:35: E[(f(code, facets) - f(code, other facets))²] / (2 var f).

    Args:
        network: In evaluation mode; left as it was.
        data: Conditions, of which at most 64 of each cell type are read, evenly spaced.
        positions: Control cells of the pool, of which at most 4 of each cell type are read.

    Returns:
        ``knowledge_share``, in [0, 1]: the share of the variance, between perturbations of a cell
        type, of the predicted mean changes that is due to facets. 0 where no facet changes a
        prediction; empty where the gene encoder cannot lend facets, fewer than two genes have any,
        or predictions have no variance.
    """
    encoder = network.gene_encoder
    if not isinstance(encoder, LendsFacets):
        return {}
    types = data.controls.cell_type_codes[positions]
    cells = np.concatenate([positions[types == code][:CELLS_PER_TYPE] for code in np.unique(types)])
    rows = evenly(data.conditions.cell_types, CONDITIONS_PER_TYPE)
    genes, cell_types = data.conditions.gene_indices[rows], data.conditions.cell_types[rows]
    borrowers = _with_facets(encoder, genes, data.device)
    if len(borrowers) < 2:
        return {}
    orders = np.random.default_rng(0).permutation(borrowers.numpy())
    predicted = [_predicted(network, data, (genes, cell_types), cells)]
    for step in range(1, min(N_DEALS + 1, len(orders))):
        lenders = torch.arange(int(genes.max()) + 1)
        lenders[torch.from_numpy(orders)] = torch.from_numpy(np.roll(orders, step))
        network.gene_encoder = Borrowing(encoder, lenders.to(data.device))
        try:
            predicted.append(_predicted(network, data, (genes, cell_types), cells))
        finally:
            network.gene_encoder = encoder
    share = _share(np.stack(predicted), cell_types)
    return {} if share is None else {"knowledge_share": share}


class Borrowing(nn.Module):
    """A gene encoder in which each gene has the facets of another one."""

    def __init__(self, encoder: LendsFacets, lenders: torch.Tensor) -> None:
        """Keep the encoder and the lender of each gene, (n_genes,)."""
        super().__init__()
        self._encoder = encoder
        self._lenders = lenders

    def forward(self, gene_indices: torch.Tensor) -> FacetBatch:
        """Encode genes, (B, P)."""
        lenders = self._lenders[gene_indices.clamp(min=0)]
        return self._encoder.with_facets_of(
            gene_indices, torch.where(gene_indices < 0, gene_indices, lenders)
        )


def _share(predicted: DoubleArray, cell_types: IndexArray) -> float | None:
    """Return the share of facets in predictions, (1 + n_deals, n, G), of which the first is own."""
    moved = variance = 0.0
    for code in np.unique(cell_types):
        mine = predicted[:, cell_types == code]
        moved += float(np.square(mine[1:] - mine[0]).sum(axis=2).mean()) / 2 * mine.shape[1]
        apart = mine - mine.mean(axis=(0, 1))
        variance += float(np.square(apart).sum(axis=2).mean()) * mine.shape[1]
    return round(min(moved / variance, 1.0), DECIMALS) if variance > 0 else None


def _predicted(
    network: DyGenePT,
    data: StartData,
    of: tuple[torch.Tensor, IndexArray],
    cells: IndexArray,
) -> DoubleArray:
    """Return the mean predicted changes of conditions, (n, G)."""
    genes, cell_types = of
    found = predict_means(
        network,
        gene_indices=genes,
        cell_types=cell_types,
        controls=data.controls,
        positions=cells,
        device=data.device,
    )
    return found.deltas.double().numpy()


def _with_facets(encoder: LendsFacets, genes: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return which of the perturbed genes have a known facet, (n_genes,)."""
    unique = torch.unique(genes)
    unique = unique[unique > PADDING]
    asked = unique[:, None].to(device)
    known = encoder.with_facets_of(asked, asked).known[:, 0].any(dim=-1)
    has_facets: torch.Tensor = unique[known.cpu()]
    return has_facets
