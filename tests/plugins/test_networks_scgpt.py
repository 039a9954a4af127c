"""The scGPT transformer against the published package, and its checkpoints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file
from scipy import sparse

from dygenept.errors import DataError, DataUnavailableError
from dygenept.plugin.interfaces import CellEncoderContext, ControlPool
from dygenept_plugins.cell_encoders.scgpt import ScGptConfig, build, missing
from dygenept_plugins.networks.scgpt import ScGpt, ScGptSize
from dygenept_plugins.networks.scgpt_cells import ScGptCellState
from dygenept_plugins.networks.scgpt_checkpoint import read_checkpoint, read_vocabulary

FIXTURES = Path(__file__).resolve().parent / "scgpt_fixtures"


@pytest.fixture(scope="module")
def oracle() -> dict[str, npt.NDArray[Any]]:
    """What scgpt 0.2.4 makes of twelve cells; see write_fixtures.py."""
    with np.load(FIXTURES / "oracle.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint."""
    for name in ("best_model.pt", "vocab.json", "args.json"):
        shutil.copy(FIXTURES / name, tmp_path / name)
    return tmp_path


def prepared(
    oracle: dict[str, npt.NDArray[Any]], config: ScGptConfig
) -> tuple[ScGptCellState, torch.Tensor]:
    symbols = tuple(str(name) for name in oracle["symbols"])
    module = build(config, CellEncoderContext(symbols, (), 8, seed=0))
    assert isinstance(module, ScGptCellState)
    expression = sparse.csr_matrix(oracle["expression"])
    module.eval().prepare(ControlPool(expression, symbols, [0] * expression.shape[0]))
    return module, torch.arange(expression.shape[0])


def test_tokens_and_binned_values_equal_the_published_packages(
    oracle: dict[str, npt.NDArray[Any]],
) -> None:
    module, rows = prepared(oracle, ScGptConfig(checkpoint=str(FIXTURES)))
    batch = module.table.gather(rows)
    np.testing.assert_array_equal(batch.tokens, oracle["tokens"])
    np.testing.assert_array_equal(batch.values, oracle["values"])


def test_tied_values_take_the_left_of_the_published_packages_bins(
    oracle: dict[str, npt.NDArray[Any]],
) -> None:
    tied = oracle | {"expression": oracle["tied_expression"]}
    module, rows = prepared(tied, ScGptConfig(checkpoint=str(FIXTURES), freeze_layers="all"))
    batch = module.table.gather(rows)
    n_distinct = [len(np.unique(values)) for values in oracle["tied_values"]]
    assert max(n_distinct) <= 5  # 49 edges on at most four values coincide
    np.testing.assert_array_equal(batch.tokens, oracle["tied_tokens"])
    np.testing.assert_array_equal(batch.values, oracle["tied_values"])
    np.testing.assert_allclose(module.embed(rows), oracle["tied_cell_embedding"], atol=1e-5, rtol=0)


def test_cells_above_the_limit_give_the_published_embedding_of_their_sampled_genes(
    oracle: dict[str, npt.NDArray[Any]],
) -> None:
    tokens = torch.from_numpy(oracle["short_tokens"])
    values = torch.from_numpy(oracle["short_values"])
    network = read_checkpoint(FIXTURES).build().eval()
    with torch.no_grad():
        hidden = network(tokens, values, tokens != network.size.pad_token)
    np.testing.assert_allclose(hidden[:, 0], oracle["short_cell_embedding"], atol=1e-5, rtol=0)
    config = ScGptConfig(checkpoint=str(FIXTURES), max_length=tokens.shape[1])
    module, rows = prepared(oracle, config)
    batch = module.table.gather(rows)
    assert batch.tokens.shape == tokens.shape
    n_cut = (oracle["tokens"] != network.size.pad_token).sum(1) > tokens.shape[1]
    assert 0 < n_cut.sum() < len(rows)
    for cell in range(len(rows)):
        ours, theirs = (
            dict(zip(batch_tokens.tolist(), batch_values.tolist(), strict=True))
            for batch_tokens, batch_values in (
                (batch.tokens[cell], batch.values[cell]),
                (oracle["tokens"][cell], oracle["values"][cell]),
            )
        )
        # The same bins as before the cut, and the same number of genes as the package leaves.
        assert ours.items() <= theirs.items()
        assert batch.real[cell].sum() == (tokens[cell] != network.size.pad_token).sum()


