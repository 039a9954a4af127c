"""Conformance of gene encoders and cell encoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dygenept.plugin.interfaces import (
    CellEncoder,
    CellEncoderContext,
    FacetBatch,
    GeneEncoder,
    GeneEncoderContext,
    HasFacetVectors,
    HasIdentityShare,
    LendsFacets,
    ReadsCodesOf,
)
from dygenept.plugin.specs import CellEncoderSpec, GeneEncoderSpec, PluginConfig
from dygenept.testing.rules import Rules, checking, configured
from dygenept.testing.toy import TOY_TARGETS
from dygenept.testing.toy_knowledge import UNKNOWN_GENE, toy_control_pool, toy_knowledge
from dygenept.types import GeneKnowledge, Runtime

if TYPE_CHECKING:
    import torch
    from torch import nn

WIDTH = 32
# Batched matrix products may round differently from single ones, and no more.
TOLERANCE = 1e-4


def check_gene_encoder(
    spec: GeneEncoderSpec, *, options: Mapping[str, object] | None = None
) -> None:
    """Check a gene encoder.

    A padded slot, a gene without a known facet and a gene that the knowledge lacks give no known
    facet; padding and batch-mates change nothing; the saved state restores it. Facet vectors that
    it offers are added to the values of known facets, and it works at every identity share offered.
    Codes that it leaves unread are those that it is told to leave, also after its state was saved.
    Facets that it adds stand behind those of the facet set, which stay as they are.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If it needs options, weights or a package that are not here.
    """
    import torch

    config = configured(spec, options)
    genes = (*TOY_TARGETS, UNKNOWN_GENE)
    with checking(spec) as rules:
        knowledge = _widened(spec, config, rules)
    context = GeneEncoderContext(knowledge=knowledge, genes=genes, width=WIDTH)
    with checking(spec) as rules, torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        encoder = spec.factory(config, context)
        module = evaluation_mode(encoder, rules)
        indices = torch.tensor([[1, 2, -1], [3, 0, len(genes) - 1], [2, -1, -1]])  # (B, P)
        batch = encoder(indices)
        n_facets = len(knowledge.facet_names)
        _check_facet_batch(batch, (*indices.shape, n_facets), rules)
        rules.require(not batch.known[indices == -1].any(), "a padded slot has a known facet")
        rules.require(
            not batch.known[1, 1].any(), "a gene without any known facet has a known facet"
        )
        rules.require(
            not batch.known[1, 2].any(), "a gene that the knowledge lacks has a known facet"
        )
        rules.require(bool(batch.known[0, 0].any()), "a gene with facets has no known facet")
        rules.require(
            torch.equal(batch.known, batch.confidence > 0), "known must mean confidence above 0"
        )
        rules.require(same_facets(encoder(indices), batch), "evaluated twice, it differs")
        alone = encoder(indices[2:, :1])
        rules.require(
            close(alone.values[0, 0], batch.values[2, 0]),
            "a gene's embedding depends on padding or on the rest of the batch",
        )
        # The second one starts from other weights, so that only the state can make it equal.
        twin = spec.factory(config, context)
        restore(module, evaluation_mode(twin, rules), rules)
        rules.require(
            same_facets(twin(indices), batch), "a saved state restored gives other embeddings"
        )
        _check_gene_encoder_offers(encoder, twin, indices, rules)


def _widened(spec: GeneEncoderSpec, config: PluginConfig, rules: Rules) -> GeneKnowledge:
    knowledge = toy_knowledge()
    if spec.widen is None:
        return knowledge
    found = spec.widen(config, knowledge, Runtime())
    n_facets, width = knowledge.values.shape[1:]
    rules.require(
        isinstance(found, GeneKnowledge)
        and found.genes == knowledge.genes
        and found.facet_names[:n_facets] == knowledge.facet_names
        and len(set(found.facet_names)) == len(found.facet_names),
        "widen must keep genes and facets and add facets of other names",
    )
    rules.require(
        np.array_equal(found.values[:, :n_facets, :width], knowledge.values)
        and not found.values[:, :n_facets, width:].any()
        and np.array_equal(found.confidence[:, :n_facets], knowledge.confidence),
        "widen must leave what the facet set says as it is",
    )
    rules.require(
        found.sha256 != knowledge.sha256,
        "widen must give what it returns a hash of its own",
    )
    # The genes of the toy set are real, and a graph may know what the set does not.
    is_known = knowledge.confidence.max(axis=1) > 0
    return replace(
        found,
        values=found.values * is_known[:, None, None],
        confidence=found.confidence * is_known[:, None],
    )


def _check_gene_encoder_offers(
    encoder: GeneEncoder, twin: GeneEncoder, indices: torch.Tensor, rules: Rules
) -> None:
    if isinstance(encoder, HasFacetVectors):
        vectors = encoder.facet_vectors()
        if vectors is not None:
            batch = encoder(indices)
            n_facets = batch.known.shape[-1]
            rules.require(
                tuple(vectors.shape) == (n_facets, WIDTH) and vectors.requires_grad,
                f"facet_vectors must return a trainable ({n_facets}, {WIDTH}), got "
                f"{tuple(vectors.shape)}",
            )
            vectors.add_(1.0)
            moved = encoder(indices).values - batch.values
            rules.require(
                close(moved, batch.known[..., None].expand_as(moved).float()),
                "facet_vectors must be added to the values of known facets, and of no others",
            )
    if isinstance(encoder, LendsFacets):
        _check_loans(encoder, encoder(indices), indices, rules)
    if isinstance(encoder, HasIdentityShare):
        shares = tuple(encoder.identity_shares)
        rules.require(
            bool(shares) and all(0 <= share <= 1 for share in shares),
            f"identity_shares must be at least one number in [0, 1], got {shares}",
        )
        for share in shares:
            encoder.set_identity_share(share)
            _check_facet_batch(encoder(indices), tuple(encoder(indices).known.shape), rules)
    if isinstance(encoder, ReadsCodesOf):
        _check_unread_codes(encoder, twin, indices, rules)


def _check_unread_codes(
    encoder: ReadsCodesOf, twin: GeneEncoder, indices: torch.Tensor, rules: Rules
) -> None:
    import torch
    from torch import nn

    assert isinstance(encoder, nn.Module)
    assert isinstance(twin, nn.Module)
    rules.require(encoder.codes_read() is None, "codes_read must be None at first: all are read")
    if isinstance(encoder, HasIdentityShare):
        if 1.0 not in encoder.identity_shares:
            return
        encoder.set_identity_share(1.0)
    before = encoder(indices)
    asked = torch.tensor([2, 0])
    encoder.read_codes_of(asked)
    kept = encoder.codes_read()
    rules.require(
        kept is not None and sorted(kept.tolist()) == sorted(asked.tolist()),
        "codes_read must return the genes that read_codes_of was given",
    )
    batch = encoder(indices)
    is_real = indices >= 0
    wanted = (indices[..., None] == asked).any(dim=-1)
    rules.require(
        batch.read is not None and torch.equal(batch.read[is_real], wanted[is_real]),
        "read must be True for the genes that read_codes_of was given, and for no others",
    )
    rules.require(
        close(batch.values[wanted], before.values[wanted])
        and torch.equal(batch.known, before.known),
        "a gene whose code is read must be encoded as ever, and facets stay known",
    )
    restore(encoder, twin, rules)
    restored = twin(indices)
    rules.require(
        restored.read is not None and torch.equal(restored.read, batch.read),
        "a saved state restored reads the codes of other genes",
    )
    encoder.read_codes_of(None)
    rules.require(
        encoder.codes_read() is None and same_facets(encoder(indices), before),
        "read_codes_of(None) must read all codes again",
    )


def _check_loans(
    encoder: LendsFacets, as_ever: FacetBatch, indices: torch.Tensor, rules: Rules
) -> None:
    own = encoder.with_facets_of(indices, indices)
    rules.require(same_facets(own, as_ever), "a gene with its own facets must be encoded as ever")
    lenders = indices.clone()
    lenders[0, :2] = indices[0, :2].flip(0)
    lent = encoder.with_facets_of(indices, lenders)
    _check_facet_batch(lent, tuple(own.known.shape), rules)
    rules.require(
        close(lent.confidence[0, :2], own.confidence[0, :2].flip(0)),
        "a gene with another one's facets must have the other's confidences",
    )
    rules.require(
        not lent.known[indices == -1].any(), "a padded slot that borrows has a known facet"
    )


def check_cell_encoder(
    spec: CellEncoderSpec, *, options: Mapping[str, object] | None = None
) -> None:
    """Check a cell encoder.

    A cell's state depends only on that cell, not on its batch; the pool is left as it was; the
    saved state restores it; a cell that expresses nothing has a finite state.

    Raises:
        ConformanceError: If a rule is broken.
        NotCheckedError: If it needs options, weights or a package that are not here.
    """
    import torch

    config = configured(spec, options)
    pool = toy_control_pool()
    context = CellEncoderContext(
        gene_symbols=pool.gene_symbols, target_genes=TOY_TARGETS, width=WIDTH, seed=0
    )
    with checking(spec) as rules, torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        encoder = spec.factory(config, context)
        module = evaluation_mode(encoder, rules)
        before = pool.expression.copy()
        encoder.prepare(pool)
        rules.require(
            np.array_equal(before.data, pool.expression.data)
            and np.array_equal(before.indices, pool.expression.indices),
            "prepare writes into the control cells",
        )
        n_controls = pool.expression.shape[0]
        indices = torch.tensor([3, 0, n_controls - 1, 3, 7])
        states = _states(encoder, indices, rules)
        rules.require(close(states[0], states[3]), "the same cell twice in a batch has two states")
        rules.require(
            close(_states(encoder, indices, rules), states), "evaluated twice, it differs"
        )
        rules.require(
            close(_states(encoder, indices[:1], rules)[0], states[0]),
            "a cell's state depends on the rest of the batch",
        )
        reverse = _states(encoder, indices.flip(0), rules).flip(0)
        rules.require(close(reverse, states), "a cell's state depends on its place in the batch")
        # The second one starts from other weights, so that only the state can make it equal.
        twin = spec.factory(config, context)
        restore(module, evaluation_mode(twin, rules), rules)
        twin.prepare(pool)
        rules.require(
            close(_states(twin, indices, rules), states),
            "a saved state restored before prepare gives other cell states",
        )


def _states(encoder: CellEncoder, indices: torch.Tensor, rules: Rules) -> torch.Tensor:
    states = encoder(indices)
    rules.require(
        tuple(states.shape) == (len(indices), WIDTH),
        f"{len(indices)} cells must give ({len(indices)}, {WIDTH}), got {tuple(states.shape)}",
    )
    rules.require(bool(states.isfinite().all()), "a cell's state is NaN or infinite")
    return states


def _check_facet_batch(batch: FacetBatch, shape: tuple[int, ...], rules: Rules) -> None:
    import torch

    rules.require(
        isinstance(batch, FacetBatch), f"it must return a FacetBatch, got {type(batch).__name__}"
    )
    shapes = {
        "values": ((*shape, WIDTH), batch.values.shape),
        "confidence": (shape, batch.confidence.shape),
        "known": (shape, batch.known.shape),
        "null": ((WIDTH,), batch.null.shape),
    }
    for name, (expected, found) in shapes.items():
        rules.require(tuple(found) == expected, f"{name} must be {expected}, got {tuple(found)}")
    rules.require(batch.known.dtype == torch.bool, f"known must be bool, got {batch.known.dtype}")
    rules.require(
        bool(batch.values.isfinite().all()) and bool(batch.null.isfinite().all()),
        "values or null contain NaN or infinite numbers",
    )
    rules.require(
        bool(((batch.confidence >= 0) & (batch.confidence <= 1)).all()),
        "confidence must lie in [0, 1]",
    )


def same_facets(first: FacetBatch, second: FacetBatch) -> bool:
    """Return True if two batches agree wherever a facet is known."""
    import torch

    if not torch.equal(first.known, second.known):
        return False
    return (
        close(first.values[first.known], second.values[second.known])
        and close(first.confidence, second.confidence)
        and close(first.null, second.null)
    )


def evaluation_mode(part: object, rules: Rules) -> nn.Module:
    """Check that a factory gave a torch module, and switch it to evaluation."""
    from torch import nn

    rules.require(
        isinstance(part, nn.Module),
        f"its factory must return a torch.nn.Module, got {type(part).__name__}",
    )
    assert isinstance(part, nn.Module)
    return part.eval()


def restore(source: nn.Module, target: nn.Module, rules: Rules) -> None:
    """Load one module's state into another of the same plugin and context."""
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        rules.require(False, f"a new instance does not accept its saved state: {error}")


def close(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Return True if two tensors agree up to rounding."""
    if first.shape != second.shape:
        return False
    return not first.numel() or bool((first.float() - second.float()).abs().max() < TOLERANCE)
