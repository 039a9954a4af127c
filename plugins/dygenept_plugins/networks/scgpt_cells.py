"""Cell encoder on the scGPT transformer: control cells to cell states."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dygenept.plugin import CellEncoderContext, ConfigError, ControlPool
from dygenept.types import Progress
from dygenept_plugins.networks.scgpt import ScGpt
from dygenept_plugins.networks.scgpt_batching import (
    length_buckets,
    mean_over_tokens,
    padding_mask,
    padding_slack,
)
from dygenept_plugins.networks.scgpt_cache import CacheOptions, keep_states
from dygenept_plugins.networks.scgpt_states import (
    Encoder,
    FrozenStates,
    PoolCells,
    cell_keys,
    weights_digest,
)
from dygenept_plugins.networks.scgpt_tokens import (
    N_SHOWN,
    TokenRules,
    TokenTable,
    Vocabulary,
    tokenise,
)

logger = logging.getLogger(__name__)

Int64Array = npt.NDArray[np.int64]
Pooling = Literal["cls", "mean", "attention"]
# Tokens that the frozen layers see at a time while a pool is encoded.
ENCODE_TOKENS = {"cpu": 8_192, "cuda": 131_072}


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOptions:
    """How control cells are read, run and pooled.

    Attributes:
        n_bins: Bins of values.
        max_length: Longest sequence, ``<cls>`` included.
        sampling_seed: Decides which genes a longer sequence keeps.
        freeze_layers: The layers ``[:freeze_layers]`` are frozen, as a Python slice: -2 leaves the
            last two trainable, 0 all, and ``all`` none. Embeddings are frozen with any.
        pooling: ``cls`` takes the state of ``<cls>``, ``mean`` the mean over all tokens,
            ``attention`` a learned weighted mean over all tokens.
        encode_batch: Cells that the frozen layers see at a time; None as many as suit the device.
        cache: Where outputs of frozen layers are kept.
    """

    n_bins: int
    max_length: int
    sampling_seed: int
    freeze_layers: int | Literal["all"]
    pooling: Pooling
    encode_batch: int | None = None
    cache: CacheOptions = field(default_factory=CacheOptions)


class ScGptCellState(nn.Module):
    """Runs control cells through scGPT, pools, and projects to the model's width.

    Frozen layers run once per cell, in evaluation mode and without gradients, and their output is
    kept; cells that the cache has no room for run through them again in each batch.
    """

    def __init__(
        self,
        backbone: ScGpt,
        *,
        context: CellEncoderContext,
        vocabulary: Vocabulary,
        options: CellOptions,
        notes: Sequence[str] = (),
    ) -> None:
        """Freeze what is to be frozen and build pooling and projection.

        Args:
            backbone: The transformer.
            context: Genes, width and runtime.
            vocabulary: Gene tokens.
            options: How cells are read, run and pooled.
            notes: What a user should know of the weights, one sentence each.

        Raises:
            ConfigError: If ``freeze_layers`` is beyond the number of layers.
        """
        super().__init__()
        n_layers, freeze = backbone.size.n_layers, options.freeze_layers
        if freeze != "all" and abs(freeze) > n_layers:
            raise ConfigError(
                f"cell_encoder.freeze_layers is {freeze}, but the transformer has "
                f"{n_layers} layers; allowed: -{n_layers} to {n_layers}, or 'all'"
            )
        self.backbone = backbone
        self.n_frozen = n_layers if freeze == "all" else len(range(n_layers)[:freeze])
        self.is_frozen = freeze != 0
        self.vocabulary = vocabulary
        self.options = options
        self.pooling = options.pooling
        self._runtime = context.runtime
        self._target_genes = frozenset(context.target_genes)
        self._notes = tuple(notes)
        d_model = backbone.size.d_model
        self.pool_query: nn.Linear | None = None
        if self.pooling == "attention":
            self.pool_query = nn.Linear(d_model, 1, bias=False)
        self.projection = nn.Sequential(
            nn.Linear(d_model, context.width), nn.GELU(), nn.LayerNorm(context.width)
        )
        self._table: TokenTable | None = None
        self._lengths: Int64Array = np.zeros(0, dtype=np.int64)
        self._outside: tuple[str, ...] = ()
        self._frozen: FrozenStates | None = None
        self._is_compiled = False
        for module in self._frozen_modules():
            module.requires_grad_(False).eval()
        self.register_load_state_dict_post_hook(_forget_frozen)  # type: ignore[no-untyped-call]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know: random weights, unknown genes, cells that were cut."""
        notes = list(self._notes)
        if self._outside:
            shown = ", ".join(self._outside[:N_SHOWN])
            more = ", …" if len(self._outside) > N_SHOWN else ""
            notes.append(
                f"{len(self._outside)} genes are not in scGPT's vocabulary and are left out of the "
                f"cell encoder: {shown}{more}."
            )
        if self._table is not None and self._table.n_cut:
            notes.append(
                f"{self._table.n_cut} of {len(self._table)} control cells express more genes than "
                f"cell_encoder.max_length {self.options.max_length} takes; a fixed sample of their "
                "genes is read, expressed perturbed genes always."
            )
        return tuple(notes)

    @property
    def table(self) -> TokenTable:
        """Tokens of the prepared pool.

        Raises:
            RuntimeError: If ``prepare`` was not called.
        """
        if self._table is None:
            raise RuntimeError("call prepare(pool) before encoding cells")
        return self._table

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

    def compile_layers(self) -> None:
        """Compile the trained layers."""
        # Numbers of cells and tokens differ between buckets: one graph serves them all.
        for layer in self.backbone.transformer_encoder.layers[self.n_frozen :]:
            layer.compile(dynamic=True)
        self._is_compiled = True

    @torch.no_grad()
    def prepare(self, pool: ControlPool) -> None:
        """Tokenise the pool's cells and run the frozen layers over them."""
        expression = pool.expression
        if not expression.has_sorted_indices:
            expression = expression.sorted_indices()
        gene_tokens = self.vocabulary.lookup(pool.gene_symbols)
        self._outside = tuple(
            gene
            for gene, token in zip(pool.gene_symbols, gene_tokens.tolist(), strict=True)
            if token < 0
        )
        table = tokenise(
            expression,
            gene_tokens,
            rules=TokenRules(
                vocabulary=self.vocabulary,
                n_bins=self.options.n_bins,
                max_length=self.options.max_length,
                seed=self.options.sampling_seed,
            ),
            keep=np.array([gene in self._target_genes for gene in pool.gene_symbols], dtype=bool),
        )
        self._lengths = table.starts.diff().numpy()
        self._table = table.to(self._device)
        previous, self._frozen = self._frozen, None
        if self.is_frozen and self.options.cache.place != "off":
            cells = PoolCells(
                keys=cell_keys(table),
                lengths=self._lengths,
                is_pooled=self._ends_frozen and self.pooling != "attention",
                width=self.backbone.size.d_model,
                fingerprint=weights_digest(
                    self._frozen_modules(),
                    self.backbone.size.n_heads,
                    f"{self.pooling if self._ends_frozen else ''}{_precision(self._device)}",
                ),
            )
            encoder = Encoder(self._encode_buckets, self._encode, self._report)
            self._frozen = keep_states(
                cells,
                encoder,
                options=self.options.cache,
                device=self._device,
                previous=previous,
            )

    @property
    def _ends_frozen(self) -> bool:
        return self.n_frozen == self.backbone.size.n_layers

    @property
    def _device(self) -> torch.device:
        return self.backbone.encoder.embedding.weight.device

    def _encode_buckets(self, lengths: Int64Array) -> list[Int64Array]:
        return length_buckets(
            lengths,
            slack=padding_slack(self._device.type, self.backbone.size.d_model),
            max_tokens=ENCODE_TOKENS.get(self._device.type, ENCODE_TOKENS["cuda"]),
            max_size=self.options.encode_batch,
        )

    def _report(self, done: int, total: int) -> None:
        if self._runtime is not None:
            self._runtime.report(Progress("encode", done, total, f"{total} control cells"))

    def _encode(self, rows: Int64Array) -> torch.Tensor:
        """Run frozen layers over a few cells, to their states one after the other, float32."""
        hidden, real = self._frozen_prefix(rows)
        if self._ends_frozen and self.pooling != "attention":
            return self._pool(hidden, real).float()  # (B, d)
        if real is None:
            return hidden.flatten(0, 1).float()
        return hidden[real].float()  # (n_tokens, d), padding left out

    @torch.no_grad()
    def _frozen_prefix(self, rows: Int64Array) -> tuple[torch.Tensor, torch.Tensor | None]:
        batch = self.table.gather(torch.from_numpy(rows).to(self._device))
        real = self._mask(rows)
        hidden = self.backbone.embed(batch.tokens, batch.values)
        n_final = 1 if self._ends_frozen and self.pooling == "cls" else None
        return self.backbone.run(hidden, real, first=0, last=self.n_frozen, n_final=n_final), real

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Encode control cells of the pool, (B,) int64 to (B, D).

        Raises:
            RuntimeError: If ``prepare`` was not called.
        """
        states: torch.Tensor = self.projection(self.embed(indices))
        return states

    def embed(self, indices: torch.Tensor) -> torch.Tensor:
        """Pool the hidden states of control cells, (B,) int64 to (B, d), before projection.

        Cells of similar length run together, so that padding stays small.

        Raises:
            RuntimeError: If ``prepare`` was not called.
        """
        n_cells = len(self.table)
        rows = indices.detach().cpu().numpy()
        if len(rows) and not 0 <= rows.min() <= rows.max() < n_cells:
            raise IndexError(f"cells {rows.min()} to {rows.max()} of a pool of {n_cells}")
        pooled, order = [], []
        for bucket in self._buckets(rows):
            pooled.append(self._embed_bucket(rows[bucket]))
            order.append(bucket)
        if not pooled:
            return torch.zeros(0, self.backbone.size.d_model, device=self._device)
        back = torch.from_numpy(np.argsort(np.concatenate(order))).to(self._device)
        return torch.cat(pooled)[back]

    def _buckets(self, rows: Int64Array) -> list[Int64Array]:
        """Group cells by length, and cached cells apart from the others."""
        is_kept = np.zeros(len(rows), dtype=bool)
        if self._frozen is not None:
            is_kept = self._frozen.has(rows)
            if self._frozen.cells.is_pooled and is_kept.all() and len(rows):
                return [np.arange(len(rows))]
        slack = padding_slack(self._device.type, self.backbone.size.d_model)
        return [
            places[bucket]
            for places in (np.flatnonzero(is_kept), np.flatnonzero(~is_kept))
            for bucket in length_buckets(self._lengths[rows[places]], slack=slack)
        ]

    def _embed_bucket(self, rows: Int64Array) -> torch.Tensor:
        """Pool the hidden states of a few cells, all cached or none."""
        if self._frozen is not None and self._frozen.has(rows).all():
            hidden = self._frozen.gather(rows, self._device)
            if self._frozen.cells.is_pooled:
                return hidden[:, 0]
            real = self._mask(rows)
        elif self.is_frozen:
            hidden, real = self._frozen_prefix(rows)
        else:
            batch = self.table.gather(torch.from_numpy(rows).to(self._device))
            hidden, real = self.backbone.embed(batch.tokens, batch.values), self._mask(rows)
        if not self._ends_frozen:
            n_final = 1 if self.pooling == "cls" else None
            hidden = self.backbone.run(hidden, real, first=self.n_frozen, n_final=n_final)
        return self._pool(hidden, real)

    def _mask(self, rows: Int64Array) -> torch.Tensor | None:
        # A graph with a mask and one without would be two.
        return padding_mask(
            torch.from_numpy(self._lengths[rows]), self._device, always=self._is_compiled
        )

    def _pool(self, hidden: torch.Tensor, real: torch.Tensor | None) -> torch.Tensor:
        """Pool hidden states, (B, S, d) to (B, d)."""
        if self.pooling == "cls":
            return hidden[:, 0]
        return mean_over_tokens(hidden, real, self.pool_query)


def _precision(device: torch.device) -> str:
    """Name the type that autocast computes in; empty outside autocast."""
    if not torch.is_autocast_enabled(device.type):
        return ""
    return f"-{torch.get_autocast_dtype(device.type)}"


def _forget_frozen(module: nn.Module, _incompatible_keys: object) -> None:
    """Drop outputs of frozen layers whose weights were just replaced."""
    if isinstance(module, ScGptCellState):
        module._frozen = None
