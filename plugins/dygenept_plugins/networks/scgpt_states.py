"""Outputs of frozen layers, cell after cell, wherever they are kept."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dygenept_plugins.networks.scgpt_tokens import TokenTable

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PoolCells:
    """The cells whose states are wanted.

    Attributes:
        keys: A hash of each cell's tokens and values, (N,).
        lengths: Tokens of each cell, (N,).
        is_pooled: True where a cell has one state, False where each of its tokens has one.
        width: Width d of a state.
        fingerprint: Names the frozen weights and what else determines a state.
    """

    keys: tuple[bytes, ...]
    lengths: Int64Array
    is_pooled: bool
    width: int
    fingerprint: str

    @property
    def n_rows(self) -> Int64Array:
        """States of each cell, (N,)."""
        return np.ones_like(self.lengths) if self.is_pooled else self.lengths

    def row_bytes(self, dtype: torch.dtype) -> Int64Array:
        """Bytes of each cell's states, (N,)."""
        return self.n_rows * self.width * dtype.itemsize


@dataclass(frozen=True, slots=True)
class Encoder:
    """Runs the frozen layers.

    Attributes:
        buckets: Groups cells by their lengths.
        encode: Given positions of a group's cells, returns their states one after the other,
            (n, d) float32.
        report: Called with cells done and cells in all.
    """

    buckets: Callable[[Int64Array], list[Int64Array]]
    encode: Callable[[Int64Array], torch.Tensor]
    report: Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class FrozenStates:
    """States of some cells of a pool.

    Attributes:
        cells: The pool's cells.
        segments: Tensors of states, (n, d) each, on the CPU or the device.
        segment: Which of them has a cell's states, (N,); -1 for a cell that is not kept.
        first: The cell's first row there, (N,).
    """

    cells: PoolCells
    segments: tuple[torch.Tensor, ...]
    segment: Int64Array
    first: Int64Array

    def has(self, rows: Int64Array) -> npt.NDArray[np.bool_]:
        """Say of which cells the states are kept."""
        return self.segment[rows] >= 0

    @property
    def n_bytes(self) -> int:
        """Bytes of the kept states of this pool."""
        if not self.segments:
            return 0
        return int(self.cells.row_bytes(self.segments[0].dtype)[self.segment >= 0].sum())

    def positions(self) -> dict[bytes, int]:
        """Return the position of each kept cell by its key."""
        return {self.cells.keys[row]: row for row in np.flatnonzero(self.segment >= 0).tolist()}

    def gather(self, rows: Int64Array, device: torch.device) -> torch.Tensor:
        """Return the states of kept cells, (B,) to (B, S, d) float32, S the longest cell's rows.

        Past a cell's own rows its last one is repeated; attention masks what stands there.
        """
        lengths = self.cells.n_rows[rows]
        within = np.minimum(np.arange(lengths.max(initial=0))[None, :], lengths[:, None] - 1)
        places = torch.from_numpy(self.first[rows][:, None] + within)  # (B, S)
        numbers = np.unique(self.segment[rows]).tolist()
        if len(numbers) == 1:
            return _rows_of(self.segments[numbers[0]], places, device)
        out = torch.empty(*places.shape, self.cells.width, device=device)
        for number in numbers:
            at = torch.from_numpy(np.flatnonzero(self.segment[rows] == number))
            out[at.to(device)] = _rows_of(self.segments[number], places[at], device)
        return out

    def packed(self, row: int) -> torch.Tensor:
        """Return one kept cell's states as they are stored, (n, d)."""
        first = int(self.first[row])
        return self.segments[int(self.segment[row])][first : first + int(self.cells.n_rows[row])]


def _rows_of(states: torch.Tensor, places: torch.Tensor, device: torch.device) -> torch.Tensor:
    found = states[places.to(states.device)]
    if device.type == "cuda" and found.device.type == "cpu":
        return found.pin_memory().to(device, non_blocking=True).float()
    return found.to(device, torch.float32)


def cell_keys(table: TokenTable) -> tuple[bytes, ...]:
    """Hash each cell's tokens and values; an equal cell of another pool has an equal key."""
    starts = table.starts.tolist()
    tokens, values = table.tokens.cpu().numpy(), table.values.cpu().numpy()
    return tuple(
        hashlib.blake2b(
            tokens[start:stop].tobytes() + values[start:stop].tobytes(), digest_size=16
        ).digest()
        for start, stop in itertools.pairwise(starts)
    )


def weights_digest(modules: Iterable[nn.Module], *settings: object) -> str:
    """Hash the weights of modules and further settings."""
    digest = hashlib.blake2b(repr(settings).encode(), digest_size=32)
    for module in modules:
        for name, value in module.state_dict().items():
            digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
