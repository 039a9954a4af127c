from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dygenept.errors import PluginError
from dygenept.model.conditions import PADDING, UNKNOWN, gene_positions
from dygenept.model.network import DyGenePT, as_module
from dygenept.testing import toy_control_pool, toy_data
from dygenept.types import Condition, Perturbation

POOL = toy_control_pool()
GENES = torch.tensor([[3, 4], [5, PADDING], [0, 6], [UNKNOWN, 2]])
CELLS = torch.tensor([7, 1, 7, 0])


def control(indices: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(POOL.expression[indices.numpy()].toarray())


def test_shapes_and_precision_are_those_of_the_contract(network: DyGenePT) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(GENES, CELLS, control(CELLS))
    assert output.expression.shape == (4, len(POOL.gene_symbols))
    assert output.weights.shape == (4, 2, 4, 8)
    assert output.expression.dtype == output.weights.dtype == torch.float32


def test_permuting_a_combination_changes_nothing(network: DyGenePT) -> None:
    genes = torch.tensor([[3, 4, 5, PADDING], [1, 2, 6, 7]])
    cells = torch.tensor([0, 1])
    first = network(genes, cells, control(cells))
    order = [2, 3, 0, 1]
    second = network(genes[:, order], cells, control(cells))
    torch.testing.assert_close(first.expression, second.expression)
    torch.testing.assert_close(first.weights[:, order], second.weights)
    assert (first.expression - control(cells)).abs().max() > 0.01


def test_padding_changes_nothing(network: DyGenePT) -> None:
    wide = torch.cat([GENES, torch.full((4, 3), PADDING)], dim=1)
    first, second = (network(genes, CELLS, control(CELLS)) for genes in (GENES, wide))
    torch.testing.assert_close(first.expression, second.expression)
    assert not second.weights[:, 2:].any()


def test_batch_mates_change_nothing(network: DyGenePT) -> None:
    together = network(GENES, CELLS, control(CELLS)).expression
    alone = [
        network(GENES[i : i + 1], CELLS[i : i + 1], control(CELLS[i : i + 1])).expression
        for i in range(len(GENES))
    ]
    torch.testing.assert_close(together, torch.cat(alone))


def test_no_perturbed_gene_gives_the_control_exactly(network: DyGenePT) -> None:
    nothing = torch.full((4, 2), PADDING)
    assert torch.equal(network(nothing, CELLS, control(CELLS)).expression, control(CELLS))


def test_a_zeroed_shift_path_gives_the_control_exactly(network: DyGenePT) -> None:
    last = network.decoder.shift[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()
    assert torch.equal(network(GENES, CELLS, control(CELLS)).expression, control(CELLS))


def test_a_gene_without_knowledge_stands_as_the_learned_null_gene(network: DyGenePT) -> None:
    absent, unknown, first = len(network.gene_encoder.values) - 1, UNKNOWN, 0
    cell = network.encode_cells(torch.tensor([0, 0, 0, 0]))
    genes = torch.tensor([[absent], [unknown], [first], [3]])
    attended = network.attend(genes, cell)
    for row in range(3):
        assert torch.equal(attended.embedding[row, 0], network.gene_encoder.null)
    assert not torch.equal(attended.embedding[3, 0], network.gene_encoder.null)
    assert not attended.weights[:3].any()


def test_gradients_reach_every_trainable_weight_and_nothing_frozen(network: DyGenePT) -> None:
    network.train()
    frozen = network.cell_encoder.layers[0]
    frozen.requires_grad_(False)
    network(GENES, CELLS, control(CELLS)).expression.square().sum().backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None, name
    assert network.gene_encoder.null.grad is not None
    assert "gene_encoder.values" not in network.state_dict()


def test_each_gene_and_each_control_cell_is_encoded_once_a_batch(network: DyGenePT) -> None:
    seen: list[torch.Tensor] = []
    for part in (network.cell_encoder, network.gene_encoder):
        part.register_forward_pre_hook(lambda module, args: seen.append(args[0].flatten()))
    genes, cells = torch.tensor([[3, 4], [4, 3], [3, PADDING]]), torch.tensor([5, 5, 2])
    network(genes, cells, control(cells))
    assert [sorted(indices.tolist()) for indices in seen] == [[2, 5], [-1, 3, 4]]


def test_states_given_by_the_caller_are_used(network: DyGenePT) -> None:
    states = network.encode_cells(CELLS)
    assert states.shape == (4, 16)
    torch.testing.assert_close(
        network(GENES, CELLS, control(CELLS), states).expression,
        network(GENES, CELLS, control(CELLS)).expression,
    )


def test_gene_positions_pad_and_mark_unlisted_genes() -> None:
    condition = toy_data().conditions[0]
    triple = replace(condition, perturbation=Perturbation("x", ("A", "B", "C")))
    single = Condition(Perturbation("y", ("NEW",)), condition.cell_type)
    found = gene_positions([triple, single], ("C", "A", "B"))
    assert found.tolist() == [[1, 2, 0], [UNKNOWN, PADDING, PADDING]]
    assert gene_positions([], ("A",)).shape == (0, 1)


def test_a_factory_that_returns_no_module_is_named() -> None:
    with pytest.raises(PluginError, match="decoder factory returned a dict"):
        as_module("decoder", {})
