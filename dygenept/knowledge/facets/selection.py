"""Picks genes from a knowledge set under any of their names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dygenept.knowledge.genes.matching import rows_of
from dygenept.types import GeneKnowledge


def select_genes(knowledge: GeneKnowledge, genes: Sequence[str]) -> GeneKnowledge:
    """Return the knowledge of some genes, in their order; absent ones have confidence 0.

    A gene is found by its own spelling first, then by its current symbol, so that outdated symbols
    and Ensembl ids on either side meet.
    """
    asked = tuple(dict.fromkeys(genes))
    index = rows_of(asked, knowledge.genes)
    values = np.zeros((len(asked), *knowledge.values.shape[1:]), dtype=np.float32)
    confidence = np.zeros((len(asked), len(knowledge.facet_names)), dtype=np.float32)
    values[index >= 0] = knowledge.values[index[index >= 0]]
    confidence[index >= 0] = knowledge.confidence[index[index >= 0]]
    return replace(
        knowledge,
        sha256=hashlib.sha256(json.dumps([knowledge.sha256, *asked]).encode()).hexdigest(),
        genes=asked,
        values=values,
        confidence=confidence,
    )


def with_genes(knowledge: GeneKnowledge, asked: Sequence[str]) -> GeneKnowledge:
    """Add empty rows for genes that it lacks under every name."""
    is_absent = rows_of(asked, knowledge.genes) < 0
    new = tuple(gene for gene, absent in zip(asked, is_absent, strict=True) if absent)
    if not new:
        return knowledge
    values = np.zeros((len(new), *knowledge.values.shape[1:]), dtype=np.float32)
    confidence = np.zeros((len(new), len(knowledge.facet_names)), dtype=np.float32)
    return replace(
        knowledge,
        genes=knowledge.genes + new,
        values=np.concatenate([knowledge.values, values]),
        confidence=np.concatenate([knowledge.confidence, confidence]),
    )
