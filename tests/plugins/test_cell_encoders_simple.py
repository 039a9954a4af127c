"""The cell encoders ``none`` and ``mlp``."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import nn

from dygenept.errors import ShapeError
from dygenept.plugin.interfaces import CellEncoderContext, ControlPool
from dygenept_plugins.cell_encoders.cell_states import dygenept_cell_encoders
from dygenept_plugins.networks.sparse_rows import SparseRows

N, G, WIDTH = 20, 30, 16
SYMBOLS = tuple(f"G{number}" for number in range(G))


def expression(seed: int = 0) -> sparse.csr_matrix:
    rng = np.random.default_rng(seed)
    dense = np.log1p(rng.poisson(0.7, (N, G))).astype(np.float32)
    dense[4] = 0
    return sparse.csr_matrix(dense)


def pool() -> ControlPool:
    return ControlPool(expression(), SYMBOLS, [0] * N)


def encoder(name: str) -> nn.Module:
    (spec,) = (spec for spec in dygenept_cell_encoders() if spec.name == name)
    context = CellEncoderContext(SYMBOLS, ("G1",), WIDTH, seed=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = spec.factory(spec.config(), context)
    assert isinstance(module, nn.Module)
    return module


def test_rows_are_gathered_as_scipy_does_in_any_order_with_repeats_and_empty_rows() -> None:
    matrix = expression()
    rows = torch.tensor([7, 4, 4, 0, 19, 7])
    gathered = SparseRows.from_csr(matrix, torch.device("cpu")).gather(rows)
    np.testing.assert_array_equal(gathered.numpy(), matrix[rows.numpy()].toarray())


def test_no_row_gathers_to_an_empty_batch() -> None:
    gathered = SparseRows.from_csr(expression(), torch.device("cpu")).gather(
        torch.zeros(0, dtype=torch.int64)
    )
    assert gathered.shape == (0, G)


def test_none_gives_every_cell_the_same_learned_state() -> None:
    module = encoder("none")
    module.prepare(pool())  # type: ignore[operator]
    states = module(torch.tensor([0, 3, 19]))
    assert states.shape == (3, WIDTH)
    assert torch.equal(states, states[:1].expand(3, -1))
    states.sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_mlp_encodes_the_expression_of_the_indexed_cells() -> None:
    module = encoder("mlp").eval()
    module.prepare(pool())  # type: ignore[operator]
    rows = torch.tensor([5, 5, 2])
    dense = torch.from_numpy(expression()[rows.numpy()].toarray())
    torch.testing.assert_close(module(rows), module.layers(dense))  # type: ignore[operator]
    assert not torch.equal(module(rows)[0], module(rows)[2])


def test_mlp_batch_mates_change_nothing() -> None:
    module = encoder("mlp").eval()
    module.prepare(pool())  # type: ignore[operator]
    torch.testing.assert_close(
        module(torch.tensor([3])), module(torch.arange(N))[3:4], atol=1e-6, rtol=1e-6
    )


def test_mlp_can_be_prepared_anew_for_another_pool() -> None:
    module = encoder("mlp").eval()
    module.prepare(pool())  # type: ignore[operator]
    before = module(torch.tensor([9]))
    module.prepare(ControlPool(expression()[[9, 1]], SYMBOLS, [0, 0]))  # type: ignore[operator]
    torch.testing.assert_close(module(torch.tensor([0])), before, atol=1e-6, rtol=1e-6)


def test_mlp_gradients_reach_every_weight() -> None:
    module = encoder("mlp")
    module.prepare(pool())  # type: ignore[operator]
    target = torch.randn(N, WIDTH, generator=torch.Generator().manual_seed(1))
    (module(torch.arange(N)) * target).sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.any() for parameter in module.parameters()
    )


def test_mlp_refuses_a_pool_with_other_genes() -> None:
    with pytest.raises(ShapeError, match="29 genes"):
        encoder("mlp").prepare(ControlPool(expression()[:, 1:], SYMBOLS[1:], [0] * N))  # type: ignore[operator]


def test_encoding_before_prepare_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="prepare"):
        encoder("mlp")(torch.tensor([0]))
