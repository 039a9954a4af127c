"""Train conditions laid out for tuning facet vectors: attention sees each gene and cell pair once.

While facet vectors are tuned, cell states and facets stay as they are; only attention and the
decoder's features are computed again in each step. All errors are sums of squares over genes, which
the inner products of the changes tell as well as the changes do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from dygenept.model.conditions import PADDING
from dygenept.model.network import DyGenePT, shared_facets
from dygenept.model.start.features import Features, StartData, mean_shared_features
from dygenept.model.start.left_out import MANY_PERTURBATIONS, Targets
from dygenept.model.start.typical import IndexArray, Rows, TypicalChange
from dygenept.plugin.interfaces import AttentionOutput, FacetBatch
from dygenept.types import DoubleArray

# Of many perturbations one cell of each type is enough, at half the work per step.
CELLS_PER_TYPE = 2


@dataclass(frozen=True, slots=True)
class TuningTargets:
    """What tuning predicts.

    Attributes:
        targets: Mean changes of the conditions.
        prior: Of the typical change (see ``TypicalChange``).
    """

    targets: Targets
    prior: float


@dataclass(frozen=True, slots=True)
class TuningRows:
    """Train conditions with the C control cells that their features are averaged over.

    Attention sees each pair of a gene and a cell once, however many conditions share it.

    Attributes:
        genes: Perturbed genes of each condition, (n, P).
        deltas: Mean changes of the conditions, (n, G), float64; of many perturbations their
            coordinates, (n, c), whose squares and products are the same.
        n_genes: G.
        divisors: What each change is divided by in the typical change, (n,).
        rows: Which perturbation and cell type each condition is.
        prior: Of the typical change (see ``TypicalChange``).
        gene_rows: Positions of the perturbed genes among the facets, (n, P).
        cell_rows: Positions of each condition's cells among the states, (n, C).
        shared: Direction of the features that all perturbations share, (F,); None without one.
        facets: Facets of each gene without the facet vectors, (U, 1, K, D).
        states: Cell states, (n_types · C, D).
        reader: From embeddings to features.
    """

    genes: torch.Tensor
    deltas: torch.Tensor
    n_genes: int
    divisors: DoubleArray
    rows: Rows
    prior: float
    gene_rows: torch.Tensor
    cell_rows: torch.Tensor
    shared: torch.Tensor | None
    facets: FacetBatch
    states: torch.Tensor
    reader: Features

    def typical(self, cell_types: IndexArray) -> torch.Tensor:
        """Return what the changes have in common in cell types, (m,) to (m, G).

        Zeros where the decoder has no direction for it.
        """
        deltas = self.deltas.cpu().numpy()
        if self.shared is None:
            return self.deltas.new_zeros(len(cell_types), deltas.shape[1])
        change = TypicalChange(deltas, np.ones(len(deltas)), self.divisors, self.rows)
        return torch.from_numpy(change.whole(self.prior)[cell_types]).to(self.deltas.device)

    def left(self) -> torch.Tensor:
        """Return what the typical change leaves of the changes, (n, G)."""
        return self.deltas - self.typical(self.rows.cell_types)

    def take(self, positions: IndexArray) -> TuningRows:
        """Return some of the conditions."""
        at = torch.from_numpy(positions).to(self.genes.device)
        kept, gene_rows = torch.unique(self.gene_rows[at], return_inverse=True)
        read = self.facets.read
        _, numbers = np.unique(self.rows.perturbations[positions], return_inverse=True)
        types = self.rows.cell_types[positions]
        return replace(
            self,
            genes=self.genes[at],
            deltas=self.deltas[at],
            divisors=self.divisors[positions],
            rows=Rows(numbers.reshape(-1), types, self.rows.n_types),
            gene_rows=gene_rows,
            cell_rows=self.cell_rows[at],
            facets=FacetBatch(
                values=self.facets.values[kept],
                confidence=self.facets.confidence[kept],
                known=self.facets.known[kept],
                null=self.facets.null,
                read=None if read is None else read[kept],
            ),
        )

    @torch.no_grad()
    def read_anew(self, network: DyGenePT, vectors: torch.Tensor, prior: float) -> TuningRows:
        """Return the same conditions and cells with facets as the gene encoder gives them now."""
        genes = torch.unique(self.genes)
        return replace(self, facets=_facets(network, vectors, genes), prior=prior)

    def features(self, network: DyGenePT) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return what finds each condition's features, the mean over its cells.

        Args:
            network: Its decoder has a linear readout.

        Returns:
            From facet vectors, (K, D), to features, (n, F), float64, or float32 where perturbations
            are many; the part across the shared direction where there is one.
        """
        attend = network.attend_adding(shared_facets(self.facets, len(self.states)), self.states)
        return lambda vectors: self._features_of(attend(vectors))

    def _features_of(self, attended: AttentionOutput) -> torch.Tensor:
        embedding = attended.embedding  # (n_types · C, U, D)
        each = embedding[self.cell_rows[:, :, None], self.gene_rows[:, None, :]]  # (n, C, P, D)
        is_gene = self.genes != PADDING  # (n, P)
        means = self.reader.means(each, is_gene, self.states[self.cell_rows])
        if self.rows.n_perturbations < MANY_PERTURBATIONS:
            means = means.double()
        if self.shared is None:
            return means
        shared = self.shared.to(means)
        return means - torch.outer(means @ shared, shared)