@pytest.mark.parametrize("freeze_layers", [-2, 0, 1, "all"])
@pytest.mark.parametrize("cache_bytes", [0, 10**9])
def test_cell_embeddings_equal_the_published_packages_to_1e_5(
    oracle: dict[str, npt.NDArray[Any]], freeze_layers: int | str, cache_bytes: int
) -> None:
    config = ScGptConfig.model_validate(
        {
            "checkpoint": str(FIXTURES),
            "freeze_layers": freeze_layers,
            "cache_bytes": cache_bytes,
        }
    )
    module, rows = prepared(oracle, config)
    with torch.no_grad():
        embedding = module.embed(rows)
    np.testing.assert_allclose(embedding, oracle["cell_embedding"], atol=1e-5, rtol=0)


def test_hidden_states_of_all_real_positions_equal_the_published_packages(
    oracle: dict[str, npt.NDArray[Any]],
) -> None:
    network = read_checkpoint(FIXTURES).build().eval()
    tokens, values = torch.from_numpy(oracle["tokens"]), torch.from_numpy(oracle["values"])
    real = tokens != network.size.pad_token
    assert not real.all()
    with torch.no_grad():
        hidden = network(tokens, values, real)
    np.testing.assert_allclose(
        hidden[real], torch.from_numpy(oracle["hidden"])[real], atol=1e-5, rtol=0
    )


def test_parameter_names_are_those_of_the_published_checkpoints() -> None:
    size = ScGptSize(
        n_tokens=5, pad_token=2, d_model=8, n_layers=1, n_heads=2, d_hid=8, dropout=0.0
    )
    layer = "transformer_encoder.layers.0."
    assert set(ScGpt(size).state_dict()) == {
        "encoder.embedding.weight",
        *(f"encoder.enc_norm.{name}" for name in ("weight", "bias")),
        *(
            f"value_encoder.{m}.{n}"
            for m in ("linear1", "linear2", "norm")
            for n in ("weight", "bias")
        ),
        f"{layer}self_attn.in_proj_weight",
        f"{layer}self_attn.in_proj_bias",
        *(
            f"{layer}{m}.{n}"
            for m in ("self_attn.out_proj", "linear1", "linear2", "norm1", "norm2")
            for n in ("weight", "bias")
        ),
    }


@pytest.mark.shared_data
def test_whole_human_arguments_and_vocabulary_give_the_published_size(shared_data: Path) -> None:
    vocabulary = read_vocabulary(shared_data / "scgpt" / "vocab.json")
    arguments = json.loads((shared_data / "scgpt" / "args.json").read_text())
    assert (vocabulary.n_tokens, vocabulary.pad, vocabulary.cls_token) == (60697, 60694, 60695)
    with torch.device("meta"):
        network = ScGpt(
            ScGptSize(
                n_tokens=vocabulary.n_tokens,
                pad_token=vocabulary.pad,
                d_model=arguments["embsize"],
                n_layers=arguments["nlayers"],
                n_heads=arguments["nheads"],
                d_hid=arguments["d_hid"],
                dropout=arguments["dropout"],
            )
        )
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    # 51.86 M with the heads for pre-training; the encoder alone is a little less.
    assert 50.0e6 < n_parameters < 51.86e6


def test_heads_and_key_names_of_published_checkpoints_change_nothing(folder: Path) -> None:
    whole = torch.load(FIXTURES / "best_model.pt", weights_only=True)
    assert any(".self_attn.Wqkv." in name for name in whole)
    assert {"flag_encoder", "decoder", "mvc_decoder"} <= {name.split(".")[0] for name in whole}
    expected = read_checkpoint(FIXTURES).weights
    bare = {
        name.replace(".self_attn.Wqkv.", ".self_attn.in_proj_"): value
        for name, value in whole.items()
        if name.startswith(("encoder.", "value_encoder.", "transformer_encoder."))
    }
    heads = {"cls_decoder.out_layer.weight": torch.zeros(1, 16), "sim.temp": torch.ones(1)}
    for state in (bare, whole | heads):
        torch.save(state, folder / "best_model.pt")
        found = read_checkpoint(folder).weights
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_half_precision_checkpoint_is_run_in_float32(folder: Path) -> None:
    weights = torch.load(FIXTURES / "best_model.pt", weights_only=True)
    torch.save({name: value.half() for name, value in weights.items()}, folder / "best_model.pt")
    network = read_checkpoint(folder).build()
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_safetensors_weights_with_plain_names_are_read_too(folder: Path) -> None:
    expected = read_checkpoint(folder).weights
    (folder / "best_model.pt").unlink()
    save_file(
        {name: value.contiguous() for name, value in expected.items()}, folder / "model.safetensors"
    )
    found = read_checkpoint(folder).weights
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("name", ["best_model.pt", "vocab.json", "args.json"])
def test_a_missing_file_is_named_with_its_source_and_the_alternative(
    folder: Path, name: str
) -> None:
    (folder / name).unlink()
    with pytest.raises(DataUnavailableError) as caught:
        read_checkpoint(folder)
    message = str(caught.value)
    for part in (name, str(folder), "dygenept data fetch scgpt", "dygenept_small"):
        assert part in message
    assert missing(ScGptConfig(checkpoint=str(folder))) == message


