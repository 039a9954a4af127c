"""Decodes many combinations of the same genes for ``LatentArithmetic``.

Shifts add up, and the first hidden layer and the gate are linear in their sum. So what a gene gives
there is computed once per cell; a combination adds rows, and maps its interaction, which is of low
rank. What is left per combination and cell is the nonlinear part and the output map.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import nn

from dygenept_plugins.networks.latent_arithmetic import (
    LatentArithmetic,
    PairInteraction,
    PairNetwork,
)


class LatentCombinations:
    """What U genes give, with C control cells that are fixed.

    D width, H units of the first hidden layer, L width of the interaction, m wanted output genes.
    """

    @torch.no_grad()
    def __init__(
        self,
        decoder: LatentArithmetic,
        embedding: torch.Tensor,
        cell: torch.Tensor,
        control: torch.Tensor,
        columns: torch.Tensor | None,
    ) -> None:
        """Compute it; arguments are those of ``CombinesGenes.combining``."""
        wanted = slice(None) if columns is None else columns
        first, *rest = list(decoder.hidden)
        assert isinstance(first, nn.Linear)
        self._rest = nn.Sequential(*rest)
        self._output = decoder.output.weight[wanted].T.contiguous()
        shifts = decoder.shift(embedding.float()).transpose(0, 1).contiguous()  # (U, C, D)
        shared = decoder.shared_shift * (0.0 if decoder.overlap is None else decoder.overlap)
        self._interaction = _Interaction(decoder.interaction, shifts)
        # Hidden units read [shifted state, control state].
        to_hidden = first.weight[:, : cell.shape[-1]].T  # (D, H)
        same = first(torch.cat([cell, cell], dim=-1))  # (C, H)
        self._unmoved = self._rest(same)
        self._hidden = _LinearMap(shifts, shared, self._interaction.back, to_hidden, same)
        gate = decoder.gate(cell) + decoder.gate_control * control  # (C, G)
        to_gate = decoder.gate.weight[wanted].T  # (D, m)
        self._gate = _LinearMap(shifts, shared, self._interaction.back, to_gate, gate[:, wanted])

    @torch.no_grad()
    def __call__(self, genes: torch.Tensor) -> torch.Tensor:
        """Return the changes, summed over cells: (n, P) positions of genes to (n, m)."""
        latent = self._interaction(genes)  # (n, C, L)
        moved = self._rest(self._hidden(genes, latent)).sub_(self._unmoved)
        changes = moved @ self._output  # (n, C, m)
        gate = self._gate(genes, latent).sigmoid_()
        summed: torch.Tensor = changes.mul_(gate).sum(dim=1)
        # As in ``forward``, rounding must not move the control where nothing is perturbed.
        return summed.masked_fill_((genes < 0).all(dim=1, keepdim=True), 0.0)


class _LinearMap:
    """A linear map of the combined shift, plus what each cell has of its own."""

    def __init__(
        self,
        shifts: torch.Tensor,
        shared: torch.Tensor,
        back: torch.Tensor,
        weights: torch.Tensor,
        of_cell: torch.Tensor,
    ) -> None:
        """Map each gene's shift, (U, C, D), by weights, (D, m).

        Args:
            shifts: Shifts of genes.
            shared: The shift that counts once, however many genes there are, (D,).
            back: From the interaction to a shift, (L, D).
            weights: The map.
            of_cell: What is added for each cell, (C, m).
        """
        # A map to more than it reads is not kept per gene.
        self._later = weights if weights.shape[1] > 2 * weights.shape[0] else None
        self._of_cell = of_cell
        if self._later is not None:
            self._genes, self._shared, self._back = _with_none(shifts), shared, back
        else:
            self._genes = _with_none(shifts @ weights)
            self._shared, self._back = shared @ weights, back @ weights

    def __call__(self, genes: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Map the shifts of combinations, (n, P), and their interaction, (n, C, L)."""
        further = ((genes >= 0).sum(dim=1) - 1).clamp(min=0)  # (n,)
        total = _row(self._genes, genes[:, 0]).clone()
        for place in range(1, genes.shape[1]):
            total += _row(self._genes, genes[:, place])
        total -= (further[:, None] * self._shared)[:, None]
        if latent.shape[-1]:
            total += latent @ self._back
        if self._later is not None:
            total = total @ self._later
        return total.add_(self._of_cell)


class _Interaction:
    """The interaction of combinations before it is mapped back to a shift."""

    def __init__(
        self, interaction: PairInteraction | PairNetwork | None, shifts: torch.Tensor
    ) -> None:
        """Compute factors of each gene, (U, C, D) to (U, C, L)."""
        width = shifts.shape[-1]
        self._network: PairNetwork | None = None
        if isinstance(interaction, PairNetwork):
            self._network = interaction
            factors, self.back = shifts, torch.eye(width, device=shifts.device)
        elif isinstance(interaction, PairInteraction):
            factors, self.back = interaction.down(shifts), interaction.up.weight.T
        else:
            factors, self.back = shifts[..., :0], shifts.new_zeros(0, width)
        self._factors = _with_none(factors)

    def __call__(self, genes: torch.Tensor) -> torch.Tensor:
        """Sum over the pairs of each combination, (n, P) to (n, C, L)."""
        rows = [_row(self._factors, genes[:, place]) for place in range(genes.shape[1])]
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


def _with_none(values: torch.Tensor) -> torch.Tensor:
    """Add a row of zeros for no gene, (U, …) to (U + 1, …)."""
    return torch.cat([values, values.new_zeros(1, *values.shape[1:])])


def _row(values: torch.Tensor, genes: torch.Tensor) -> torch.Tensor:
    """Take rows; -1 is the last one."""
    return values.index_select(0, torch.where(genes < 0, len(values) - 1, genes))