@torch.no_grad()
def tuning_rows(
    network: DyGenePT,
    vectors: torch.Tensor,
    data: StartData,
    of: TuningTargets,
    rng: np.random.Generator,
) -> TuningRows:
    """Draw control cells, and encode cells and facets once.

    Args:
        network: Switched to evaluation.
        vectors: The gene encoder's facet vectors, (K, D), left as they were; others change nothing.
        data: Train conditions and control cells.
        of: What is predicted of the conditions.
        rng: Draws the cells.
    """
    network.eval()
    rows = of.targets.rows
    has_many = rows.n_perturbations >= MANY_PERTURBATIONS
    n_cells = 1 if has_many else CELLS_PER_TYPE
    drawn = data.controls.sample(n_cells, rng)
    present, type_rows = np.unique(data.conditions.cell_types, return_inverse=True)
    encoded = []
    for cell_type in present:
        members = np.intersect1d(drawn, data.controls.members(int(cell_type)))
        # A type with fewer cells repeats them, so that every condition has as many rows.
        encoded.append(data.encode_cells(network, np.resize(members, n_cells)))
    states = torch.cat(encoded)  # (n_types · C, D)
    first = torch.from_numpy(type_rows).to(data.device)[:, None] * n_cells
    genes = data.conditions.gene_indices.to(data.device)  # (n, P)
    unique, gene_rows = torch.unique(genes, return_inverse=True)
    facets = _facets(network, vectors, unique)
    shared = mean_shared_features(network.decoder, states)
    deltas = of.targets.coordinates if has_many else of.targets.values
    return TuningRows(
        genes=genes,
        deltas=torch.from_numpy(deltas).to(data.device),
        n_genes=of.targets.values.shape[1],
        divisors=of.targets.weighing.divisors,
        rows=rows,
        prior=of.prior,
        gene_rows=gene_rows,
        cell_rows=first + torch.arange(n_cells, device=data.device),  # (n, C)
        shared=None if shared is None else shared / shared.norm().clamp(min=1e-12),
        facets=facets,
        states=states,
        reader=Features.of(network.decoder, states[0], genes.shape[1]),
    )


def _facets(network: DyGenePT, vectors: torch.Tensor, genes: torch.Tensor) -> FacetBatch:
    """Return what facet vectors are added to, of genes (U,): (U, 1, K, D)."""
    # With the vectors at zero the encoder returns the facets that they are added to.
    kept = vectors.clone()
    vectors.zero_()
    facets = network.encode_genes(genes[:, None])
    vectors.copy_(kept)
    return facets
