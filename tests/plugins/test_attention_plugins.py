"""The attention plugins build the attention that their names promise."""

from __future__ import annotations

import pytest
import torch

from dygenept.errors import ConfigError
from dygenept.plugin.interfaces import FacetBatch
from dygenept_plugins.attention.multi_head import dygenept_attention
from dygenept_plugins.networks.attention import FacetAttention

PLUGINS = {spec.name: spec for spec in dygenept_attention()}
D, H = 8, 2


def weights(name: str, score: float) -> torch.Tensor:
    """Weights over three facets of scores (score, 0, unknown) and confidences (1, 0.5, 0)."""
    spec = PLUGINS[name]
    module = spec.factory(spec.config(num_heads=H), D)
    assert isinstance(module, FacetAttention)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        if module.query is not None and module.key is not None:
            module.query.weight.copy_(torch.eye(D))
            module.key.weight.copy_(torch.eye(D))
    cell, values = torch.zeros(1, D), torch.zeros(1, 1, 3, D)
    cell[0, [0, D // H]] = (D / H) ** 0.5
    values[0, 0, 0, [0, D // H]] = score
    confidence = torch.tensor([[[1.0, 0.5, 0.0]]])
    facets = FacetBatch(values, confidence, confidence > 0, torch.zeros(D))
    found: torch.Tensor = module(cell, facets).weights
    assert found.shape == (1, 1, H, 3)
    assert torch.equal(found[0, 0, 0], found[0, 0, 1])
    return found[0, 0, 0].detach()


@pytest.mark.parametrize(
    ("name", "score", "expected"),
    [
        # log 0.5 = -0.6931: scores 0.1 and -0.6931 differ by less than 1, so both have support.
        ("sparsemax", 0.1, [(1 + 0.1 + 0.693147) / 2, (1 - 0.1 - 0.693147) / 2, 0]),
        ("sparsemax", 0.4, [1, 0, 0]),
        ("entmax15", 2.0, [1, 0, 0]),
        ("softmax", 0.0, [2 / 3, 1 / 3, 0]),
        ("softmax", 0.693147, [4 / 5, 1 / 5, 0]),
        # sigmoid(0) = 1/2: gates 0.5 and 0.25.
        ("gated", 0.0, [2 / 3, 1 / 3, 0]),
        # sigmoid(50) = 1: gates 1 and 0.25; a softmax would give the second nothing.
        ("gated", 50.0, [4 / 5, 1 / 5, 0]),
        ("mean", 50.0, [2 / 3, 1 / 3, 0]),
    ],
)
def test_weights_equal_hand_worked_ones(name: str, score: float, expected: list[float]) -> None:
    torch.testing.assert_close(
        weights(name, score), torch.tensor(expected, dtype=torch.float32), atol=1e-5, rtol=0
    )


def test_entmax15_lies_between_softmax_and_sparsemax() -> None:
    first = {name: float(weights(name, 0.2)[0]) for name in ("softmax", "entmax15", "sparsemax")}
    assert first["softmax"] < first["entmax15"] < first["sparsemax"]


@pytest.mark.parametrize("name", PLUGINS)
def test_number_of_heads_must_divide_the_width(name: str) -> None:
    spec = PLUGINS[name]
    with pytest.raises(ConfigError, match="does not divide the width 9"):
        spec.factory(spec.config(), 9)


@pytest.mark.parametrize("name", PLUGINS)
def test_eight_heads_are_the_default(name: str) -> None:
    spec = PLUGINS[name]
    module = spec.factory(spec.config(), 16)
    assert isinstance(module, FacetAttention)
    assert module.num_heads == 8
