"""The cell encoder ``scgpt``: freezing, caching, pooling and errors."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from scipy import sparse

from dygenept.errors import ConfigError
from dygenept.plugin.interfaces import CellEncoderContext, ControlPool
from dygenept_plugins.cell_encoders.scgpt import ScGptConfig, build
from dygenept_plugins.networks.scgpt_cells import ScGptCellState

FIXTURES = Path(__file__).resolve().parent / "scgpt_fixtures"
N, WIDTH = 40, 12
GENES = tuple(f"GENE{number}" for number in range(30))
POOLINGS = ("cls", "mean", "attention")


def expression(seed: int = 0) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    dense = np.log1p(rng.poisson(rng.uniform(0.2, 2.0, (N, 1)), (N, len(GENES))))
    return sparse.csr_matrix(dense.astype(np.float32))


def pool() -> ControlPool:
    return ControlPool(expression(), GENES, [0] * N)


def encoder(**options: Any) -> ScGptCellState:
    chosen = {"n_layers": 3, "d_model": 16, "n_heads": 2, "freeze_layers": 0, **options}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = build(
            ScGptConfig.model_validate(chosen), CellEncoderContext(GENES, ("GENE3",), WIDTH, seed=5)
        )
    assert isinstance(module, ScGptCellState)
    module.prepare(pool())
    return module


def frozen_names(freeze_layers: int | str) -> set[str]:
    frozen_layers = {-1: 2, -2: 1, -3: 0, 0: 0, 1: 1, "all": 3}[freeze_layers]
    prefixes = [f"backbone.transformer_encoder.layers.{layer}." for layer in range(frozen_layers)]
    if freeze_layers != 0:
        prefixes += ["backbone.encoder.", "backbone.value_encoder."]
    names = dict(encoder().named_parameters())
    return {name for name in names if name.startswith(tuple(prefixes))}


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cache_bytes", [0, 10**9])
@pytest.mark.parametrize("freeze_layers", [-1, -2, -3, 0, 1, "all"])
def test_gradients_reach_the_trainable_layers_and_nothing_frozen(
    freeze_layers: int | str, cache_bytes: int, pooling: str
) -> None:
    module = encoder(freeze_layers=freeze_layers, cache_bytes=cache_bytes, pooling=pooling).train()
    target = torch.randn(N, WIDTH, generator=torch.Generator().manual_seed(1))
    (module(torch.arange(N)) * target).sum().backward()
    frozen = frozen_names(freeze_layers)
    for name, parameter in module.named_parameters():
        assert parameter.requires_grad == (name not in frozen), name
        if name in frozen:
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("freeze_layers", [-1, -2, "all"])
def test_cached_and_fresh_states_agree(freeze_layers: int | str, pooling: str) -> None:
    cached = encoder(freeze_layers=freeze_layers, pooling=pooling).eval()
    fresh = encoder(freeze_layers=freeze_layers, pooling=pooling, cache_bytes=0).eval()
    whole = encoder(freeze_layers=0, pooling=pooling).eval()
    assert cached._frozen is not None
    assert fresh._frozen is None
    rows = torch.tensor([7, 0, 39, 7])
    torch.testing.assert_close(cached(rows), fresh(rows), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cached(rows), whole(rows), atol=1e-5, rtol=1e-5)


def test_dropout_spares_the_frozen_layers_in_training() -> None:
    cached = encoder(freeze_layers="all", dropout=0.5).train()
    fresh = encoder(freeze_layers="all", dropout=0.5, cache_bytes=0).train()
    rows = torch.arange(5)
    torch.testing.assert_close(fresh.embed(rows), cached.embed(rows), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fresh.embed(rows), fresh.embed(rows), atol=0, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_batch_mates_and_their_padding_change_nothing(pooling: str) -> None:
    module = encoder(pooling=pooling).eval()
    together = module(torch.arange(N))
    for cell in (0, 11, 39):
        alone = module(torch.tensor([cell]))
        torch.testing.assert_close(alone, together[cell : cell + 1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_shortcuts_of_the_last_layer_equal_pooling_of_all_hidden_states(pooling: str) -> None:
    module = encoder(pooling=pooling).eval()
    batch = module.table.gather(torch.arange(N))
    hidden = module.backbone(batch.tokens, batch.values, batch.real)
    expected = torch.zeros(N, 16)
    for cell in range(N):
        states = hidden[cell, batch.real[cell]]
        if pooling == "cls":
            expected[cell] = states[0]
        elif pooling == "mean":
            expected[cell] = states.mean(0)
        else:
            assert module.pool_query is not None
            expected[cell] = ((module.pool_query(states) / 4).softmax(0) * states).sum(0)
    torch.testing.assert_close(module.embed(torch.arange(N)), expected, atol=1e-5, rtol=1e-5)


def test_states_depend_on_the_cell() -> None:
    states = encoder().eval()(torch.arange(N))
    assert torch.cdist(states, states).fill_diagonal_(1).min() > 1e-4


def test_preparing_anew_replaces_cells_and_cache() -> None:
    module = encoder(freeze_layers=-1).eval()
    before = module(torch.tensor([9]))
    module.prepare(ControlPool(expression()[[3, 9]], GENES, [0, 0]))
    torch.testing.assert_close(module(torch.tensor([1])), before, atol=1e-5, rtol=1e-5)


def test_weights_loaded_after_prepare_are_not_hidden_by_the_cache() -> None:
    module, other = encoder(freeze_layers=-1).eval(), encoder(freeze_layers=-1).eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    other.prepare(pool())
    module.load_state_dict(other.state_dict())
    rows = torch.arange(5)
    torch.testing.assert_close(module(rows), other(rows), atol=1e-5, rtol=1e-5)


def test_unsorted_expression_is_read_in_var_order() -> None:
    module = encoder().eval()
    expected = module(torch.arange(N))
    unsorted = expression()
    for cell in range(N):
        part = slice(unsorted.indptr[cell], unsorted.indptr[cell + 1])
        unsorted.indices[part] = unsorted.indices[part][::-1]
        unsorted.data[part] = unsorted.data[part][::-1]
    unsorted.has_sorted_indices = False
    module.prepare(ControlPool(unsorted, GENES, [0] * N))
    torch.testing.assert_close(module(torch.arange(N)), expected, atol=0, rtol=0)


def test_target_genes_survive_a_short_limit() -> None:
    module = encoder(max_length=4).eval()
    batch = module.table.gather(torch.arange(N))
    assert batch.tokens.shape[1] == 4
    expressed = expression()[:, 3].toarray()[:, 0] > 0
    assert expressed.any()
    assert ((batch.tokens == 3).any(1).numpy() == expressed).all()


def test_a_cache_beyond_the_budget_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        encoder(freeze_layers=-1, cache_bytes=10)
    assert any("cache_bytes" in message for message in caplog.messages)


def test_frozen_layers_without_a_checkpoint_are_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        encoder(freeze_layers=-1)
    assert any("set it to 0" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"freeze_layers": -4}, "freeze_layers is -4.*has 3 layers"),
        ({"freeze_layers": 4}, "freeze_layers is 4.*has 3 layers"),
        ({"n_heads": 3}, "n_heads 3 does not divide cell_encoder.d_model 16"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        encoder(**options)


@pytest.mark.parametrize(("option", "value"), [("d_model", 32), ("n_layers", 2), ("n_bins", 11)])
def test_a_size_that_contradicts_the_checkpoint_is_refused(option: str, value: int) -> None:
    config = ScGptConfig.model_validate({"checkpoint": str(FIXTURES), option: value})
    with pytest.raises(ConfigError, match=f"cell_encoder.{option} is {value}"):
        build(config, CellEncoderContext(GENES, (), WIDTH, seed=0))


def test_off_is_understood_as_yaml_reads_it() -> None:
    document = yaml.safe_load("cache: off")
    assert document == {"cache": False}
    assert ScGptConfig.model_validate(document).cache == "off"
    with pytest.raises(ValueError, match="'memory', 'disk' or 'off'"):
        ScGptConfig.model_validate({"cache": True})


def test_dropout_overrides_the_checkpoints() -> None:
    config = ScGptConfig(checkpoint=str(FIXTURES), dropout=0.0)
    module = build(config, CellEncoderContext(GENES, (), WIDTH, seed=0))
    assert isinstance(module, ScGptCellState)
    assert module.backbone.size.dropout == 0.0
    assert {drop.p for drop in module.modules() if isinstance(drop, torch.nn.Dropout)} == {0.0}


def test_bf16_autocast_gives_finite_states_near_the_float32_ones() -> None:
    module = encoder(pooling="attention").eval()
    exact = module(torch.arange(N))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = module(torch.arange(N)).float()
    assert (rough - exact).norm() < 0.1 * exact.norm()


def test_encoding_before_prepare_is_an_error() -> None:
    module = build(
        ScGptConfig(n_layers=1, freeze_layers=0), CellEncoderContext(GENES, (), WIDTH, seed=0)
    )
    assert isinstance(module, ScGptCellState)
    with pytest.raises(RuntimeError, match="prepare"):
        module(torch.tensor([0]))


# torch looks at inputs' gradients while it traces.
@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_buckets_of_other_sizes_compile_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[object] = []

    def counted(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
        graphs.append(graph)
        return graph.forward

    plain, compiled = (encoder(freeze_layers=-2, dropout=0.0) for _ in range(2))
    compiled.load_state_dict(plain.state_dict())
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda *a, **k: real(*a, **{**k, "backend": counted}))
    compiled.compile_layers()
    plain.prepare(pool())
    compiled.prepare(pool())
    n_cells = len(plain.table)
    sizes = []
    for stop in (n_cells, 2, 5, 3):
        rows = torch.arange(stop)
        torch.testing.assert_close(compiled(rows), plain(rows), rtol=1e-4, atol=1e-5)
        sizes.append(len(graphs))
    assert sizes[0] > 0
    assert sizes[1:] == sizes[:1] * 3, sizes
