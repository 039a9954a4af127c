"""Decoder that adds up the shifts of perturbed genes in a latent space.

``LatentCombinations`` decodes many combinations of the same genes. Shifts add up, and the first
hidden layer and the gate are linear in their sum. So what a gene gives there is computed once per
cell; a combination adds rows, and maps its interaction, which is of low rank. What is left per
combination and cell is the nonlinear part and the output map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from dygenept_plugins.networks.gene_interactions import (
    CombinedInteraction,
    MlpInteraction,
    PairInteraction,
    row_of,
    with_none,
)
from dygenept_plugins.networks.linear_start import between_pairs, orthogonal, pair_units, read_pairs


class LatentArithmetic(nn.Module):
    """Shifts the cell state by the perturbed genes and decodes the difference.

    ŷ = control + gate ⊙ Δ, where Δ is a bias-free linear map of h([z_pred, z_ctrl]) −
    h([z_ctrl, z_ctrl]). With no shift both terms are the same computation, so ŷ is the control
    exactly.
    """

    def __init__(
        self,
        *,
        width: int,
        n_genes: int,
        hidden_dims: Sequence[int] = (512, 256),
        dropout: float = 0.1,
        interaction_rank: int = 64,
        interaction: Literal["pairs", "mlp"] = "pairs",
    ) -> None:
        """Build the shift network, the interaction and the output network, D to G.

        ``hidden_dims`` are the output network's, at least one. ``dropout`` acts on the shift
        network's hidden layer and before the output map. An ``interaction_rank`` of 0 leaves out
        all interaction, so that combinations are additive in the latent space. ``interaction``
        chooses between ``PairInteraction`` and ``MlpInteraction``.
        """
        super().__init__()
        self.shift = nn.Sequential(
            nn.Linear(width, hidden_dims[0]),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dims[0], width),
        )
        self.interaction: PairInteraction | MlpInteraction | None = None
        self.overlap: nn.Parameter | None = None
        if interaction_rank and interaction == "mlp":
            self.interaction = MlpInteraction(width)
        elif interaction_rank:
            self.interaction = PairInteraction(width=width, rank=interaction_rank)
            # How far further genes add nothing to the shift that all genes share.
            self.overlap = nn.Parameter(torch.ones(()))
        layers: list[nn.Module] = []
        for n_in, n_out in zip((2 * width, *hidden_dims), hidden_dims, strict=False):
            layers += [nn.Linear(n_in, n_out), nn.GELU()]
        self.hidden = nn.Sequential(*layers)
        # Dropout acts on the difference: inside ``hidden`` its two draws would break Δ = 0.
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_dims[-1], n_genes, bias=False)
        self.gate = nn.Linear(width, n_genes)
        self.gate_control = nn.Parameter(torch.zeros(n_genes))
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """Start linear: a gene's own shifts add up, and the gate is 1/2 everywhere."""
        first, last = linear_layers(self.shift)
        width, n_hidden = first.in_features, first.out_features // 2
        pair_units(first, orthogonal(n_hidden, width))
        shared = functional.normalize(torch.randn(width), dim=0)
        own = orthogonal(width, n_hidden)
        # What is a gene's own says nothing along what all share.
        read_pairs(last, START_SCALE * (own - torch.outer(shared, shared @ own)))
        last.bias.copy_(shared * START_SCALE * (SHARED_SHARE * width) ** 0.5)
        hidden = linear_layers(self.hidden)
        basis = torch.zeros(hidden[0].out_features // 2, 2 * width)
        basis[:, :width] = orthogonal(len(basis), width)
        pair_units(hidden[0], basis)
        for before, layer in pairwise(hidden):
            n_in, n_out = before.out_features // 2, layer.out_features // 2
            basis = torch.zeros(n_out, before.out_features)
            basis[:, :n_in] = orthogonal(n_out, n_in)
            basis[:, n_in : 2 * n_in] = -basis[:, :n_in]
            pair_units(layer, basis)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(
        self,
        embedding: torch.Tensor,
        gene_mask: torch.Tensor,
        cell: torch.Tensor,
        control: torch.Tensor,
    ) -> torch.Tensor:
        """Predict expression, (B, G), as every ``Decoder``; it may be slightly below 0."""
        is_perturbed = gene_mask.any(dim=-1, keepdim=True)
        shifted, difference = self._difference(embedding, gene_mask, cell.to(control.dtype))
        with torch.autocast(control.device.type, enabled=False):
            delta = self.output(self.dropout(difference))  # (B, G)
            gate = torch.sigmoid(self.gate(shifted) + self.gate_control * control)
            expression: torch.Tensor = control + (gate * delta).masked_fill(~is_perturbed, 0.0)
        return expression

    def readout_features(
        self, embedding: torch.Tensor, gene_mask: torch.Tensor, cell: torch.Tensor
    ) -> torch.Tensor:
        """Return what the output map reads at the start, (B, F); zeros where nothing shifts.

        These are the differences between paired units, which are linear in the shift.
        """
        return between_pairs(self._difference(embedding, gene_mask, cell)[1])

    @property
    def starts_linear(self) -> bool:
        """True where nothing interacts at the start: paired units pass on what they are given."""
        return not isinstance(self.interaction, MlpInteraction)

    def shared_features(self, cell: torch.Tensor) -> torch.Tensor:
        """Return the features of the shift that all genes share at the start, (B, D) to (B, F)."""
        return between_pairs(self._features_of(self.shared_shift, cell)[1])

    @torch.no_grad()
    def set_readout(self, weights: torch.Tensor) -> None:
        """Start the output map so that predicted change = features · weightsᵀ.

        Args:
            weights: (G, F). The open gate, 1/2 at the start, is made up for.
        """
        read_pairs(self.output, weights / torch.sigmoid(self.gate.bias)[:, None])

    @torch.no_grad()
    def add_readout(self, weights: torch.Tensor) -> None:
        """Add features · weightsᵀ to the predicted change, as far as the gate is as at the start.

        Features are differences between paired units, whatever training has made of these units.

        Args:
            weights: (G, F).
        """
        before = self.output.weight.clone()
        self.set_readout(weights)
        self.output.weight += before

    def _difference(
        self, embedding: torch.Tensor, gene_mask: torch.Tensor, cell: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return z_pred, (B, D), and h([z_pred, z_ctrl]) - h([z_ctrl, z_ctrl]), (B, F)."""
        return self._features_of(self.combined_shift(embedding, gene_mask), cell)

    def _features_of(
        self, shift: torch.Tensor, cell: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast(shift.device.type, enabled=False):
            # A small difference of two hidden states does not survive bfloat16's 8 bits.
            shifted = cell + shift.to(cell.dtype)
            moved = self.hidden(torch.cat([shifted, cell], dim=-1))
            return shifted, moved - self.hidden(torch.cat([cell, cell], dim=-1))

    def combined_shift(self, embedding: torch.Tensor, gene_mask: torch.Tensor) -> torch.Tensor:
        """Add up the genes' shifts and their interaction, (B, P, D) to (B, D).

        The interaction is symmetric and 0 for a single gene: pairs of shifts, and an overlap that
        starts so that what all genes share counts once, however many are perturbed.
        """
        wide = embedding.to(torch.promote_types(embedding.dtype, torch.float32))
        with torch.autocast(embedding.device.type, enabled=False):
            # The shared shift is taken off again, which rounded sums would not survive.
            shifts: torch.Tensor = self.shift(wide).masked_fill(~gene_mask[..., None], 0.0)
            total = shifts.sum(dim=1)
            if self.interaction is not None:
                total = total + self.interaction(shifts, gene_mask)
            if self.overlap is not None:
                further = (gene_mask.sum(dim=1, keepdim=True) - 1).clamp(min=0)  # (B, 1)
                total = total - self.overlap * further * self.shared_shift
        return total

    def combining(
        self,
        embedding: torch.Tensor,
        cell: torch.Tensor,
        control: torch.Tensor,
        columns: torch.Tensor | None = None,
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Shift each gene once; see ``CombinesGenes``."""
        return LatentCombinations(self, embedding, cell, control, columns)

    @property
    def shared_shift(self) -> torch.Tensor:
        """The shift that all genes share, (D,)."""
        return linear_layers(self.shift)[1].bias


def linear_layers(network: nn.Sequential) -> list[nn.Linear]:
    """Return the linear layers of a sequence, in order."""
    return [layer for layer in network if isinstance(layer, nn.Linear)]


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


# Shifts start small against the cell state, where the hidden layers are close to linear.
START_SCALE = 0.1
# Squared norm of the shift that all genes share at the start, relative to a gene's own.
SHARED_SHARE = 0.5
