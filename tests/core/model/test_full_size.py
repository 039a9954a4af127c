from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from dygenept.knowledge.facets.controls import gaussian_knowledge
from dygenept.model.conditions import PADDING
from dygenept.model.network import DyGenePT
from dygenept.model.overrides import Overrides
from dygenept.model.resolve import resolve_model
from dygenept.plugin.environment import Environment
from dygenept.plugin.interfaces import CellEncoderContext, ControlPool, GeneEncoderContext
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import load_registry

RANDOM = Overrides(parts={}, facets="random768", sets=("cell_encoder.checkpoint=random",))
N_GENES = 5000
GENES = tuple(f"GENE{i}" for i in range(N_GENES))
TARGETS = GENES[:40]
N_TOKENS_PUBLISHED = 60_697


@pytest.fixture(scope="module")
def environment() -> Environment:
    registry = load_registry()
    return Environment(
        registry=registry, manager=PluginManager.load(registry.plugins, entry_points=False)
    )


def n_trained(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def build(name: str, environment: Environment) -> DyGenePT:
    model = resolve_model(name, environment, RANDOM)
    assert model.assembly is not None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DyGenePT(
            model.assembly.network_parts(),
            genes=GeneEncoderContext(
                gaussian_knowledge(TARGETS, name="random768", dim=768), TARGETS, 768
            ),
            cells=CellEncoderContext(GENES, TARGETS, 768, seed=0),
            n_genes=N_GENES,
        )


@pytest.mark.parametrize(
    ("name", "hidden_dims", "n_heads"),
    [("dygenept", [512, 256], 8), ("dygenept_large", [1024, 512, 256], 12)],
)
def test_the_published_models_build_at_full_size_with_random_weights(
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path,
    name: str,
    hidden_dims: list[int],
    n_heads: int,
) -> None:
    monkeypatch.setenv("DYGENEPT_DATA", str(tmp_path))
    network = build(name, environment)
    backbone = network.cell_encoder.backbone
    assert len(backbone.transformer_encoder.layers) == 12
    assert backbone.size.d_model == backbone.size.d_hid == 512
    assert backbone.size.n_heads == 8
    assert n_trained(backbone) == n_trained(backbone.transformer_encoder.layers[-2:])
    assert network.attention.num_heads == n_heads
    layers = [layer for layer in network.decoder.hidden if isinstance(layer, torch.nn.Linear)]
    assert [layer.out_features for layer in layers] == hidden_dims
    assert network.decoder.output.out_features == N_GENES
    facets = network.gene_encoder(torch.tensor([[0, PADDING]]))
    assert facets.values.shape == (1, 2, 8, 768)
    assert facets.known[0, 0].all()


def test_models_with_random_weights_or_facets_say_so_in_their_name(
    environment: Environment,
) -> None:
    model = resolve_model("dygenept", environment, RANDOM)
    assert model.name == (
        "dygenept[cell_encoder.checkpoint=random,facets=random768] (random weights, random facets)"
    )
    assert model.assembly is not None
    assert model.assembly.missing(environment) == ()
    # A name of one's own hides no label.
    own = {
        **environment.registry.models,
        "mine": {"extends": "dygenept", "cell_encoder": {"checkpoint": "random"}},
    }
    registry = environment.registry.model_copy(update={"models": own})
    mine = resolve_model("mine", replace(environment, registry=registry))
    assert mine.name == "mine (random weights)"
    assert resolve_model("dygenept", environment).name == "dygenept"
    assert "random" not in resolve_model("dygenept_small", environment).name


def test_one_step_of_the_full_model_moves_what_is_trained_and_nothing_else(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("DYGENEPT_DATA", str(tmp_path))
    network = build("dygenept", environment)
    assert any("random weights" in note for note in network.cell_encoder.notes)
    rng = np.random.default_rng(0)
    expression = sparse.csr_matrix(rng.random((2, N_GENES)) * (rng.random((2, N_GENES)) < 0.03))
    expression = expression.astype(np.float32)
    network.prepare(ControlPool(expression, GENES, [0, 0]))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-3)
    control = torch.from_numpy(expression.toarray())
    network.train()
    output = network(torch.tensor([[0, 1], [2, PADDING]]), torch.tensor([0, 1]), control)
    (output.expression - torch.rand_like(control)).square().mean().backward()
    optimizer.step()
    moved = {n for n, value in network.state_dict().items() if not torch.equal(value, before[n])}
    assert moved <= trained
    assert {name.split(".")[0] for name in moved} == {
        "gene_encoder",
        "cell_encoder",
        "attention",
        "decoder",
    }
    layers = {name.split(".")[4] for name in moved if "transformer_encoder.layers" in name}
    assert layers == {"10", "11"}


def test_random_weights_take_the_published_vocabulary_where_it_is(
    environment: Environment,
    shared_data,
    tmp_path,
) -> None:
    folder = tmp_path / "scgpt" / "whole_human"
    folder.mkdir(parents=True)
    (folder / "vocab.json").symlink_to(shared_data / "scgpt" / "vocab.json")
    model = resolve_model("dygenept", replace(environment, data_dir=tmp_path), RANDOM)
    assert model.assembly is not None
    context = CellEncoderContext(("KLF1", "MAPK1"), ("KLF1",), 768, seed=0)
    with torch.random.fork_rng(), torch.device("meta"):
        encoder = model.assembly.network_parts().cell_encoder(replace(context))
    assert encoder.backbone.encoder.embedding.num_embeddings == N_TOKENS_PUBLISHED
