"""What every decoder must hold to, and what each does."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from dygenept.plugin.interfaces import CombinesGenes, DecoderContext
from dygenept_plugins.decoders import latent_arithmetic, linear
from dygenept_plugins.networks.latent_arithmetic import (
    LatentArithmetic,
    MlpInteraction,
    PairInteraction,
)
from dygenept_plugins.networks.linear_decoders import BilinearDecoder, LinearDecoder

B, D, G = 6, 16, 30
PLUGINS = {
    spec.name: spec for module in (latent_arithmetic, linear) for spec in module.dygenept_decoders()
}


def decoder(name: str, seed: int = 0) -> nn.Module:
    spec = PLUGINS[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = spec.factory(spec.config(), DecoderContext(D, G))
        assert isinstance(module, nn.Module)
        for parameter in module.parameters():
            # Away from zeros and ones of the first weights, where mistakes can hide.
            nn.init.normal_(parameter, std=0.3)
    return module.eval()


def inputs(n_genes: int = 4, seed: int = 1) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.randn(B, n_genes, D, generator=generator)
    mask = torch.ones(B, n_genes, dtype=torch.bool)
    for row in range(B):
        mask[row, row % (n_genes + 1) :] = False
    cell = torch.randn(B, D, generator=generator)
    control = torch.rand(B, G, generator=generator) * 3
    return embedding, mask, cell, control


@pytest.mark.parametrize("name", PLUGINS)
def test_no_perturbed_gene_returns_the_control_exactly(name: str) -> None:
    embedding, mask, cell, control = inputs()
    predicted = decoder(name)(embedding, torch.zeros_like(mask), cell, control)
    assert torch.equal(predicted, control)


@pytest.mark.parametrize("name", PLUGINS)
def test_a_perturbed_gene_changes_the_prediction(name: str) -> None:
    embedding, mask, cell, control = inputs()
    predicted = decoder(name)(embedding, mask, cell, control)
    moved = (predicted - control).abs().amax(dim=1) > 1e-3
    assert torch.equal(moved, mask.any(dim=1))


@pytest.mark.parametrize("name", PLUGINS)
def test_permuting_the_genes_of_a_combination_changes_nothing(name: str) -> None:
    module, (embedding, mask, cell, control) = decoder(name), inputs()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(
        module(embedding[:, order], mask[:, order], cell, control),
        module(embedding, mask, cell, control),
        atol=1e-4,
        rtol=1e-4,
    )


@pytest.mark.parametrize("name", PLUGINS)
def test_padding_changes_nothing_even_if_it_holds_nan(name: str) -> None:
    module, (embedding, mask, cell, control) = decoder(name), inputs()
    padded = torch.cat([embedding, torch.full((B, 2, D), torch.nan)], dim=1)
    padded_mask = torch.cat([mask, torch.zeros(B, 2, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(
        module(padded, padded_mask, cell, control),
        module(embedding, mask, cell, control),
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize("name", PLUGINS)
def test_batch_mates_change_nothing(name: str) -> None:
    module, tensors = decoder(name), inputs()
    alone = module(*(tensor[3:4] for tensor in tensors))
    torch.testing.assert_close(alone, module(*tensors)[3:4], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", PLUGINS)
def test_gradients_reach_every_weight_and_every_input_that_is_read(name: str) -> None:
    module, (embedding, mask, cell, control) = decoder(name).train(), inputs()
    embedding.requires_grad_()
    target = torch.randn(B, G, generator=torch.Generator().manual_seed(2))
    (module(embedding, mask, cell, control) * target).sum().backward()
    for parameter_name, parameter in module.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.any(), parameter_name
    assert embedding.grad is not None
    assert torch.equal(embedding.grad.abs().sum(-1) > 0, mask)


@pytest.mark.parametrize("name", PLUGINS)
def test_prediction_is_float32_under_bf16_autocast(name: str) -> None:
    module, tensors = decoder(name), inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predicted = module(*tensors)
    assert predicted.dtype == torch.float32
    assert torch.equal(predicted[~tensors[1].any(1)], tensors[3][~tensors[1].any(1)])
    exact = module(*tensors)
    assert (predicted - exact).norm() < 0.05 * (exact - tensors[3]).norm()


@pytest.mark.parametrize("training", [False, True])
def test_latent_arithmetic_returns_the_control_when_the_shift_path_is_zeroed(
    training: bool,
) -> None:
    module, tensors = decoder("latent_arithmetic").train(training), inputs()
    assert isinstance(module, LatentArithmetic)
    with torch.no_grad():
        for parameter in module.shift[-1].parameters():
            parameter.zero_()
    assert torch.equal(module(*tensors), tensors[3])


@pytest.mark.parametrize("position", range(3))
def test_interaction_is_exactly_zero_for_a_single_gene(position: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        interaction = PairInteraction(width=D, rank=8)
        nn.init.normal_(interaction.up.weight)  # it starts at zero
    shifts = torch.zeros(B, 3, D)
    shifts[:, position] = torch.randn(B, D, generator=torch.Generator().manual_seed(1))
    assert not interaction(shifts).any()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not interaction(shifts).any()


def test_interaction_is_the_sum_over_all_pairs_for_any_number_of_genes() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        interaction = PairInteraction(width=D, rank=8).double()
        nn.init.normal_(interaction.up.weight)  # it starts at zero
    shifts = torch.randn(2, 5, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    factors = interaction.down(shifts)
    pairs = sum(
        factors[:, first] * factors[:, second]
        for first in range(5)
        for second in range(first + 1, 5)
    )
    torch.testing.assert_close(interaction(shifts), interaction.up(pairs))
    assert interaction(shifts).any()


@pytest.mark.parametrize("n_genes", [1, 2, 4])
def test_latent_arithmetic_starts_with_the_shared_shift_once(n_genes: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = LatentArithmetic(width=D, n_genes=G).eval()
    embedding = inputs()[0][:, :n_genes]
    every = torch.ones(B, n_genes, dtype=torch.bool)
    shared = module.shared_shift
    own = module.shift(embedding) - shared
    torch.testing.assert_close(own @ shared, torch.zeros(B, n_genes), atol=1e-6, rtol=0)
    torch.testing.assert_close(module.combined_shift(embedding, every), own.sum(1) + shared)
    assert not module.combined_shift(embedding, ~every).any()


def test_latent_arithmetic_without_interaction_adds_shifts() -> None:
    module = LatentArithmetic(width=D, n_genes=G, interaction_rank=0).eval()
    embedding, _, _, _ = inputs()
    mask = torch.ones(B, 4, dtype=torch.bool)
    both = module.combined_shift(embedding, mask)
    each = sum(
        module.combined_shift(embedding[:, gene : gene + 1], mask[:, :1]) for gene in range(4)
    )
    torch.testing.assert_close(both, each, atol=1e-5, rtol=1e-5)


def test_latent_arithmetic_reads_cell_state_and_control_expression() -> None:
    module, (embedding, mask, cell, control) = decoder("latent_arithmetic"), inputs()
    change = module(embedding, mask, cell, control) - control
    other_cell = module(embedding, mask, cell.flip(0), control) - control
    other_control = module(embedding, mask, cell, control.flip(0)) - control.flip(0)
    perturbed = mask.any(1)
    assert (change - other_cell)[perturbed].abs().max() > 1e-3
    assert (change - other_control)[perturbed].abs().max() > 1e-3


def test_linear_decoder_is_additive_over_genes() -> None:
    module, (embedding, _, cell, control) = decoder("linear"), inputs(2)
    assert isinstance(module, LinearDecoder)
    whole = module(embedding, torch.tensor([[True, True]] * B), cell, control) - control
    first = module(embedding, torch.tensor([[True, False]] * B), cell, control) - control
    second = module(embedding, torch.tensor([[False, True]] * B), cell, control) - control
    torch.testing.assert_close(whole, first + second, atol=1e-5, rtol=1e-5)


def test_bilinear_decoder_is_the_form_it_says() -> None:
    module, (embedding, mask, cell, control) = decoder("bilinear"), inputs()
    assert isinstance(module, BilinearDecoder)
    expected = control.clone()
    for row in range(B):
        for gene in range(4):
            if mask[row, gene]:
                factor = module.gene(embedding[row, gene]) * (1 + module.cell(cell[row]))
                expected[row] += module.output.weight @ factor
    torch.testing.assert_close(
        module(embedding, mask, cell, control), expected, atol=1e-4, rtol=1e-4
    )


def test_hidden_dims_must_not_be_empty() -> None:
    with pytest.raises(ValidationError, match="hidden_dims"):
        latent_arithmetic.LatentArithmeticConfig(hidden_dims=())


def test_pair_network_is_the_mean_of_both_orders_summed_over_real_pairs() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MlpInteraction(D).double()
        shifts = torch.randn(2, 4, D, dtype=torch.float64)
    mask = torch.tensor([[True, True, True, False], [True, False, False, False]])
    found = network(shifts, mask)
    a, b, c = shifts[0, :3]
    pairs = [(a, b), (b, a), (a, c), (c, a), (b, c), (c, b)]
    expected = torch.stack([network.layers(torch.cat(pair)) for pair in pairs]).sum(dim=0) / 2
    torch.testing.assert_close(found[0], expected)
    assert not found[1].any()
    order = [2, 0, 3, 1]
    torch.testing.assert_close(network(shifts[:, order], mask[:, order]), found)


def test_with_a_pair_network_nothing_is_linear_and_no_gene_means_no_change() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = LatentArithmetic(width=D, n_genes=G, hidden_dims=(32,), interaction="mlp").eval()
    assert not module.starts_linear
    assert module.overlap is None
    embedding, mask, cell, control = inputs()
    predicted = module(embedding, mask, cell, control)
    assert torch.equal(predicted[~mask.any(1)], control[~mask.any(1)])
    assert latent_arithmetic.LatentArithmeticConfig(interaction="mlp").interaction == "mlp"


COMBINING = {
    "linear": lambda: LinearDecoder(width=D, n_genes=G),
    "bilinear": lambda: BilinearDecoder(width=D, n_genes=G, rank=4),
    "pairs": lambda: LatentArithmetic(width=D, n_genes=G, hidden_dims=(10, 6), interaction_rank=3),
    "mlp": lambda: LatentArithmetic(width=D, n_genes=G, hidden_dims=(12,), interaction="mlp"),
    "additive, many outputs": lambda: LatentArithmetic(
        width=2, n_genes=G, hidden_dims=(12,), interaction_rank=0
    ),
}


@pytest.mark.parametrize("name", COMBINING)
def test_genes_that_are_computed_once_combine_to_what_forward_predicts(name: str) -> None:
    decoder = COMBINING[name]().eval()
    assert isinstance(decoder, CombinesGenes)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in decoder.parameters():
            weights.normal_(std=0.4, generator=generator)
    width = 2 if "additive" in name else D
    n_cells, n_known = 3, 5
    embedding = torch.randn(n_cells, n_known, width, generator=generator)
    cell = torch.randn(n_cells, width, generator=generator)
    control = torch.rand(n_cells, G, generator=generator)
    # One, two, three genes, and none.
    genes = torch.tensor([[2, -1, -1], [0, 4, -1], [3, 1, 2], [-1, -1, -1]])
    expected = torch.zeros(len(genes), G)
    with torch.no_grad():
        for number in range(n_cells):
            one, state = control[[number]].expand(4, -1), cell[[number]].expand(4, -1)
            expected += decoder(embedding[number][genes], genes >= 0, state, one) - one
    found = decoder.combining(embedding, cell, control)(genes)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not found[3].any()
    columns = torch.tensor([4, 1])
    some = decoder.combining(embedding, cell, control, columns)(genes)
    torch.testing.assert_close(some, expected[:, columns], rtol=1e-4, atol=1e-5)
