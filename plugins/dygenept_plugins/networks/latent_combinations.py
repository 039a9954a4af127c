"""Decodes many combinations of the same genes for ``LatentArithmetic``.

Shifts add up, and the first hidden layer and the gate are linear in their sum. So what a gene gives
there is computed once per cell; a combination adds rows, and maps its interaction, which is of low
rank. What is left per combination and cell is the nonlinear part and the output map.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from dygenept_plugins.networks.gene_interactions import (
    CombinedInteraction,
    MlpInteraction,
    PairInteraction,
    row_of,
    with_none,
)


class LatentMaps(Protocol):
    """The maps of ``LatentArithmetic`` that combinations go through."""

    shift: nn.Sequential
    interaction: PairInteraction | MlpInteraction | None
    overlap: nn.Parameter | None
    hidden: nn.Sequential
    output: nn.Linear
    gate: nn.Linear
    gate_control: nn.Parameter

    @property
    def shared_shift(self) -> torch.Tensor:
        """The shift that all genes share, (D,)."""


class LatentCombinations:
    """What U genes give, with C control cells that are fixed.

    D width, H units of the first hidden layer, L width of the interaction, m wanted output genes.
    """

    @torch.no_grad()
    def __init__(
        self,
        decoder: LatentMaps,
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
        self._interaction = CombinedInteraction(decoder.interaction, shifts)
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
            self._genes, self._shared, self._back = with_none(shifts), shared, back
        else:
            self._genes = with_none(shifts @ weights)
            self._shared, self._back = shared @ weights, back @ weights

    def __call__(self, genes: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Map the shifts of combinations, (n, P), and their interaction, (n, C, L)."""
        further = ((genes >= 0).sum(dim=1) - 1).clamp(min=0)  # (n,)
        total = row_of(self._genes, genes[:, 0]).clone()
        for place in range(1, genes.shape[1]):
            total += row_of(self._genes, genes[:, place])
        total -= (further[:, None] * self._shared)[:, None]
        if latent.shape[-1]:
            total += latent @ self._back
        if self._later is not None:
            total = total @ self._later
        return total.add_(self._of_cell)