def test_nothing_is_missing_from_a_whole_checkpoint_or_without_one(folder: Path) -> None:
    assert missing(ScGptConfig(checkpoint=str(folder))) is None
    assert missing(ScGptConfig()) is None


def test_a_bare_name_means_a_folder_beside_the_data_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYGENEPT_DATA", str(tmp_path))
    message = missing(ScGptConfig(checkpoint="whole_human"))
    assert message is not None
    assert str(tmp_path / "scgpt" / "whole_human") in message


def damage(folder: Path, what: str) -> None:
    weights = torch.load(folder / "best_model.pt", weights_only=True)
    arguments = json.loads((folder / "args.json").read_text())
    vocabulary = json.loads((folder / "vocab.json").read_text())
    if what == "missing key":
        del weights["transformer_encoder.layers.1.linear1.bias"]
    elif what == "unexpected key":
        weights["transformer_encoder.layers.9.linear1.bias"] = torch.zeros(3)
    elif what == "vocabulary size":
        vocabulary["EXTRA"] = 200
    elif what == "no cls":
        del vocabulary["<cls>"]
    elif what == "bad token":
        vocabulary["GENE0"] = "seven"
    elif what == "shared token":
        vocabulary["GENE0"] = vocabulary["GENE1"]
    elif what == "width":
        arguments["d_hid"] = 99
    elif what == "style":
        arguments["input_emb_style"] = "scaling"
    elif what == "heads":
        arguments["nheads"] = 5
    elif what == "endless":
        arguments["nlayers"] = 2**63
    elif what == "no size":
        del arguments["nlayers"]
    torch.save(weights, folder / "best_model.pt")
    (folder / "args.json").write_text(json.dumps(arguments))
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    if what == "truncated":
        data = (folder / "best_model.pt").read_bytes()
        (folder / "best_model.pt").write_bytes(data[: len(data) // 2])
    elif what == "not json":
        (folder / "vocab.json").write_text("<html>")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing key", r"layers\.1\.linear1\.bias missing, none unexpected"),
        ("unexpected key", r"none missing, .*layers\.9\.linear1\.bias unexpected"),
        ("vocabulary size", r"encoder\.embedding\.weight has shape \(51, 16\).*vocab\.json"),
        ("no cls", "no token '<cls>'"),
        ("bad token", "'GENE0' is 'seven'"),
        ("shared token", "two names share a token"),
        ("width", r"linear1\.weight has shape \(24, 16\), but args\.json asks for \(99, 16\)"),
        ("style", "input_emb_style is 'scaling'"),
        ("heads", "nheads 5 does not divide embsize 16"),
        ("no size", "nlayers is None"),
        ("endless", "too few for the 9223372036854775808 layers"),
        ("truncated", "cannot be read as tensors"),
        ("not json", "cannot be read as JSON"),
    ],
)
def test_a_damaged_checkpoint_says_what_is_wrong(folder: Path, what: str, message: str) -> None:
    damage(folder, what)
    with pytest.raises(DataError, match=message):
        read_checkpoint(folder)


class Bomb:
    """What a hostile file may hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code in a checkpoint ran')",)


def test_a_checkpoint_that_holds_code_is_refused_unread(folder: Path) -> None:
    torch.save({"encoder.embedding.weight": Bomb()}, folder / "best_model.pt")
    with pytest.raises(DataError, match="cannot be read as tensors"):
        read_checkpoint(folder)
