"""Cell encoder on the scGPT transformer: control cells to cell states."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from dygenept.errors import ConfigError
from dygenept.interfaces import CellEncoderContext, ControlPool
from dygenept_plugins.networks.scgpt import ScGpt
from dygenept_plugins.networks.scgpt_tokens import TokenBatch, TokenTable, Vocabulary, tokenise
from dygenept_plugins.networks.sparse_rows import entries_of

logger = logging.getLogger(__name__)

Pooling = Literal["cls", "mean", "attention"]
CHUNK = 32


@dataclass(frozen=True, slots=True)
class FrozenStates:
    """What the frozen layers make of each cell of the pool.

    Attributes:
        states: Hidden states of all tokens, cell after cell, (n_tokens, d); or pooled states,
            (N, d), where no layer is left to run.
        is_pooled: Which of the two.
    """

    states: torch.Tensor
    is_pooled: bool


class ScGptCellState(nn.Module):
    """Runs control cells through scGPT, pools, and projects to the model's width.

    Frozen layers run once per cell of the pool, in evaluation mode and without gradients, and
    their output is kept where it fits ``cache_bytes``; else they run anew in each batch.
    """

    def __init__(
        self,
        backbone: ScGpt,
        *,
        context: CellEncoderContext,
        vocabulary: Vocabulary,
        n_bins: int,
        max_length: int,
        freeze_layers: int | Literal["all"],
        pooling: Pooling,
        cache_bytes: int,
    ) -> None:
        """Freeze what is to be frozen and build pooling and projection.

        Args:
            backbone: The transformer.
            context: Genes, width and seed.
            vocabulary: Gene tokens.
            n_bins: Bins of values.
            max_length: Longest sequence, ``<cls>`` included.
            freeze_layers: The layers ``[:freeze_layers]`` are frozen, as a Python slice: -2 leaves
                the last two trainable, 0 all, and ``all`` none. Embeddings are frozen with any.
            pooling: ``cls`` takes the state of ``<cls>``, ``mean`` the mean over all tokens,
                ``attention`` a learned weighted mean over all tokens.
            cache_bytes: Memory that outputs of frozen layers may take.

        Raises:
            ConfigError: If ``freeze_layers`` is beyond the number of layers.
        """
        super().__init__()
        n_layers = backbone.size.n_layers
        if freeze_layers != "all" and abs(freeze_layers) > n_layers:
            raise ConfigError(
                f"cell_encoder.freeze_layers is {freeze_layers}, but the transformer has "
                f"{n_layers} layers; allowed: -{n_layers} to {n_layers}, or 'all'"
            )
        self.backbone = backbone
        self.n_frozen = n_layers if freeze_layers == "all" else len(range(n_layers)[:freeze_layers])
        self.is_frozen = freeze_layers != 0
        self.vocabulary = vocabulary
        self.n_bins = n_bins
        self.max_length = max_length
        self.pooling = pooling
        self.cache_bytes = cache_bytes
        self._target_genes = frozenset(context.target_genes)
        self._seed = context.seed
        d_model = backbone.size.d_model
        self.pool_query: nn.Linear | None = None
        if pooling == "attention":
            self.pool_query = nn.Linear(d_model, 1, bias=False)
        self.projection = nn.Sequential(
            nn.Linear(d_model, context.width), nn.GELU(), nn.LayerNorm(context.width)
        )
        self._table: TokenTable | None = None
        self._frozen: FrozenStates | None = None
        for module in self._frozen_modules():
            module.requires_grad_(False).eval()
        self.register_load_state_dict_post_hook(_forget_frozen)  # type: ignore[no-untyped-call]

    def _frozen_modules(self) -> list[nn.Module]:
        if not self.is_frozen:
            return []
        layers = list(self.backbone.transformer_encoder.layers)[: self.n_frozen]
        return [self.backbone.encoder, self.backbone.value_encoder, *layers]

    def train(self, mode: bool = True) -> ScGptCellState:
        """Set the mode; frozen parts stay in evaluation mode, so that dropout spares them."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def recompute_layers(self, wanted: bool) -> None:
        """Compute trained layers again in the backward pass in place of keeping activations."""
        self.backbone.recomputes = wanted

    @torch.no_grad()
    def prepare(self, pool: ControlPool) -> None:
        """Tokenise the pool's cells and run the frozen layers over them."""
        expression = pool.expression
        if not expression.has_sorted_indices:
            expression = expression.sorted_indices()
        table = tokenise(
            expression,
            self.vocabulary.lookup(pool.gene_symbols),
            vocabulary=self.vocabulary,
            n_bins=self.n_bins,
            max_length=self.max_length,
            keep=np.array([gene in self._target_genes for gene in pool.gene_symbols], dtype=bool),
            seed=self._seed,
        )
        self._table = table.to(self._device)
        self._frozen = None
        if not self.is_frozen:
            return
        is_pooled = self._ends_frozen and self.pooling != "attention"
        n_rows = len(table) if is_pooled else len(table.tokens)
        n_bytes = n_rows * self.backbone.size.d_model * 4
        if n_bytes > self.cache_bytes:
            logger.warning(
                "outputs of scGPT's frozen layers over %d control cells take %.1f GB, more than "
                "cell_encoder.cache_bytes allows (%.1f GB); they are computed anew in each batch",
                len(table),
                n_bytes / 1e9,
                self.cache_bytes / 1e9,
            )
            return
        self._frozen = FrozenStates(self._run_frozen(n_rows, is_pooled=is_pooled), is_pooled)

    @property
    def _ends_frozen(self) -> bool:
        return self.n_frozen == self.backbone.size.n_layers

    @property
    def _device(self) -> torch.device:
        return self.backbone.encoder.embedding.weight.device

    def _run_frozen(self, n_rows: int, *, is_pooled: bool) -> torch.Tensor:
        """Run the frozen layers over the whole pool, cells of like length together."""
        table = self._prepared()
        lengths = table.starts.diff()
        states = torch.empty(n_rows, self.backbone.size.d_model, device=self._device)
        for rows in torch.split(lengths.argsort(stable=True), CHUNK):
            batch = table.gather(rows)
            hidden = self._frozen_prefix(batch)
            if is_pooled:
                states[rows] = self._pool(hidden, batch.real).float()
            else:
                found = entries_of(table.starts, rows)
                states[found.entry] = hidden[found.row, found.within].float()
        return states

    @torch.no_grad()
    def _frozen_prefix(self, batch: TokenBatch) -> torch.Tensor:
        hidden = self.backbone.embed(batch.tokens, batch.values)
        n_final = 1 if self._ends_frozen and self.pooling == "cls" else None
        return self.backbone.run(
            hidden, _mask(batch.real), first=0, last=self.n_frozen, n_final=n_final
        )

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Encode control cells of the pool, (B,) int64 to (B, D).

        Raises:
            RuntimeError: If ``prepare`` was not called.
        """
        states: torch.Tensor = self.projection(self.embed(indices))
        return states

    def embed(self, indices: torch.Tensor) -> torch.Tensor:
        """Pool the hidden states of control cells, (B,) int64 to (B, d), before projection.

        Raises:
            RuntimeError: If ``prepare`` was not called.
        """
        rows = indices.to(self._prepared().starts.device)
        if self._frozen is not None and self._frozen.is_pooled:
            return self._frozen.states[rows]
        batch = self._prepared().gather(rows)
        if not self.is_frozen:
            hidden = self.backbone.embed(batch.tokens, batch.values)
        elif self._frozen is None:
            hidden = self._frozen_prefix(batch)
        else:
            found = entries_of(self._prepared().starts, rows)
            states = self._frozen.states
            hidden = states.new_zeros(*batch.tokens.shape, states.shape[-1])
            hidden[found.row, found.within] = states[found.entry]
        if not self._ends_frozen:
            hidden = self.backbone.run(
                hidden,
                _mask(batch.real),
                first=self.n_frozen,
                n_final=1 if self.pooling == "cls" else None,
            )
        return self._pool(hidden, batch.real)

    def _prepared(self) -> TokenTable:
        if self._table is None:
            raise RuntimeError("call prepare(pool) before encoding cells")
        return self._table

    def _pool(self, hidden: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Pool hidden states, (B, S, d) to (B, d)."""
        if self.pooling == "cls":
            return hidden[:, 0]
        if self.pool_query is None:
            weights = real / real.sum(dim=1, keepdim=True)  # (B, S)
        else:
            scores = self.pool_query(hidden)[..., 0].float() / hidden.shape[-1] ** 0.5
            weights = scores.masked_fill(~real, -torch.inf).softmax(dim=1)
        with torch.autocast(hidden.device.type, enabled=False):
            return torch.einsum("bs,bsd->bd", weights, hidden.to(weights.dtype))


def _forget_frozen(module: nn.Module, _incompatible_keys: object) -> None:
    """Drop outputs of frozen layers whose weights were just replaced."""
    if isinstance(module, ScGptCellState):
        module._frozen = None


def _mask(real: torch.Tensor) -> torch.Tensor | None:
    """Drop a mask that masks nothing: attention is faster without one."""
    return None if bool(real.all()) else real
