"""Conformance of attention modules and decoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dygenept.plugin.interfaces import (
    AddsFacetVectors,
    Attention,
    AttentionOutput,
    CombinesGenes,
    Decoder,
    DecoderContext,
    ExtendsReadout,
    FacetBatch,
    HasSharedShift,
    LinearReadout,
)
from dygenept.plugin.specs import AttentionSpec, DecoderSpec
from dygenept.testing.encoder_checks import WIDTH, close, evaluation_mode, restore
from dygenept.testing.rules import Rules, checking, configured
from dygenept.types import FACETS

if TYPE_CHECKING:
    import torch
    from torch import nn

B, P, G = 4, 3, 50
PERMUTATION = [2, 0, 1]


def check_attention(spec: AttentionSpec, *, options: Mapping[str, object] | None = None) -> None:
    """Check an attention module.

    Weights are float32, not negative, zero for unknown facets, and sum to 1, or to 0 where no
    facet is known, in which case the embedding is zero too; what an unknown facet holds, padding,
    batch-mates and the order of the genes change nothing; gradients are finite. One that adds facet
    vectors itself finds what it finds for facets that have them.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If it needs options or a package that are not here.
    """
    import torch

    config = configured(spec, options)
    with checking(spec) as rules, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        attention = spec.factory(config, WIDTH)
        module = evaluation_mode(attention, rules)
        cell, facets = _attention_inputs()
        with torch.no_grad():
            output = _attend(attention, cell, facets, rules)
            _check_attention_invariants(attention, cell, facets, output, rules)
            twin = spec.factory(config, WIDTH)
            restore(module, evaluation_mode(twin, rules), rules)
            rules.require(
                _same(_attend(twin, cell, facets, rules), output),
                "a saved state restored gives another output",
            )
            with torch.autocast("cpu", dtype=torch.bfloat16):
                _attend(attention, cell, facets, rules)
            _check_attention_offers(attention, cell, facets, rules)
        module.train()
        leaf = facets.values.clone().requires_grad_()
        output = attention(cell, replace(facets, values=leaf))
        torch.autograd.backward(output.embedding.square().sum())
        _check_gradients(leaf, module, rules, " where a gene has no known facet")


def _check_attention_offers(
    attention: Attention, cell: torch.Tensor, facets: FacetBatch, rules: Rules
) -> None:
    import torch

    if not isinstance(attention, AddsFacetVectors):
        return
    vectors = torch.randn(facets.values.shape[2:])  # (K, D)
    given = attention.adding_vectors(cell, facets)(vectors)
    added = (facets.values + vectors).masked_fill(~facets.known[..., None], 0.0)
    expected = attention(cell, replace(facets, values=added))
    rules.require(
        close(given.embedding, expected.embedding) and close(given.weights, expected.weights),
        "adding_vectors gives other results than facets that the vectors were added to",
    )


def check_decoder(spec: DecoderSpec, *, options: Mapping[str, object] | None = None) -> None:
    """Check a decoder.

    It returns the control where no gene is perturbed; the order of the genes, what padding holds
    and batch-mates change nothing; one gene or more than two work alike; gradients are finite. One
    that offers a linear readout predicts, at its start, what the readout was set to, and what is
    added to it; one that offers to combine genes sums what it predicts.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If it needs options or a package that are not here.
    """
    import torch

    config = configured(spec, options)
    with checking(spec) as rules, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        context = DecoderContext(width=WIDTH, n_genes=G)
        decoder = spec.factory(config, context)
        module = evaluation_mode(decoder, rules)
        inputs = _decoder_inputs()
        with torch.no_grad():
            # Many decoders start at "nothing changes", where every invariant holds by itself.
            for parameter in module.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
            output = _decode(decoder, inputs, rules)
            _check_decoder_invariants(decoder, inputs, output, rules)
            _check_combining(decoder, inputs, rules)
            twin = spec.factory(config, context)
            restore(module, evaluation_mode(twin, rules), rules)
            rules.require(
                close(_decode(twin, inputs, rules), output),
                "a saved state restored gives another output",
            )
            fresh = spec.factory(config, context)
            evaluation_mode(fresh, rules)
            _check_decoder_offers(fresh, inputs, rules)
        module.train()
        leaf = inputs.embedding.clone().requires_grad_()
        output = decoder(leaf, inputs.gene_mask, inputs.cell, inputs.control)
        torch.autograd.backward(output.square().sum())
        _check_gradients(leaf, module, rules, "")


def _check_gradients(leaf: torch.Tensor, module: nn.Module, rules: Rules, where: str) -> None:
    gradients = [leaf.grad, *(parameter.grad for parameter in module.parameters())]
    rules.require(
        all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients),
        f"a gradient is NaN or infinite{where}",
    )


def _attention_inputs() -> tuple[torch.Tensor, FacetBatch]:
    import torch

    generator = torch.Generator().manual_seed(1)
    shape = (B, P, len(FACETS))
    known = torch.rand(shape, generator=generator) < 0.6
    known[..., 0] = True
    # Row 0 has a gene that knows a single facet, row 1 one that knows none.
    known[0, 0, 1:] = False
    known[1, 2] = False
    confidence = torch.rand(shape, generator=generator).clamp(min=0.05) * known
    facets = FacetBatch(
        values=torch.randn(*shape, WIDTH, generator=generator) * known[..., None],
        confidence=confidence,
        known=known,
        null=torch.randn(WIDTH, generator=generator),
    )
    return torch.randn(B, WIDTH, generator=generator), facets


def _attend(
    attention: Attention, cell: torch.Tensor, facets: FacetBatch, rules: Rules
) -> AttentionOutput:
    import torch

    output = attention(cell, facets)
    rules.require(
        isinstance(output, AttentionOutput),
        f"it must return AttentionOutput, got {type(output).__name__}",
    )
    embedding, weights = output.embedding, output.weights
    n_rows, n_genes, n_facets, width = facets.values.shape
    rules.require(
        tuple(embedding.shape) == (n_rows, n_genes, width),
        f"embedding must be ({n_rows}, {n_genes}, {width}), got {tuple(embedding.shape)}",
    )
    rules.require(
        weights.ndim == 4
        and tuple(weights.shape[:2]) == (n_rows, n_genes)
        and weights.shape[3] == n_facets,
        f"weights must be ({n_rows}, {n_genes}, H, {n_facets}), got {tuple(weights.shape)}",
    )
    rules.require(weights.dtype == torch.float32, f"weights must be float32, got {weights.dtype}")
    rules.require(
        bool(embedding.isfinite().all()) and bool(weights.isfinite().all()),
        "embedding or weights contain NaN or infinite numbers",
    )
    rules.require(not (weights < 0).any(), "a weight is negative")
    unknown = ~facets.known[:, :, None, :].expand_as(weights)
    rules.require(not weights[unknown].any(), "an unknown facet has a weight above 0")
    informed = facets.known.any(dim=-1)  # (B, P)
    expected = informed[:, :, None].to(weights.dtype).expand(weights.shape[:3])
    rules.require(
        close(weights.sum(dim=-1), expected),
        "weights must sum to 1, or to 0 where no facet is known",
    )
    rules.require(
        not embedding[~informed].any(), "the embedding of a gene with no known facet is not zero"
    )
    return output


def _check_attention_invariants(
    attention: Attention,
    cell: torch.Tensor,
    facets: FacetBatch,
    output: AttentionOutput,
    rules: Rules,
) -> None:
    import torch

    rules.require(
        _same(_attend(attention, cell, facets, rules), output), "evaluated twice, it differs"
    )
    garbage = torch.where(facets.known[..., None], facets.values, torch.tensor(1e3))
    rules.require(
        _same(_attend(attention, cell, replace(facets, values=garbage), rules), output),
        "what an unknown facet holds changes the output",
    )
    permuted = _attend(attention, cell, _select(facets, genes=PERMUTATION), rules)
    rules.require(
        close(permuted.embedding, output.embedding[:, PERMUTATION]),
        "a gene's embedding depends on the order of the genes",
    )
    alone = _attend(attention, cell[:1], _select(facets, rows=[0], genes=[0]), rules)
    rules.require(
        close(alone.embedding[0, 0], output.embedding[0, 0])
        and close(alone.weights[0, 0], output.weights[0, 0]),
        "a gene's embedding depends on the other genes or rows of the batch",
    )


def _select(
    facets: FacetBatch, *, rows: list[int] | None = None, genes: list[int] | None = None
) -> FacetBatch:
    rows = list(range(B)) if rows is None else rows
    genes = list(range(P)) if genes is None else genes
    return FacetBatch(
        values=facets.values[rows][:, genes],
        confidence=facets.confidence[rows][:, genes],
        known=facets.known[rows][:, genes],
        null=facets.null,
    )


def _same(first: AttentionOutput, second: AttentionOutput) -> bool:
    return close(first.embedding, second.embedding) and close(first.weights, second.weights)


@dataclass(frozen=True, slots=True)
class _DecoderInputs:
    embedding: torch.Tensor
    gene_mask: torch.Tensor
    cell: torch.Tensor
    control: torch.Tensor


def _decoder_inputs() -> _DecoderInputs:
    import torch

    generator = torch.Generator().manual_seed(2)
    mask = torch.tensor([[True] * 3, [True, True, False], [True, False, False], [False] * 3])
    return _DecoderInputs(
        embedding=torch.randn(B, P, WIDTH, generator=generator),
        gene_mask=mask,
        cell=torch.randn(B, WIDTH, generator=generator),
        control=torch.rand(B, G, generator=generator) * 3,
    )


def _decode(decoder: Decoder, inputs: _DecoderInputs, rules: Rules) -> torch.Tensor:
    output = decoder(inputs.embedding, inputs.gene_mask, inputs.cell, inputs.control)
    rules.require(
        output.shape == inputs.control.shape,
        f"it must return {tuple(inputs.control.shape)}, got {tuple(output.shape)}",
    )
    rules.require(bool(output.isfinite().all()), "it predicts NaN or infinite values")
    return output


def _check_decoder_invariants(
    decoder: Decoder, inputs: _DecoderInputs, output: torch.Tensor, rules: Rules
) -> None:
    rules.require(close(_decode(decoder, inputs, rules), output), "evaluated twice, it differs")
    rules.require(
        close(output[3], inputs.control[3]),
        "where no gene is perturbed it must return the control expression",
    )
    garbage = inputs.embedding.masked_fill(~inputs.gene_mask[..., None], 1e3)
    rules.require(
        close(_decode(decoder, replace(inputs, embedding=garbage), rules), output),
        "what a padded slot holds changes the prediction",
    )
    permuted = replace(
        inputs,
        embedding=inputs.embedding[:, PERMUTATION],
        gene_mask=inputs.gene_mask[:, PERMUTATION],
    )
    rules.require(
        close(_decode(decoder, permuted, rules), output),
        "the order of a combination's genes changes the prediction",
    )
    for row, n_genes in ((0, 3), (1, 2), (2, 1)):
        alone = _DecoderInputs(
            embedding=inputs.embedding[row : row + 1, :n_genes],
            gene_mask=inputs.gene_mask[row : row + 1, :n_genes],
            cell=inputs.cell[row : row + 1],
            control=inputs.control[row : row + 1],
        )
        rules.require(
            close(_decode(decoder, alone, rules)[0], output[row]),
            "padding or the rest of the batch changes a prediction",
        )


def _check_decoder_offers(decoder: Decoder, inputs: _DecoderInputs, rules: Rules) -> None:
    import torch

    if not isinstance(decoder, LinearReadout):
        return
    features = decoder.readout_features(inputs.embedding, inputs.gene_mask, inputs.cell)
    rules.require(
        features.ndim == 2 and len(features) == B and bool(features.isfinite().all()),
        f"readout_features must be ({B}, F) and finite, got {tuple(features.shape)}",
    )
    rules.require(
        not features[3].any(), "readout_features must be zeros where no gene is perturbed"
    )
    weights = torch.randn(G, features.shape[1], generator=torch.Generator().manual_seed(3))
    weights = weights / features.norm(dim=1).max().clamp(min=1e-6)
    decoder.set_readout(weights)
    rules.require(
        close(_decode(decoder, inputs, rules), inputs.control + features @ weights.T),
        "after set_readout a new decoder must predict control + readout_features · weightsᵀ",
    )
    if isinstance(decoder, ExtendsReadout):
        decoder.add_readout(weights / 2)
        rules.require(
            close(_decode(decoder, inputs, rules), inputs.control + 1.5 * features @ weights.T),
            "add_readout must add readout_features · weightsᵀ to what is predicted",
        )
    if isinstance(decoder, HasSharedShift):
        shared = decoder.shared_features(inputs.cell)
        rules.require(
            shared.shape == features.shape and bool(shared.isfinite().all()),
            f"shared_features must be {tuple(features.shape)} and finite, got "
            f"{tuple(shared.shape)}",
        )


def _check_combining(decoder: Decoder, inputs: _DecoderInputs, rules: Rules) -> None:
    """Check that genes that are computed once combine to what the decoder predicts for them."""
    import torch

    if not isinstance(decoder, CombinesGenes):
        return
    # Every gene is embedded otherwise in every cell.
    embedding = inputs.embedding.roll(1, dims=0)  # (C, U, D)
    genes = torch.tensor([[0, -1, -1], [1, 2, -1], [2, 0, 1], [-1, -1, -1]])
    expected = torch.zeros(len(genes), G)
    for number in range(B):
        rows = replace(
            inputs,
            embedding=embedding[number][genes],
            gene_mask=genes >= 0,
            cell=inputs.cell[[number]].expand(len(genes), -1),
            control=inputs.control[[number]].expand(len(genes), -1),
        )
        expected += _decode(decoder, rows, rules) - rows.control
    found = decoder.combining(embedding, inputs.cell, inputs.control)(genes)
    rules.require(
        found.shape == expected.shape and close(found, expected),
        "combining must return the changes that it predicts, summed over cells",
    )
    columns = torch.tensor([G - 1, 0])
    some = decoder.combining(embedding, inputs.cell, inputs.control, columns)(genes)
    rules.require(
        some.shape == (len(genes), 2) and close(some, expected[:, columns]),
        "combining must return the columns that are asked for",
    )
