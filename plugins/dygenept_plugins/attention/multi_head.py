"""Multi-head attention over facets: five ways from a gene's scores to its facets' weights.

``sparsemax`` projects the scores onto the simplex, so that facets which do not matter in this cell
get a weight of exactly 0: Martins & Astudillo 2016, arXiv:1602.02068.
``entmax15`` (1.5-entmax) gives exact zeros too, with smoother transitions: Peters, Niculae &
Martins 2019, arXiv:1905.05702. Both are computed by the entmax package (MIT).
``softmax`` is the scaled dot-product attention of Vaswani et al. 2017, arXiv:1706.03762: every
known facet keeps some weight, in proportion to its confidence.
``gated`` has an independent gate per facet and head: a weight is confidence × sigmoid(score),
divided by the sum over the known facets. Gates saturate, so no single facet can outgrow the others
as in softmax.
``mean`` is the ablation without attention: weights are confidences divided by their sum, in every
head and whatever the cell.
None of them loads weights.
"""

from __future__ import annotations

from functools import partial

from pydantic import Field

from dygenept.plugin import Attention, AttentionSpec, PluginConfig, hookimpl


class MultiHeadConfig(PluginConfig):
    """Options of multi-head attention.

    Attributes:
        num_heads: Heads H; must divide the model's width.
    """

    num_heads: int = Field(default=8, ge=1)


def build_sparsemax(config: MultiHeadConfig, width: int) -> Attention:
    """Build ``sparsemax``."""
    from entmax import sparsemax

    from dygenept_plugins.networks.attention import FacetAttention

    return FacetAttention(
        width=width, num_heads=config.num_heads, normalise=partial(sparsemax, dim=-1)
    )


def build_entmax15(config: MultiHeadConfig, width: int) -> Attention:
    """Build ``entmax15``."""
    from entmax import entmax15

    from dygenept_plugins.networks.attention import FacetAttention

    return FacetAttention(
        width=width, num_heads=config.num_heads, normalise=partial(entmax15, dim=-1)
    )


def build_softmax(config: MultiHeadConfig, width: int) -> Attention:
    """Build ``softmax``."""
    from dygenept_plugins.networks.attention import FacetAttention, softmax

    return FacetAttention(width=width, num_heads=config.num_heads, normalise=softmax)


def build_gated(config: MultiHeadConfig, width: int) -> Attention:
    """Build ``gated``: a softmax of log(sigmoid(score)) + log(confidence), which is the same."""
    from torch.nn import functional

    from dygenept_plugins.networks.attention import FacetAttention, softmax

    return FacetAttention(
        width=width, num_heads=config.num_heads, normalise=softmax, link=functional.logsigmoid
    )


def build_mean(config: MultiHeadConfig, width: int) -> Attention:
    """Build ``mean``."""
    from dygenept_plugins.networks.attention import FacetAttention, softmax

    return FacetAttention(
        width=width, num_heads=config.num_heads, normalise=softmax, reads_cell=False
    )


@hookimpl
def dygenept_attention() -> list[AttentionSpec]:
    """Return the five attentions."""
    spec = partial(AttentionSpec, config=MultiHeadConfig)
    return [
        spec(
            name="sparsemax",
            summary="Sparsemax over facets: exact zeros for facets that do not matter.",
            source="Martins & Astudillo 2016, arXiv:1602.02068",
            factory=build_sparsemax,
        ),
        spec(
            name="softmax",
            summary="Softmax over facets: every known facet keeps some weight.",
            source="Vaswani et al. 2017, arXiv:1706.03762",
            factory=build_softmax,
        ),
        spec(
            name="entmax15",
            summary="1.5-entmax over facets: exact zeros, smoother than sparsemax.",
            source="Peters, Niculae & Martins 2019, arXiv:1905.05702",
            factory=build_entmax15,
        ),
        spec(
            name="mean",
            summary="Confidence-weighted mean of the known facets, whatever the cell.",
            source="this project",
            factory=build_mean,
        ),
        spec(
            name="gated",
            summary="Independent sigmoid gates per facet and head, normalised to sum 1.",
            source="this project",
            factory=build_gated,
        ),
    ]
