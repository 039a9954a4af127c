"""Frozen facet vectors behind a trainable adapter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from dygenept.plugin import FacetBatch, GeneEncoderContext
from dygenept_plugins.networks.linear_start import pair_units, principal_rows

NULL_SCALE = 0.02
# What the closed-form start tries where the share is left to it.
IDENTITY_SHARES = (0.0, 0.3, 0.5, 0.7, 0.9, 1.0)


class FacetEncoder(nn.Module):
    """Looks up the facets of perturbed genes and adapts them to the model's width.

    Facet vectors and confidences are frozen buffers that no checkpoint contains: they come from the
    knowledge set. The statistics that standardise them are saved, so that a trained encoder treats
    a gene it meets later as it treated the genes it was built with.
    """

    values: torch.Tensor
    confidence: torch.Tensor
    centre: torch.Tensor
    codes: torch.Tensor
    signs: torch.Tensor
    identity_share: torch.Tensor
    reads_code: torch.Tensor

    def __init__(
        self,
        context: GeneEncoderContext,
        *,
        standardise: bool = True,
        facet_types: bool = True,
        facet_signs: bool = False,
        identity_share: float | None = 0.0,
        dropout: float = 0.0,
    ) -> None:
        """Build the tables and the adapter.

        Args:
            context: Knowledge, genes and width. A gene that the knowledge lacks has no known facet.
            standardise: Subtract each facet's mean vector over the genes that know it and scale
                every vector to norm √D_text; else raw vectors go in.
            facet_types: Add a learned vector per facet, (K, D), after the adapter.
            facet_signs: Flip the signs of text dimensions at random, alike for all genes but
                differently per facet, so that similar texts in different facets do not look alike.
            identity_share: Share in [0, 1] of each text vector's squared norm that a random code
                of the gene's symbol takes, so that genes with similar texts can still have effects
                of their own. None leaves the choice to the closed-form start, and is 0 without one.
            dropout: Share of text dimensions dropped in training.
        """
        super().__init__()
        knowledge, width = context.knowledge, context.width
        n_facets, text_width = knowledge.values.shape[1:]
        position = {gene: row for row, gene in enumerate(knowledge.genes)}
        rows = np.array([position.get(gene, -1) for gene in context.genes], dtype=np.int64)
        values = np.zeros((len(rows), n_facets, text_width), dtype=np.float32)
        confidence = np.zeros((len(rows), n_facets), dtype=np.float32)
        values[rows >= 0] = knowledge.values[rows[rows >= 0]]
        confidence[rows >= 0] = knowledge.confidence[rows[rows >= 0]]
        self.is_standardised = standardise
        self.register_buffer("values", torch.from_numpy(values), persistent=False)
        self.register_buffer("confidence", torch.from_numpy(confidence), persistent=False)
        self.register_buffer("centre", facet_means(self.values, self.confidence))  # (K, D_text)
        self.dropout = nn.Dropout(dropout)
        self.adapter = nn.Sequential(nn.Linear(text_width, width), nn.GELU(), nn.LayerNorm(width))
        self.identity_shares = IDENTITY_SHARES if identity_share is None else (identity_share,)
        self.register_buffer("identity_share", torch.tensor(self.identity_shares[0]))
        codes = symbol_codes(context.genes, text_width, n_fitted=context.n_fitted)
        self.register_buffer("codes", codes, persistent=False)
        # Of each gene; the last is for genes that are met later.
        self.register_buffer("reads_code", torch.ones(len(rows) + 1, dtype=torch.bool))
        self.register_load_state_dict_pre_hook(_expect_read_codes)  # type: ignore[no-untyped-call]
        signs = torch.ones(n_facets, text_width)
        if facet_signs:
            signs = torch.randint(0, 2, (n_facets, text_width)) * 2.0 - 1.0
        self.register_buffer("signs", signs)
        texts = self._texts(torch.arange(len(rows)))[self.confidence > 0]
        pair_units(self._first_layer, self._first_rows(texts, width // 2))
        self.facet_types: nn.Parameter | None = None
        if facet_types:
            # The same for both units of a pair, so that keys tell facets apart from the start
            # while values, which read differences of pairs, do not see the types.
            half = torch.randn(n_facets, width // 2)
            odd = torch.zeros(n_facets, width % 2)
            self.facet_types = nn.Parameter(torch.cat([half, half, odd], dim=1))
        self.null = nn.Parameter(torch.randn(width) * NULL_SCALE)

    def forward(self, gene_indices: torch.Tensor) -> FacetBatch:
        """Encode genes.

        Args:
            gene_indices: Positions among the context's genes, (B, P) int64; a negative one gives
                no known facet.

        Returns:
            Adapted facets, (B, P, K, D), zeros where unknown, with confidence and the null vector.
        """
        return self.with_facets_of(gene_indices, gene_indices)

    def with_facets_of(self, gene_indices: torch.Tensor, lenders: torch.Tensor) -> FacetBatch:
        """Encode genes by their own codes and the facets of ``lenders``; both are (B, P)."""
        is_gene = (gene_indices >= 0) & (lenders >= 0)
        rows = lenders.clamp(min=0)
        confidence = self.confidence[rows] * is_gene[..., None]  # (B, P, K)
        if max(self.identity_shares) == 1:
            confidence = self._of_codes_alone(confidence, is_gene)
        known = confidence > 0
        text = self._texts(rows)  # (B, P, K, D_text)
        read = self._is_read(gene_indices)
        if max(self.identity_shares) > 0:
            own = self.codes[gene_indices.clamp(min=0)][..., None, :]  # (B, P, 1, D_text)
            if read is not None:
                own = own.masked_fill(~read[..., None, None], 0.0)
            share = self.identity_share
            text = (1 - share).sqrt() * text + share.sqrt() * own
        adapted: torch.Tensor = self.adapter(self.dropout(text))  # (B, P, K, D)
        if self.facet_types is not None:
            adapted = adapted + self.facet_types
        values = adapted.masked_fill(~known[..., None], 0.0)
        return FacetBatch(values, confidence, known, self.null, read)

    def set_identity_share(self, share: float) -> None:
        """Set the share of a gene's own code, in [0, 1]."""
        self.identity_share.fill_(share)

    def codes_read(self) -> torch.Tensor | None:
        """Return the fitted genes whose codes are read, (n,); None where all codes are."""
        # The last entry tells: no fitted gene is met later.
        return None if self.reads_code[-1] else torch.nonzero(self.reads_code)[:, 0]

    def read_codes_of(self, genes: torch.Tensor | None) -> None:
        """Read the codes of these fitted genes alone, positions (n,); None for those of all.

        It acts while a gene's code is all that is read of it, an identity share of 1: the norm of
        the adapter would scale up texts without a code, and nothing has judged them so.
        """
        self.reads_code.fill_(genes is None)
        if genes is not None:
            self.reads_code[genes.to(self.reads_code.device)] = True

    def facet_vectors(self) -> nn.Parameter | None:
        """Return the learned vector per facet, (K, D); None where there are none."""
        return self.facet_types

    def _of_codes_alone(self, confidence: torch.Tensor, is_gene: torch.Tensor) -> torch.Tensor:
        """Let a gene without any known facet have its own code while nothing else is read.

        All facets of a gene are that code then, so one facet is as good as all of them.
        """
        is_lone = is_gene & (confidence <= 0).all(dim=-1) & (self.identity_share == 1)  # (B, P)
        confidence = confidence.clone()
        confidence[..., 0] = torch.where(is_lone, 1.0, confidence[..., 0])
        return confidence

    def _is_read(self, gene_indices: torch.Tensor) -> torch.Tensor | None:
        """Tell of which genes anything is read, (B, P); None where no share leaves out texts."""
        if max(self.identity_shares) < 1:
            return None
        later = len(self.reads_code) - 1
        places = torch.where(gene_indices < 0, later, gene_indices).clamp(max=later)
        return self.reads_code[places] | (self.identity_share < 1)

    @property
    def _first_layer(self) -> nn.Linear:
        layer = self.adapter[0]
        assert isinstance(layer, nn.Linear)
        return layer

    def _first_rows(self, texts: torch.Tensor, n_rows: int) -> torch.Tensor:
        """Return what the adapter reads first: few genes' codes whole, and most of the texts."""
        if max(self.identity_shares) == 0:
            return principal_rows(texts, n_rows)
        if len(self.codes) <= n_rows // 2:
            return principal_rows(texts, n_rows, kept=self.codes)
        return principal_rows(torch.cat([texts, self.codes]), n_rows)

    def _texts(self, rows: torch.Tensor) -> torch.Tensor:
        """Look up text vectors as the adapter reads them, (…) to (…, K, D_text)."""
        text = self.values[rows]
        if self.is_standardised:
            text = text - self.centre
            norm = text.norm(dim=-1, keepdim=True).clamp(min=1e-6)
            text = text / norm * text.shape[-1] ** 0.5
        return text * self.signs


