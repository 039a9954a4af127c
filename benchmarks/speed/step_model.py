"""The full DyGenePT model with random weights, built without the registry."""

from __future__ import annotations

import importlib.util
from functools import partial

import torch

from dygenept.model.network import DyGenePT, Parts
from dygenept.model.training.synthetic import (
    N_TARGETS,
    N_TRAINED,
    Size,
    gene_names,
    knowledge_of,
)
from dygenept.plugin.interfaces import CellEncoderContext, GeneEncoderContext
from dygenept_plugins.networks.attention import FacetAttention, Normaliser, softmax
from dygenept_plugins.networks.facets import FacetEncoder
from dygenept_plugins.networks.latent_arithmetic import LatentArithmetic
from dygenept_plugins.networks.scgpt import ScGpt, ScGptSize
from dygenept_plugins.networks.scgpt_cache import CacheOptions
from dygenept_plugins.networks.scgpt_cells import CellOptions, ScGptCellState
from dygenept_plugins.networks.scgpt_tokens import Vocabulary


def sparsemax_or_softmax() -> tuple[str, Normaliser]:
    """Return entmax's sparsemax where it is installed, else softmax; over 8 facets it is small."""
    if importlib.util.find_spec("entmax") is None:
        return "softmax", softmax
    from entmax import sparsemax

    return "sparsemax", partial(sparsemax, dim=-1)


def build(size: Size, *, length: int, is_cached: bool, dtype: torch.dtype) -> DyGenePT:
    """Build the model with random weights, on the CPU."""
    genes = gene_names(size)
    targets = genes[:N_TARGETS]
    knowledge = knowledge_of(size)
    vocabulary = Vocabulary.of_genes(genes)
    transformer = ScGptSize(
        n_tokens=max(size.n_tokens, vocabulary.n_tokens),
        pad_token=vocabulary.pad,
        d_model=size.d_model,
        n_layers=size.n_layers,
        n_heads=size.n_heads,
        d_hid=size.d_model,
        dropout=0.2,
    )
    options = CellOptions(
        n_bins=51,
        max_length=length,
        sampling_seed=0,
        freeze_layers=-N_TRAINED,
        pooling="cls",
        cache=CacheOptions(place="memory" if is_cached else "off", dtype=dtype, max_bytes=10**11),
    )
    _, normalise = sparsemax_or_softmax()
    parts = Parts(
        gene_encoder=lambda context: FacetEncoder(context, facet_signs=True),
        cell_encoder=lambda context: ScGptCellState(
            ScGpt(transformer), context=context, vocabulary=vocabulary, options=options
        ),
        attention=lambda width: FacetAttention(
            width=width, num_heads=size.attention_heads, normalise=normalise
        ),
        decoder=lambda context: LatentArithmetic(
            width=context.width, n_genes=context.n_genes, hidden_dims=size.hidden_dims
        ),
    )
    torch.manual_seed(0)
    return DyGenePT(
        parts,
        genes=GeneEncoderContext(knowledge, targets, size.width),
        cells=CellEncoderContext(genes, targets, size.width, seed=0),
        n_genes=size.n_genes,
    )
