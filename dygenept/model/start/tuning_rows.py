"""Train conditions laid out for tuning facet vectors: attention sees each gene and cell pair once.

While facet vectors are tuned, cell states and facets stay as they are; only attention and the
decoder's features are computed again in each step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from dygenept.model.conditions import PADDING
from dygenept.model.network import DyGenePT
from dygenept.model.start.features import StartData, mean_shared_features
from dygenept.plugin.interfaces import FacetBatch, LinearReadout

CELLS_PER_TYPE = 2


@dataclass(frozen=True, slots=True)
class TuningRows:
    """Train conditions with the C control cells that their features are averaged over.

    Attention sees each pair of a gene and a cell once, however many conditions share it.

    Attributes:
        genes: Perturbed genes of each condition, (n, P).
        states: Cell states of each condition, (n, C, D).
        deltas: Mean changes of the conditions, (n, G), float64.
        pairs: Positions among the pairs, (n, C, P).
        shared: Direction of the features that all perturbations share, (F,); None without one.
        facets: Facets of each pair's gene without the facet vectors, (n_pairs, 1, K, D).
        pair_states: Cell state of each pair, (n_pairs, D).
    """

    genes: torch.Tensor
    states: torch.Tensor
    deltas: torch.Tensor
    pairs: torch.Tensor
    shared: torch.Tensor | None
    facets: FacetBatch
    pair_states: torch.Tensor

    @property
    def typical(self) -> torch.Tensor:
        """What the changes have in common where the decoder has a direction for it, (G,)."""
        if self.shared is None:
            return torch.zeros_like(self.deltas[0])
        weights = 1 / self.deltas.norm(dim=1).clamp(min=1e-9)
        typical: torch.Tensor = weights @ self.deltas / weights.sum()
        return typical

    def take(self, rows: torch.Tensor) -> TuningRows:
        """Return some of the conditions."""
        kept, pairs = torch.unique(self.pairs[rows], return_inverse=True)
        return TuningRows(
            genes=self.genes[rows],
            states=self.states[rows],
            deltas=self.deltas[rows],
            pairs=pairs,
            shared=self.shared,
            facets=FacetBatch(
                values=self.facets.values[kept],
                confidence=self.facets.confidence[kept],
                known=self.facets.known[kept],
                null=self.facets.null,
            ),
            pair_states=self.pair_states[kept],
        )

    def features(self, network: DyGenePT, vectors: torch.Tensor) -> torch.Tensor:
        """Return each condition's features, the mean over its cells, under facet vectors.

        Args:
            network: Its decoder has a linear readout.
            vectors: Facet vectors, (K, D).

        Returns:
            (n, F), float64; the part across the shared direction where there is one.
        """
        decoder = cast(LinearReadout, network.decoder)
        known = self.facets.known[..., None]  # (n_pairs, 1, K, 1)
        typed = (self.facets.values + vectors).masked_fill(~known, 0.0)
        facets = replace(self.facets, values=typed)
        embedding = network.attend_to(facets, self.pair_states).embedding  # (n_pairs, 1, D)
        mask = (self.genes != PADDING)[:, None, :].expand(self.pairs.shape)  # (n, C, P)
        features = decoder.readout_features(
            embedding[self.pairs, 0].flatten(0, 1),  # (n · C, P, D)
            mask.flatten(0, 1),
            self.states.flatten(0, 1),  # (n · C, D)
        )
        means = features.view(len(self.deltas), -1, features.shape[-1]).mean(dim=1).double()
        if self.shared is None:
            return means
        return means - torch.outer(means @ self.shared, self.shared)


@torch.no_grad()
def tuning_rows(
    network: DyGenePT, vectors: torch.nn.Parameter, data: StartData, rng: np.random.Generator
) -> TuningRows:
    """Draw control cells, and encode cells and facets once.

    Args:
        network: Switched to evaluation.
        vectors: The gene encoder's facet vectors, (K, D); left as they were.
        data: Train conditions and control cells.
        rng: Draws the cells.
    """
    network.eval()
    drawn = data.controls.sample(CELLS_PER_TYPE, rng)
    present, type_rows = np.unique(data.conditions.cell_types, return_inverse=True)
    encoded = []
    for cell_type in present:
        members = np.intersect1d(drawn, data.controls.members(int(cell_type)))
        # A type with fewer cells repeats them, so that every condition has as many rows.
        encoded.append(data.encode_cells(network, np.resize(members, CELLS_PER_TYPE)))
    states = torch.cat(encoded)  # (n_types · C, D)
    first = torch.from_numpy(type_rows).to(data.device)[:, None] * CELLS_PER_TYPE
    cell_rows = first + torch.arange(CELLS_PER_TYPE, device=data.device)  # (n, C)
    genes = data.conditions.gene_indices.to(data.device)  # (n, P)
    n, width = genes.shape
    shape = (n, CELLS_PER_TYPE, width)
    named = torch.stack(
        [genes[:, None, :].expand(shape), cell_rows[:, :, None].expand(shape)], dim=-1
    )  # (n, C, P, 2): gene and cell of each pair
    unique, pairs = torch.unique(named.reshape(-1, 2), dim=0, return_inverse=True)
    # With the vectors at zero the encoder returns the facets that they are added to.
    kept = vectors.clone()
    vectors.zero_()
    facets = network.encode_genes(unique[:, :1])  # (n_pairs, 1, K, D)
    vectors.copy_(kept)
    shared = mean_shared_features(network.decoder, states)
    return TuningRows(
        genes=genes,
        states=states[cell_rows],  # (n, C, D)
        deltas=data.conditions.deltas.double().to(data.device),
        pairs=pairs.view(shape),
        shared=None if shared is None else shared / shared.norm().clamp(min=1e-12),
        facets=facets,
        pair_states=states[unique[:, 1]],  # (n_pairs, D)
    )