def _expect_read_codes(
    encoder: nn.Module, state: dict[str, torch.Tensor], prefix: str, *of_loading: object
) -> None:
    """Take over which codes are read from an encoder of fewer genes.

    Where it reads all of them, as one does that was saved before codes could be left unread, so
    does this one, whatever its genes are.
    """
    assert isinstance(encoder, FacetEncoder)
    saved = state.get(f"{prefix}reads_code")
    if saved is None or bool(saved.all()):
        state[f"{prefix}reads_code"] = torch.ones_like(encoder.reads_code)
    elif len(saved) < len(encoder.reads_code):
        encoder.reads_code = encoder.reads_code[: len(saved)].clone()


def symbol_codes(genes: Sequence[str], width: int, *, n_fitted: int | None = None) -> torch.Tensor:
    """Give each gene its own code, of norm √width and orthogonal to those of the fitted genes.

    Codes are drawn from a Gaussian seeded by the symbol. Those of the fitted genes are made
    orthogonal to each other in order; from the ``width``-th on they stay as drawn. That of a gene
    that was met later is made orthogonal to the fitted genes' where these leave room, and so
    depends on its symbol and on them alone, not on what else was met.

    Args:
        genes: Gene symbols, the fitted ones first.
        width: Length of a code.
        n_fitted: How many of them are fitted ones; None for all.

    Returns:
        (genes, width).
    """
    codes = np.empty((len(genes), width), dtype=np.float64)
    for row, gene in enumerate(genes):
        seed = int.from_bytes(hashlib.sha256(gene.encode()).digest()[:8], "little")
        codes[row] = np.random.default_rng(seed).standard_normal(width)
    n_first = len(genes) if n_fitted is None else n_fitted
    n_orthogonal = min(n_first, width - 1)
    # QR goes through the columns in order: a column's direction depends only on those before it.
    basis, upper = np.linalg.qr(codes[:n_orthogonal].T)
    codes[:n_orthogonal] = (basis * np.sign(np.diag(upper))).T
    if n_first < width - 1:
        for row in range(n_first, len(genes)):
            codes[row] -= basis @ (codes[row] @ basis)
    norm = np.linalg.norm(codes, axis=1, keepdims=True)
    return torch.from_numpy((codes / norm * width**0.5).astype(np.float32))


def facet_means(values: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    """Mean vector of each facet over the genes that know it.

    Args:
        values: Facet vectors, (genes, K, D_text).
        confidence: In [0, 1], (genes, K).

    Returns:
        Means, (K, D_text); zeros for a facet that fewer than two genes know, since subtracting
        the mean would then leave nothing.
    """
    known = (confidence > 0).to(values.dtype)
    n_known = known.sum(dim=0)  # (K,)
    means = torch.einsum("gk,gkd->kd", known, values) / n_known.clamp(min=1)[:, None]
    return means * (n_known >= 2)[:, None]
