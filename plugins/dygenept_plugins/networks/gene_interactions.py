"""How the shifts of perturbed genes interact in the latent space, by pairs of genes."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import nn


class PairInteraction(nn.Module):
    """Sum over pairs of genes of u_p ⊙ u_q, mapped back to the latent space.

    Symmetric in the genes, defined for any number of them, exactly zero for none or one, and zero
    where the shifts are.
    """

    def __init__(self, *, width: int, rank: int) -> None:
        """Build both maps; the second starts at zero, and so does the interaction."""
        super().__init__()
        self.down = nn.Linear(width, rank, bias=False)
        self.up = nn.Linear(rank, width, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, shifts: torch.Tensor, gene_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Interact, (B, P, D) to (B, D); padding's shifts are zeros and take no part unmasked."""
        factors = self.down(shifts)  # (B, P, R)
        with torch.autocast(shifts.device.type, enabled=False):
            # Products in low precision would not cancel for a single gene.
            wide = factors.to(torch.promote_types(factors.dtype, torch.float32))
            pairs = (wide.sum(dim=1).square() - wide.square().sum(dim=1)) / 2  # (B, R)
        mapped: torch.Tensor = self.up(pairs.to(factors.dtype))
        return mapped


class MlpInteraction(nn.Module):
    """Sum over pairs of genes of a network of both shifts, averaged over their two orders.

    Symmetric in the genes, defined for any number of them, and exactly zero for none or one.
    """

    def __init__(self, width: int) -> None:
        """Build the network, 2 D to D, with torch's first weights."""
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, shifts: torch.Tensor, gene_mask: torch.Tensor) -> torch.Tensor:
        """Interact, (B, P, D) to (B, D); pairs with padding, (B, P), take no part."""
        total = torch.zeros_like(shifts[:, 0])
        for one, other in combinations(range(shifts.shape[1]), 2):
            both = torch.cat([shifts[:, one], shifts[:, other]], dim=-1)
            swapped = torch.cat([shifts[:, other], shifts[:, one]], dim=-1)
            mapped = (self.layers(both) + self.layers(swapped)) / 2
            is_pair = gene_mask[:, one] & gene_mask[:, other]
            total = total + mapped.masked_fill(~is_pair[:, None], 0.0)
        return total


class CombinedInteraction:
    """The interaction of combinations before it is mapped back to a shift."""

    def __init__(
        self, interaction: PairInteraction | MlpInteraction | None, shifts: torch.Tensor
    ) -> None:
        """Compute factors of each gene, (U, C, D) to (U, C, L)."""
        width = shifts.shape[-1]
        self._network: MlpInteraction | None = None
        if isinstance(interaction, MlpInteraction):
            self._network = interaction
            factors, self.back = shifts, torch.eye(width, device=shifts.device)
        elif isinstance(interaction, PairInteraction):
            factors, self.back = interaction.down(shifts), interaction.up.weight.T
        else:
            factors, self.back = shifts[..., :0], shifts.new_zeros(0, width)
        self._factors = with_none(factors)

    def __call__(self, genes: torch.Tensor) -> torch.Tensor:
        """Sum over the pairs of each combination, (n, P) to (n, C, L)."""
        rows = [row_of(self._factors, genes[:, place]) for place in range(genes.shape[1])]
        total = torch.zeros_like(rows[0])
        for one, other in combinations(range(len(rows)), 2):
            if self._network is None:
                total += rows[one] * rows[other]
                continue
            both = torch.cat([rows[one], rows[other]], dim=-1)
            swapped = torch.cat([rows[other], rows[one]], dim=-1)
            mapped = (self._network.layers(both) + self._network.layers(swapped)) / 2
            is_pair = (genes[:, one] >= 0) & (genes[:, other] >= 0)
            total += mapped * is_pair[:, None, None]
        return total


def with_none(values: torch.Tensor) -> torch.Tensor:
    """Add a row of zeros for no gene, (U, …) to (U + 1, …)."""
    return torch.cat([values, values.new_zeros(1, *values.shape[1:])])


def row_of(values: torch.Tensor, genes: torch.Tensor) -> torch.Tensor:
    """Take rows; -1 is the last one."""
    return values.index_select(0, torch.where(genes < 0, len(values) - 1, genes))
