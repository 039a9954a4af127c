from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dygenept.errors import ConfigError, PluginError
from dygenept.model.assembly import named_assembly
from dygenept.model.overrides import Overrides
from dygenept.plugin.environment import Environment
from dygenept.plugin.manager import PluginManager
from dygenept.plugin.registry import Registry, load_registry


@pytest.fixture(scope="module")
def environment() -> Environment:
    registry = load_registry()
    return Environment(
        registry=registry, manager=PluginManager.load(registry.plugins, entry_points=False)
    )


def overrides(*sets: str, **parts: str) -> Overrides:
    return Overrides(parts=parts, sets=sets)


@pytest.mark.parametrize("name", ["dygenept", "dygenept_large", "dygenept_seed", "dygenept_small"])
def test_every_registered_model_is_valid(name: str, environment: Environment) -> None:
    assembly, shown = named_assembly(name, environment)
    assert shown == name
    assert assembly.training.epochs > 0
    # On cells and on tables of effects, whose width is another.
    for width in (assembly.width, assembly.table.width):
        assert assembly.network_parts().attention(width) is not None


def test_design_defaults_hold_for_the_published_model(environment: Environment) -> None:
    assembly, _ = named_assembly("dygenept", environment)
    options = assembly.training
    assert assembly.width == 768
    assert assembly.text.cell_encoder["freeze_layers"] == -2
    assert (options.lr, options.weight_decay, options.warmup_steps) == (1e-4, 1e-5, 500)
    assert (options.min_lr, options.clip_norm, options.batch_size) == (1e-6, 1.0, 64)
    assert (options.epochs, options.patience) == (20, 5)
    loss = options.loss
    assert (loss.mse_weight, loss.de_mse_weight, loss.direction_weight) == (1.0, 0.5, 0.1)


def test_extends_takes_over_what_is_not_named(environment: Environment) -> None:
    large, _ = named_assembly("dygenept_large", environment)
    base, _ = named_assembly("dygenept", environment)
    assert large.text.decoder["hidden_dims"] == [1024, 512, 256]
    assert large.text.attention["num_heads"] == 12
    assert large.facets == base.facets
    assert large.decoder.name == base.decoder.name


def test_a_part_that_names_another_plugin_leaves_the_options_of_the_one_before(
    tmp_path: Path,
) -> None:
    registry = tmp_path / "mine.yaml"
    registry.write_text(
        "models:\n"
        "  mine: {extends: dygenept_small, cell_encoder: {name: none}}\n"
        "  again: {extends: mine, cell_encoder: {name: none}, attention: {num_heads: 2}}\n"
    )
    environment = Environment.load((registry,))
    mine, _ = named_assembly("mine", environment)
    assert mine.text.cell_encoder == {"name": "none"}
    again, _ = named_assembly("again", environment)
    assert again.text.attention == {"name": "sparsemax", "num_heads": 2}


def test_the_seed_is_the_published_model_without_additions(environment: Environment) -> None:
    seed, _ = named_assembly("dygenept_seed", environment)
    base, _ = named_assembly("dygenept", environment)
    own = seed.gene_encoder.options.model_dump()
    assert not any(own[name] for name in ("standardise", "facet_types", "facet_signs"))
    assert own["identity_share"] == 0
    assert seed.decoder.options.model_dump() == base.decoder.options.model_dump() | {
        "interaction": "mlp"
    }
    assert seed.training == base.training
    assert seed.training.warm_start is False
    assert seed.cell_encoder.options == base.cell_encoder.options


def test_swapped_parts_show_in_the_name(environment: Environment) -> None:
    _, flag = named_assembly("dygenept_small", environment, overrides(attention="softmax"))
    _, dotted = named_assembly("dygenept_small", environment, overrides("attention=softmax"))
    assert flag == dotted == "dygenept_small[attention=softmax]"


def test_set_changes_one_option_and_shows(environment: Environment) -> None:
    assembly, shown = named_assembly("dygenept_small", environment, overrides("training.lr=5e-5"))
    assert assembly.training.lr == 5e-5
    assert shown == "dygenept_small[training.lr=5e-05]"


def test_swapping_for_the_same_part_changes_nothing(environment: Environment) -> None:
    _, shown = named_assembly("dygenept_small", environment, overrides(attention="sparsemax"))
    assert shown == "dygenept_small"


def test_options_that_the_new_part_lacks_are_dropped(environment: Environment) -> None:
    assembly, shown = named_assembly(
        "dygenept_large", environment, overrides(attention="mean", cell_encoder="none")
    )
    assert assembly.text.cell_encoder == {"name": "none"}
    assert shown == "dygenept_large[attention=mean,cell_encoder=none]"


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("training.lrr=1", "unknown key 'training.lrr'; did you mean 'lr'"),
        ("training.loss.mse=1", "did you mean 'mse_weight'"),
        ("attention.num_head=2", "did you mean 'num_heads'"),
        ("trainng.lr=1", "did you mean 'training'"),
        ("training.lr=-1", "lr must be above 0"),
        ("training.lr=fast", r"training\.lr"),
        ("training.lr", "must look like key=value"),
    ],
)
def test_a_wrong_key_or_value_names_the_nearest(
    environment: Environment, item: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        named_assembly("dygenept_small", environment, overrides(item))


def test_an_unknown_part_names_the_nearest(environment: Environment) -> None:
    with pytest.raises(PluginError, match="did you mean 'softmax'"):
        named_assembly("dygenept_small", environment, overrides(attention="sofmax"))


def test_an_unknown_model_names_the_nearest(environment: Environment) -> None:
    with pytest.raises(ConfigError, match="did you mean 'dygenept_small'"):
        named_assembly("dygenept_smal", environment)


def test_models_that_extend_in_a_circle_are_refused(environment: Environment) -> None:
    circle = Registry(models={"a": {"extends": "b"}, "b": {"extends": "a"}})
    with pytest.raises(ConfigError, match="a -> b -> a"):
        named_assembly("a", replace(environment, registry=circle))
