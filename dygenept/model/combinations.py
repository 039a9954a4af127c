"""Predicts many combinations of the same genes: what a gene gives by itself is computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch

from dygenept.machine.threads import suited_threads
from dygenept.model.conditions import UNKNOWN, IndexArray, gene_positions
from dygenept.model.fitted_state import FittedState
from dygenept.model.network import DyGenePT
from dygenept.plugin.interfaces.offers import CombinesGenes
from dygenept.types import Condition, DoubleArray, FloatArray, Predictions

# Values of embeddings, (cells, genes, D), that are kept at a time: 64 MB, and a few copies of them.
MAX_KEPT = 16_000_000
# The same while they are computed, (cells, genes, K, D).
MAX_ATTENDED = 4_000_000
# Values of (combinations, cells, G) at a time: they should stay in a processor's cache.
MAX_DECODED = 500_000

Combine = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Swept:
    """Predictions of some output genes.

    Attributes:
        expression: Predicted mean log1p expression, (n, m).
        spread: Standard deviation of its error, (n, m); None where the model states none,
            or nobody asked.
    """

    expression: FloatArray
    spread: FloatArray | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of many combinations.

    Attributes:
        genes: All genes of the conditions, each once.
        columns: Output genes, (m,) int64; None for all.
        with_spread: Say how far off predictions may be.
    """

    genes: tuple[str, ...]
    columns: IndexArray | None = None
    with_spread: bool = False


class CombinationPredictor:
    """Predicts conditions whose genes are all known beforehand.

    Predictions are those of the model, but for rounding in float32.
    """

    def __init__(
        self,
        networks: Sequence[DyGenePT],
        state: FittedState,
        wanted: Wanted,
        *,
        device: torch.device,
    ) -> None:
        """Keep what predictions are made of; ``can_combine`` says which networks are fit for it.

        Args:
            networks: The trained networks, one per member.
            state: The fitted state.
            wanted: Genes, which the model has met, and what is asked of their combinations.
            device: Where the networks are.
        """
        self._networks = tuple(networks)
        self._state = state
        self._genes = wanted.genes
        self._with_spread = wanted.with_spread
        columns = wanted.columns
        position = {gene: place for place, gene in enumerate(state.target_genes)}
        self._known = torch.tensor([position.get(gene, UNKNOWN) for gene in wanted.genes])  # (U,)
        self._columns = None if columns is None else torch.from_numpy(columns).to(device)
        self._control = state.control_means if columns is None else state.control_means[:, columns]
        self._residual = state.residual_variance
        if self._residual is not None and columns is not None:
            self._residual = self._residual[columns]
        self._device = device
        self._kept: dict[tuple[int, int], Combine] = {}

    def __call__(self, conditions: Sequence[Condition]) -> Swept:
        """Predict conditions, n; each cell type must be known."""
        types = [self._state.cell_types.index(of.cell_type) for of in conditions]
        codes = np.array(types, dtype=np.int64)
        chosen = gene_positions(conditions, self._genes)  # (n, P) among the genes here
        members = [self._changes(number, chosen, codes) for number in range(len(self._networks))]
        deltas = torch.stack(members)  # (members, n, m)
        expression = self._control[codes] + deltas.mean(dim=0).double().numpy()
        if self._state.options.clamp_min_zero:
            expression = np.maximum(expression, 0.0)
        return Swept(expression.astype(np.float32), self._spread(deltas))

    def _spread(self, deltas: torch.Tensor) -> FloatArray | None:
        """Return the standard deviation of the error; see ``DyGenePTModel.spread``."""
        n_members, n, m = deltas.shape
        if not self._with_spread or (n_members < 2 and self._residual is None):
            return None
        variance = np.zeros((n, m)) if n_members < 2 else deltas.double().var(dim=0).numpy()
        if self._residual is not None:
            variance = variance + self._residual
        return np.sqrt(variance).astype(np.float32)

    @torch.no_grad()
    def _changes(self, member: int, chosen: torch.Tensor, codes: IndexArray) -> torch.Tensor:
        """Return the mean changes that one network predicts, (n, m), on the CPU."""
        network = self._networks[member]
        controls = self._state.controls
        n_out = controls.expression.shape[1] if self._columns is None else len(self._columns)
        changes = torch.zeros(len(codes), n_out)
        with suited_threads(network, self._device):
            for cell_type in np.unique(codes).tolist():
                rows = np.flatnonzero(codes == cell_type)
                members = controls.members(cell_type)
                for cells, combine in self._combined(member, cell_type, members):
                    size = max(1, MAX_DECODED // (cells * max(n_out, self._state.width)))
                    for start in range(0, len(rows), size):
                        some = torch.from_numpy(rows[start : start + size])
                        summed = combine(chosen[some].to(self._device))
                        changes[some] += summed.cpu() / len(members)
        return changes

    def _combined(
        self, member: int, cell_type: int, members: IndexArray
    ) -> Iterator[tuple[int, Combine]]:
        """Yield, for some control cells at a time, their number and what combines genes there.

        Where all of them fit, what each gene gives is computed once for all blocks of conditions.
        """
        a_cell = max(1, len(self._genes)) * self._state.width
        n_cells = len(self._networks) * self._state.controls.expression.shape[0]
        if n_cells * a_cell > MAX_KEPT:
            size = max(1, MAX_KEPT // a_cell)
            parts = (members[start : start + size] for start in range(0, len(members), size))
            yield from ((len(cells), self._combine(member, cells)) for cells in parts)
            return
        key = (member, cell_type)
        if key not in self._kept:
            self._kept[key] = self._combine(member, members)
        yield len(members), self._kept[key]

    def _combine(self, member: int, positions: IndexArray) -> Combine:
        network = self._networks[member]
        cells = network.encode_cells(torch.from_numpy(positions).to(self._device))  # (C, D)
        n_facets = max(1, len(self._state.knowledge.facet_names))
        size = max(1, MAX_ATTENDED // (len(positions) * n_facets * self._state.width))
        parts = []
        for start in range(0, len(self._known), size):
            genes = self._known[start : start + size, None].to(self._device)  # (u, 1)
            parts.append(network.attend_each(genes, cells).embedding[:, :, 0].transpose(0, 1))
        control = self._state.controls.rows(positions).to(self._device)  # (C, G)
        decoder = cast(CombinesGenes, network.decoder)
        return decoder.combining(torch.cat(parts, dim=1), cells, control, self._columns)


def can_combine(networks: Sequence[DyGenePT]) -> bool:
    """Tell whether networks take part: their decoders offer it, and nothing is added by type."""
    return all(
        isinstance(network.decoder, CombinesGenes) and network.by_type is None
        for network in networks
    )


class _Predicts(Protocol):
    def predict(self, conditions: Sequence[Condition]) -> Predictions: ...

    def spread(self, conditions: Sequence[Condition]) -> DoubleArray | None: ...


def one_by_one(model: _Predicts, wanted: Wanted) -> Callable[[Sequence[Condition]], Swept]:
    """Return what ``CombinationPredictor`` does, by predicting every condition from the start."""
    columns = slice(None) if wanted.columns is None else wanted.columns

    def predict(conditions: Sequence[Condition]) -> Swept:
        spread = model.spread(conditions) if wanted.with_spread else None
        return Swept(
            model.predict(conditions).expression[:, columns].astype(np.float32),
            None if spread is None else spread[:, columns].astype(np.float32),
        )

    return predict
