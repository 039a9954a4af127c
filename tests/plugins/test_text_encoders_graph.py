"""The text encoder ``graph``; its facets are tested beside the gene encoder that adds them."""

from __future__ import annotations

import numpy as np

from dygenept.types import Runtime
from dygenept_plugins.text_encoders.graph import GraphConfig, GraphEncoder


def test_a_text_is_the_genes_that_it_names() -> None:
    encoder = GraphEncoder(GraphConfig(graphs=("reactome",), dim=16))
    texts = ("MED1", "binds MED1 and PSMA1", "PSMA1", "the mediator complex")
    found = encoder.encode(texts, Runtime())
    mean = found[0] + found[2]
    np.testing.assert_allclose(found[1], mean / np.linalg.norm(mean), atol=1e-5)
    assert not found[3].any()
