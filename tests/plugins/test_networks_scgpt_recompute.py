from __future__ import annotations

import pytest
import torch

from dygenept.plugin.interfaces import CellEncoderContext, RecomputesLayers
from dygenept.testing import toy_control_pool
from dygenept_plugins.networks import scgpt
from dygenept_plugins.networks.scgpt_cells import CellOptions, ScGptCellState
from dygenept_plugins.networks.scgpt_tokens import Vocabulary


def gradients(*, recompute: bool) -> tuple[list[torch.Tensor], int]:
    pool = toy_control_pool()
    vocabulary = Vocabulary.of_genes(pool.gene_symbols)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = scgpt.ScGpt(
            scgpt.ScGptSize(
                n_tokens=vocabulary.n_tokens,
                pad_token=vocabulary.pad,
                d_model=16,
                n_layers=3,
                n_heads=2,
                d_hid=16,
                dropout=0.3,
            )
        )
        encoder = ScGptCellState(
            backbone,
            context=CellEncoderContext(pool.gene_symbols, (), 8, seed=0),
            vocabulary=vocabulary,
            options=CellOptions(
                n_bins=51, max_length=64, sampling_seed=0, freeze_layers=-2, pooling="cls"
            ),
        )
        assert isinstance(encoder, RecomputesLayers)
        encoder.recompute_layers(recompute)
        encoder.prepare(pool)
        n_runs = 0

        def count(*_: object) -> None:
            nonlocal n_runs
            n_runs += 1

        for layer in backbone.transformer_encoder.layers:
            layer.register_forward_pre_hook(count)
        encoder.train()
        encoder(torch.arange(5)).square().sum().backward()
    return [p.grad for p in encoder.parameters() if p.grad is not None], n_runs


def test_recomputed_layers_give_the_same_gradients_with_dropout() -> None:
    kept, n_kept = gradients(recompute=False)
    again, n_again = gradients(recompute=True)
    assert (n_kept, n_again) == (2, 4)
    assert len(kept) > 20
    for left, right in zip(kept, again, strict=True):
        torch.testing.assert_close(right, left, rtol=0, atol=0)


def test_layers_are_not_recomputed_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("checkpoint was called")

    monkeypatch.setattr(scgpt, "checkpoint", refuse)
    size = scgpt.ScGptSize(
        n_tokens=9, pad_token=8, d_model=8, n_layers=1, n_heads=1, d_hid=8, dropout=0.0
    )
    with torch.random.fork_rng():
        backbone = scgpt.ScGpt(size).eval()
    backbone.recomputes = True
    tokens = torch.arange(4)[None]
    assert backbone(tokens, torch.ones(1, 4), None).shape == (1, 4, 8)
