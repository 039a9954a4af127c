"""Facet attention against a loop in float64, and its masks, autocast and gradients."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from entmax import entmax15, sparsemax
from torch.nn import functional

from dygenept.errors import ConfigError
from dygenept.plugin.interfaces import FacetBatch
from dygenept_plugins.networks.attention import FacetAttention, softmax

B, P, K, H, D = 5, 3, 8, 4, 16
NAMES = ("sparsemax", "entmax15", "softmax", "gated", "mean")


def attention(name: str, seed: int = 0, width: int = D) -> FacetAttention:
    normalise = {
        "sparsemax": partial(sparsemax, dim=-1),
        "entmax15": partial(entmax15, dim=-1),
    }.get(name, softmax)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FacetAttention(
            width=width,
            num_heads=H,
            normalise=normalise,
            link=functional.logsigmoid if name == "gated" else None,
            reads_cell=name != "mean",
        )


def batch(seed: int = 1, unknown: float = 0.4) -> tuple[torch.Tensor, FacetBatch]:
    generator = torch.Generator().manual_seed(seed)
    confidence = torch.rand(B, P, K, generator=generator) * 0.9 + 0.1
    confidence[torch.rand(B, P, K, generator=generator) < unknown] = 0.0
    confidence[0, 0] = 0.0
    confidence[0, 1, 1:] = 0.0
    confidence[0, 1, 0] = 0.5
    facets = FacetBatch(
        values=torch.randn(B, P, K, D, generator=generator) * 2,
        confidence=confidence,
        known=confidence > 0,
        null=torch.zeros(D),
    )
    return torch.randn(B, D, generator=generator) * 2, facets


def reference_weights(name: str, scores: list[float], confidence: list[float]) -> list[float]:
    """Weights of one gene and head over its known facets, by the textbook."""
    if name == "mean":
        return [c / sum(confidence) for c in confidence]
    if name == "gated":
        gates = [c / (1 + math.exp(-s)) for s, c in zip(scores, confidence, strict=True)]
        return [gate / sum(gates) for gate in gates]
    biased = [s + math.log(c) for s, c in zip(scores, confidence, strict=True)]
    if name == "softmax":
        exponents = [math.exp(x) for x in biased]
        return [x / sum(exponents) for x in exponents]
    if name == "sparsemax":
        ranked = sorted(biased, reverse=True)
        support = max(
            k for k in range(1, len(ranked) + 1) if 1 + k * ranked[k - 1] > sum(ranked[:k])
        )
        threshold = (sum(ranked[:support]) - 1) / support
        return [max(x - threshold, 0.0) for x in biased]
    # 1.5-entmax: weights are max(x / 2 − τ, 0)², with τ found by bisection.
    low, high = max(biased) / 2 - 1, max(biased) / 2
    for _ in range(200):
        middle = (low + high) / 2
        total = sum(max(x / 2 - middle, 0.0) ** 2 for x in biased)
        low, high = (middle, high) if total > 1 else (low, middle)
    return [max(x / 2 - low, 0.0) ** 2 for x in biased]


def reference(
    module: FacetAttention, name: str, cell: torch.Tensor, facets: FacetBatch
) -> tuple[np.ndarray, np.ndarray]:
    """The whole module in float64 numpy, one gene and head at a time."""
    state = {key: value.double().numpy() for key, value in module.state_dict().items()}
    embedding, weights = np.zeros((B, P, D)), np.zeros((B, P, H, K))
    d = D // H
    for b in range(B):
        for p in range(P):
            known = np.flatnonzero(facets.confidence[b, p].numpy() > 0)
            if not len(known):
                continue
            values = facets.values[b, p, known].double().numpy()
            projected = values @ state["value.weight"].T + state["value.bias"]
            pooled = np.zeros(D)
            for h in range(H):
                head = slice(h * d, (h + 1) * d)
                scores = np.zeros(len(known))
                if name != "mean":
                    query = cell[b].double().numpy() @ state["query.weight"].T + state["query.bias"]
                    key = values @ state["key.weight"].T
                    scores = key[:, head] @ query[head] / math.sqrt(d)
                confidence = facets.confidence[b, p, known].double().tolist()
                row = reference_weights(name, scores.tolist(), confidence)
                weights[b, p, h, known] = row
                pooled[head] = np.array(row) @ projected[:, head]
            out = pooled @ state["output.weight"].T + state["output.bias"]
            out = (out - out.mean()) / np.sqrt(out.var() + 1e-5)
            embedding[b, p] = out * state["norm.weight"] + state["norm.bias"]
    return embedding, weights


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_a_loop_in_float64(name: str) -> None:
    module, (cell, facets) = attention(name), batch()
    output = module(cell, facets)
    embedding, weights = reference(module, name, cell, facets)
    np.testing.assert_allclose(output.weights.detach(), weights, atol=2e-6)
    np.testing.assert_allclose(output.embedding.detach(), embedding, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_weights_sum_to_one_or_are_all_zero_without_a_known_facet(name: str) -> None:
    cell, facets = batch()
    weights = attention(name)(cell, facets).weights
    has_known = facets.known.any(-1)
    assert not has_known.all()
    torch.testing.assert_close(
        weights.sum(-1), has_known[..., None].float().expand(B, P, H), atol=1e-6, rtol=0
    )
    assert (weights >= 0).all()
    assert (weights[~facets.known[:, :, None].expand_as(weights)] == 0).all()


@pytest.mark.parametrize("name", ["sparsemax", "entmax15"])
def test_sparse_attention_gives_known_facets_exact_zeros(name: str) -> None:
    cell, facets = batch(unknown=0.0)
    weights = attention(name)(cell * 3, facets).weights
    known = facets.known[:, :, None].expand_as(weights)
    assert (weights[known] == 0).any()


@pytest.mark.parametrize("name", NAMES)
def test_unknown_facet_is_masked_out_whatever_stands_in_its_place(name: str) -> None:
    module, (cell, facets) = attention(name), batch()
    junk = facets.values.masked_fill(~facets.known[..., None], torch.nan)
    changed = FacetBatch(junk, facets.confidence, facets.known, facets.null)
    torch.testing.assert_close(
        module(cell, changed).embedding, module(cell, facets).embedding, atol=0, rtol=0
    )


@pytest.mark.parametrize("name", NAMES)
def test_confidence_zero_masks_a_facet_that_is_flagged_known(name: str) -> None:
    module, (cell, facets) = attention(name), batch()
    flagged = FacetBatch(
        facets.values, facets.confidence, torch.ones_like(facets.known), facets.null
    )
    torch.testing.assert_close(
        module(cell, flagged).weights, module(cell, facets).weights, atol=0, rtol=0
    )


@pytest.mark.parametrize("name", NAMES)
def test_lower_confidence_never_raises_a_facets_weight(name: str) -> None:
    module, (cell, facets) = attention(name), batch(unknown=0.0)
    before = module(cell, facets).weights
    lowered = facets.confidence.clone()
    lowered[:, :, 2] *= 0.5
    after = module(
        cell, FacetBatch(facets.values, lowered, facets.known & (lowered > 0), facets.null)
    ).weights
    change = (after - before)[:, :, :, 2]
    assert (change <= 1e-6).all()
    assert (change < -1e-3).any()
    if name in ("softmax", "gated", "mean"):
        inside = facets.known[:, :, 2] & (facets.known.sum(-1) > 1)
        assert (change[inside] < 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_row_without_a_known_facet_gives_zeros_and_finite_gradients(name: str) -> None:
    module, (cell, facets) = attention(name), batch()
    none_known = FacetBatch(
        facets.values.clone().requires_grad_(),
        torch.zeros(B, P, K),
        torch.zeros(B, P, K, dtype=torch.bool),
        facets.null,
    )
    cell.requires_grad_()
    output = module(cell, none_known)
    assert not output.embedding.any()
    assert not output.weights.any()
    (output.embedding.sum() + output.weights.sum()).backward()
    for tensor in (cell, none_known.values, *module.parameters()):
        assert tensor.grad is None or not tensor.grad.any()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_beside_a_row_without_a_known_facet(name: str) -> None:
    module, (cell, facets) = attention(name), batch()
    cell.requires_grad_()
    target = torch.randn(B, P, D, generator=torch.Generator().manual_seed(3))
    (module(cell, facets).embedding * target).sum().backward()
    for parameter in module.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.any()
    assert (cell.grad is None) == (name == "mean")
    assert cell.grad is None or torch.isfinite(cell.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_order_of_genes_batch_mates_and_padding_change_nothing(name: str) -> None:
    module, (cell, facets) = attention(name), batch()
    whole = module(cell, facets)
    order = torch.tensor([2, 0, 1])
    swapped = module(
        cell,
        FacetBatch(
            facets.values[:, order],
            facets.confidence[:, order],
            facets.known[:, order],
            facets.null,
        ),
    )
    torch.testing.assert_close(swapped.embedding, whole.embedding[:, order], atol=1e-6, rtol=0)
    alone = module(
        cell[2:3],
        FacetBatch(
            facets.values[2:3, :2], facets.confidence[2:3, :2], facets.known[2:3, :2], facets.null
        ),
    )
    torch.testing.assert_close(alone.embedding, whole.embedding[2:3, :2], atol=1e-6, rtol=0)
    torch.testing.assert_close(alone.weights, whole.weights[2:3, :2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_scores_and_weights_are_float32_under_bf16_autocast(name: str) -> None:
    seen: list[torch.dtype] = []
    module, (cell, facets) = attention(name), batch()
    inner = module.normalise

    def watched(scores: torch.Tensor) -> torch.Tensor:
        seen.append(scores.dtype)
        return inner(scores)

    module.normalise = watched
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
        output = module(cell, facets)
    assert seen == [torch.float32]
    assert output.weights.dtype == torch.float32
    has_known = facets.known.any(-1)[..., None].float().expand(B, P, H)
    torch.testing.assert_close(output.weights.sum(-1), has_known, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_huge_scores_stay_exact(name: str) -> None:
    module, (cell, facets) = attention(name), batch()
    output = module(cell * 1e6, facets)
    assert torch.isfinite(output.embedding).all()
    total = output.weights.sum(-1)[facets.known.any(-1)]
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-5, rtol=0)
    assert (output.weights[~facets.known[:, :, None].expand_as(output.weights)] == 0).all()


def test_double_precision_is_kept() -> None:
    module, (cell, facets) = attention("softmax").double(), batch()
    output = module(
        cell.double(),
        FacetBatch(
            facets.values.double(), facets.confidence.double(), facets.known, facets.null.double()
        ),
    )
    assert output.weights.dtype == output.embedding.dtype == torch.float64


def test_heads_that_do_not_divide_the_width_are_refused_with_the_allowed_numbers() -> None:
    with pytest.raises(ConfigError, match=r"num_heads 4 does not divide the width 10.*1, 2, 5, 10"):
        attention("softmax", width=10)


def test_attention_depends_on_the_cell_except_for_mean() -> None:
    cell, facets = batch(unknown=0.0)
    for name in NAMES:
        module = attention(name)
        same = torch.equal(module(cell, facets).weights, module(cell.flip(0), facets).weights)
        assert same == (name == "mean")
